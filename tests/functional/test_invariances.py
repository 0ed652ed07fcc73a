"""What must not change a loss, for logits, masks and dials that hypothesis picks."""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskcl.functional import cross_entropy, masked_cross_entropy

NUMBERS = st.floats(-20, 20, allow_nan=False)


@st.composite
def _batch(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits [B, C], active and visible labels [B], active and visible classes [C]."""
    rows, classes = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    z = draw(st.lists(NUMBERS, min_size=rows * classes, max_size=rows * classes))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows))
    active, visible = (
        torch.tensor(draw(st.lists(st.booleans(), min_size=classes, max_size=classes))) for _ in range(2)
    )
    active[labels] = visible[labels] = True
    return torch.tensor(z, dtype=torch.float64).view(rows, classes), torch.tensor(labels), active, visible


DIALS = st.sampled_from([{"value": -math.inf}, {"value": -1.0}, {"mass": 2.0}, {"leak": 0.0}, {"leak": 0.3}])
CHECK = settings(deadline=None, max_examples=50)


@CHECK
@given(batch=_batch(), dial=DIALS, data=st.data())
def test_renumbering_classes_changes_nothing(batch: Any, dial: dict[str, float], data: st.DataObject) -> None:
    z, labels, active, visible = batch
    order = torch.tensor(data.draw(st.permutations(range(z.shape[1]))))
    place = torch.argsort(order)
    plain = masked_cross_entropy(z, labels, active, **dial, visible=visible)
    permuted = masked_cross_entropy(z[:, order], place[labels], active[order], **dial, visible=visible[order])
    torch.testing.assert_close(plain, permuted)


@CHECK
@given(batch=_batch(), leak=st.floats(0, 1), shift=NUMBERS)
def test_a_shift_of_all_logits_changes_no_loss_with_leak(batch: Any, leak: float, shift: float) -> None:
    z, labels, active, visible = batch
    plain, shifted = (masked_cross_entropy(x, labels, active, leak=leak, visible=visible) for x in (z, z + shift))
    torch.testing.assert_close(plain, shifted)


@CHECK
@given(batch=_batch(), value=NUMBERS, shift=NUMBERS)
def test_a_shift_of_active_logits_and_of_m_changes_no_loss(batch: Any, value: float, shift: float) -> None:
    z, labels, active, visible = batch
    plain = masked_cross_entropy(z, labels, active, value=value, visible=visible)
    shifted = masked_cross_entropy(
        torch.where(active, z + shift, z), labels, active, value=value + shift, visible=visible
    )
    torch.testing.assert_close(plain, shifted)


@CHECK
@given(batch=_batch(), dial=st.sampled_from([{"value": -math.inf}, {"value": 1.0}, {"mass": 2.0}]), other=NUMBERS)
def test_replaced_logits_do_not_matter(batch: Any, dial: dict[str, float], other: float) -> None:
    z, labels, active, visible = batch
    changed = torch.where(active, z, other)
    plain, moved = (masked_cross_entropy(x, labels, active, **dial, visible=visible) for x in (z, changed))
    assert torch.equal(plain, moved)


@CHECK
@given(batch=_batch(), dial=DIALS)
def test_with_all_classes_active_every_dial_is_cross_entropy(batch: Any, dial: dict[str, float]) -> None:
    z, labels, _, visible = batch
    everything = torch.ones_like(visible)
    plain = cross_entropy(z, labels, visible=visible)
    assert torch.equal(masked_cross_entropy(z, labels, everything, **dial, visible=visible), plain)


@CHECK
@given(batch=_batch())
def test_the_loss_grows_with_leak_from_minus_inf_to_no_mask(batch: Any) -> None:
    z, labels, active, _ = batch
    losses = torch.stack([masked_cross_entropy(z, labels, active, leak=leak) for leak in (0.0, 1e-3, 0.1, 0.5, 1.0)])
    assert (losses.diff(dim=0) >= -1e-12).all()
