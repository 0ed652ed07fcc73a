"""What a masked softmax is, for logits and classes that hypothesis picks: limits, columns left out, exact zeros.

`tests/functional/test_invariances.py` has what changes no loss; `tests/reference` the same mathematics as plain loops.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskcl.functional import cross_entropy, masked_cross_entropy

CHECK = settings(deadline=None, max_examples=50)
NUMBERS = st.floats(-15, 15, allow_nan=False)
TYPES = {torch.float32: 2e-5, torch.float64: 1e-12}
"""Types, with the error of a loss that rounding may leave."""


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Logits [B, C], labels [B] that are active, active classes [C], one inactive class at least."""
    rows, classes = draw(st.integers(1, 4)), draw(st.integers(2, 7))
    z = draw(st.lists(NUMBERS, min_size=rows * classes, max_size=rows * classes))
    labels = draw(st.lists(st.integers(0, classes - 2), min_size=rows, max_size=rows))
    active = torch.tensor(draw(st.lists(st.booleans(), min_size=classes, max_size=classes)))
    active[labels], active[-1] = True, False
    return torch.tensor(z, dtype=torch.float64).view(rows, classes), torch.tensor(labels), active


def loss_and_gradient(z: Tensor, labels: Tensor, active: Tensor, **dials: Any) -> tuple[Tensor, Tensor]:
    z = z.clone().requires_grad_()
    losses = masked_cross_entropy(z, labels, active, **dials)
    return losses.detach(), torch.autograd.grad(losses.sum(), z)[0]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@CHECK
@given(batch=batches())
def test_minus_inf_is_a_classifier_without_the_inactive_columns(dtype: torch.dtype, batch: Any) -> None:
    z, labels, active = batch
    z = z.to(dtype)
    place = active.cumsum(0) - 1
    left = z[:, active].clone().requires_grad_()
    losses = cross_entropy(left, place[labels])
    (gradient,) = torch.autograd.grad(losses.sum(), left)
    for dials in ({"value": -math.inf}, {"leak": 0.0}):
        masked, moves = loss_and_gradient(z, labels, active, **dials)
        torch.testing.assert_close(masked, losses.detach(), rtol=0, atol=TYPES[dtype] * 30)
        torch.testing.assert_close(moves[:, active], gradient, rtol=0, atol=TYPES[dtype])
        assert (moves[:, ~active] == 0).all()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@CHECK
@given(batch=batches(), dials=st.sampled_from([{"value": -math.inf}, {"value": 0.5}, {"mass": 1.0}, {"leak": 0.0}]))
def test_what_is_replaced_gets_a_gradient_of_exactly_0(dtype: torch.dtype, batch: Any, dials: Any) -> None:
    z, labels, active = batch
    _, moves = loss_and_gradient(z.to(dtype), labels, active, **dials)
    assert moves.dtype == dtype
    assert (moves[:, ~active] == 0).all()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@CHECK
@given(batch=batches())
def test_leak_1_is_no_mask_to_the_last_bit(dtype: torch.dtype, batch: Any) -> None:
    z, labels, active = batch
    z = z.to(dtype)
    losses, moves = loss_and_gradient(z, labels, active, leak=1.0)
    plain = z.clone().requires_grad_()
    expected = cross_entropy(plain, labels)
    assert torch.equal(losses, expected.detach())
    assert torch.equal(moves, torch.autograd.grad(expected.sum(), plain)[0])


@CHECK
@given(batch=batches())
def test_a_leak_that_goes_to_0_goes_to_minus_inf_and_one_that_goes_to_1_to_no_mask(batch: Any) -> None:
    z, labels, active = batch
    for limit, near in ((0.0, (1e-3, 1e-6, 1e-9)), (1.0, (1 - 1e-3, 1 - 1e-6, 1 - 1e-9))):
        goal, there = loss_and_gradient(z, labels, active, leak=limit)
        found = [loss_and_gradient(z, labels, active, leak=leak) for leak in near]
        far = [float((losses - goal).abs().max()) for losses, _ in found]
        assert far == sorted(far, reverse=True) or max(far) < 1e-10
        # d loss / d leak is at most the weight of the inactive classes to that of the label, e^30 times 6 here.
        assert far[-1] <= 1e-9 * 6 * math.exp(float(z.max() - z.min())) + 1e-12
        assert (found[-1][1] - there).abs().max() <= far[-1] + 1e-9 * 6 * math.exp(float(z.max() - z.min())) + 1e-12


@CHECK
@given(batch=batches(), leak=st.floats(0, 1))
def test_with_leak_the_gradient_of_a_row_sums_to_0(batch: Any, leak: float) -> None:
    z, labels, active = batch
    _, moves = loss_and_gradient(z, labels, active, leak=leak)
    torch.testing.assert_close(moves.sum(-1), torch.zeros(len(z), dtype=z.dtype), rtol=0, atol=1e-12)


@CHECK
@given(batch=batches(), mass=st.floats(-5, 5), more=st.integers(1, 50), other=NUMBERS)
def test_mass_says_the_same_however_many_classes_are_inactive(batch: Any, mass: float, more: int, other: float) -> None:
    z, labels, active = batch
    wider = torch.cat([z, torch.full((len(z), more), other, dtype=z.dtype)], 1)
    longer = torch.cat([active, torch.zeros(more, dtype=torch.bool)])
    few, many = (loss_and_gradient(*args, mass=mass) for args in ((z, labels, active), (wider, labels, longer)))
    torch.testing.assert_close(few[0], many[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(few[1], many[1][:, : z.shape[1]], rtol=1e-10, atol=1e-10)


@CHECK
@given(batch=batches(), dials=st.sampled_from([{"value": -math.inf}, {"value": -1.0}, {"mass": 1.0}, {"leak": 0.1}]))
def test_single_precision_is_double_precision_rounded(batch: Any, dials: Any) -> None:
    z, labels, active = batch
    z = z.float().double()  # the same numbers in both
    double, single = (loss_and_gradient(x, labels, active, **dials) for x in (z, z.float()))
    torch.testing.assert_close(single[0].double(), double[0], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(single[1].double(), double[1], rtol=1e-4, atol=1e-5)
    assert (single[0].dtype, single[1].dtype) == (torch.float32, torch.float32)
