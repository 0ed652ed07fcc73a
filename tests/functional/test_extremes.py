"""Any m and any leak at logit gaps of 200, in every floating type: right in value, without nan in value or gradient."""

from __future__ import annotations

import math

import pytest
import torch
from reference.plain_softmax import masked_row
from torch import Tensor

from maskcl.functional import cross_entropy, distillation, leaky_logits, masked_cross_entropy, replace_logits

ACTIVE = [True, True, False, False]
ROWS = [
    ([100.0, -100.0, 0.0, 0.0], 0),
    ([100.0, -100.0, 0.0, 0.0], 1),
    ([-100.0, -100.0, 100.0, 100.0], 0),
    ([100.0, 0.0, -100.0, -100.0], 1),
    ([-100.0, 100.0, 100.0, -100.0], 0),
]
DIALS = [{"value": v} for v in (-math.inf, -1e30, -50.0, 0.0, 50.0, 1e30)]
DIALS += [{"mass": v} for v in (-1e30, 0.0, 1e30)]
DIALS += [{"leak": v} for v in (0.0, 1e-6, 0.1, 1.0)]
TYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


def _check(dial: dict[str, float], dtype: torch.dtype, **scales: float) -> None:
    z = torch.tensor([row for row, _ in ROWS], dtype=dtype, requires_grad=True)
    labels = torch.tensor([label for _, label in ROWS])
    losses = masked_cross_entropy(z, labels, torch.tensor(ACTIVE), **dial, **scales)
    grad = torch.autograd.grad(losses.sum(), z)[0]
    assert losses.dtype == (torch.float32 if dtype.itemsize < 4 else dtype)
    assert grad.dtype == dtype
    for i, (row, label) in enumerate(ROWS):
        loss, gradient = masked_row(row, label, ACTIVE, **dial, **scales)
        assert losses[i].item() == pytest.approx(loss, rel=1e-5, abs=1e-5)
        assert grad[i].tolist() == pytest.approx(gradient, rel=1e-2, abs=1e-5)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("dial", DIALS, ids=str)
def test_values_and_gradients_are_right_and_finite(dial: dict[str, float], dtype: torch.dtype) -> None:
    _check(dial, dtype)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("dial", DIALS, ids=str)
def test_gradient_scales_bring_no_nan(dial: dict[str, float], dtype: torch.dtype) -> None:
    _check(dial, dtype, new_scale=0.5, old_scale=2.0)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("value", [-math.inf, -1e30, 1e30, *map(torch.tensor, (-1e30, 1e30, -math.inf))])
def test_a_level_beyond_the_range_of_the_type_is_cut_to_it_and_minus_inf_stays(
    value: float | Tensor, dtype: torch.dtype
) -> None:
    out = replace_logits(torch.zeros(1, 4, dtype=dtype), torch.tensor(ACTIVE), value=value)
    limit = torch.finfo(dtype).max
    level = float(value) if math.isinf(value) else max(-limit, min(limit, float(value)))
    assert out.dtype == dtype
    assert out[0].tolist() == pytest.approx([0.0, 0.0, level, level], rel=1e-2)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("leak", [0.1, torch.tensor([0.1], dtype=torch.float64)], ids=["float", "tensor"])
def test_leak_keeps_the_type_of_the_logits(leak: float | Tensor, dtype: torch.dtype) -> None:
    assert leaky_logits(torch.zeros(1, 1, 4, dtype=dtype), torch.tensor(ACTIVE), leak=leak).dtype == dtype


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_soft_targets_and_smoothing_bring_no_nan_where_classes_are_out(dtype: torch.dtype) -> None:
    z = torch.tensor([[100.0, -100.0, 0.0, -math.inf]], dtype=dtype, requires_grad=True)
    soft = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    for targets in (torch.tensor([1]), soft):
        losses = cross_entropy(z, targets, label_smoothing=0.1)
        assert losses.isfinite().all()
        assert torch.autograd.grad(losses.sum(), z)[0].isfinite().all()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("temperature", [0.5, 2.0, torch.tensor([2.0])], ids=["half", "two", "tensor"])
def test_distillation_is_finite_at_gaps_of_200(temperature: float | Tensor, dtype: torch.dtype) -> None:
    z = torch.tensor([[[100.0, -100.0], [-100.0, 100.0]]], dtype=dtype, requires_grad=True)
    losses = distillation(z, torch.tensor([[[-100.0, 100.0], [-100.0, 100.0]]], dtype=dtype), temperature=temperature)
    assert losses[0].tolist() == pytest.approx([200 / float(temperature), 0.0], abs=1e-3)
    assert torch.autograd.grad(losses.sum(), z)[0].isfinite().all()
