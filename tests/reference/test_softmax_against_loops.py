"""Every functional against the same mathematics as plain loops, over logits, masks and dials that hypothesis picks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.plain_softmax import cross_entropy_row, distillation_row, masked_row

from maskcl.functional import cross_entropy, distillation, logit_mse, masked_cross_entropy

NUMBERS = st.floats(-30, 30, allow_nan=False)
DIALS = st.one_of(
    st.just({}),
    st.builds(lambda v: {"value": v}, st.one_of(st.just(-math.inf), NUMBERS)),
    st.builds(lambda v: {"mass": v}, NUMBERS),
    st.builds(lambda v: {"leak": v}, st.floats(0, 1)),
)


@st.composite
def _row(draw: st.DrawFn) -> tuple[list[float], int, list[bool], list[bool]]:
    """Logits, a class that is active and visible, active classes, visible classes."""
    number = draw(st.integers(2, 8))
    z = draw(st.lists(NUMBERS, min_size=number, max_size=number))
    active, visible = (draw(st.lists(st.booleans(), min_size=number, max_size=number)) for _ in range(2))
    y = draw(st.integers(0, number - 1))
    active[y] = visible[y] = True
    return z, y, active, visible


@settings(deadline=None, max_examples=150)
@given(row=_row(), dial=DIALS, old_scale=st.floats(0, 3), new_scale=st.floats(0, 3))
def test_masked_cross_entropy(row: Any, dial: dict[str, float], old_scale: float, new_scale: float) -> None:
    logits, y, active, visible = row
    z = torch.tensor([logits], dtype=torch.float64, requires_grad=True)
    losses = masked_cross_entropy(
        z, torch.tensor([y]), torch.tensor(active), **dial, old_scale=old_scale, new_scale=new_scale,
        visible=torch.tensor(visible),
    )  # fmt: skip
    loss, gradient = masked_row(logits, y, active, **dial, old_scale=old_scale, new_scale=new_scale, visible=visible)
    tight = {"rel": 1e-9, "abs": 1e-12}
    assert losses.item() == pytest.approx(loss, **tight)
    assert torch.autograd.grad(losses.sum(), z)[0][0].tolist() == pytest.approx(gradient, **tight)


@settings(deadline=None, max_examples=60)
@given(
    z=st.lists(NUMBERS, min_size=4, max_size=4),
    target=st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=4, max_size=4).filter(any),
    label_smoothing=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_cross_entropy_with_soft_targets(z: list[float], target: list[float], label_smoothing: float) -> None:
    shares = [t / sum(target) for t in target]
    loss = cross_entropy(*torch.tensor([z, shares], dtype=torch.float64), label_smoothing=label_smoothing)
    assert loss.item() == pytest.approx(cross_entropy_row(z, shares, label_smoothing=label_smoothing), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    z=st.lists(NUMBERS, min_size=3, max_size=3),
    target=st.lists(NUMBERS, min_size=3, max_size=3),
    temperature=st.sampled_from([0.5, 1.0, 2.0]),
)
def test_losses_on_memory_rows(z: list[float], target: list[float], temperature: float) -> None:
    now, stored = torch.tensor([z, target], dtype=torch.float64)
    kl = distillation(now[None], stored[None], temperature=temperature).item()
    assert kl == pytest.approx(distillation_row(z, target, temperature=temperature), abs=1e-11)
    mse = sum((a - b) ** 2 for a, b in zip(z, target, strict=True)) / 3
    assert logit_mse(now[None], stored[None]).item() == pytest.approx(mse, abs=1e-12)
