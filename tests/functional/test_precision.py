"""Numbers keep the precision of the logits: float64 exactly, half precision without overflow."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from maskcl.functional import (
    distillation,
    gradient_factor,
    logit_mse,
    masked_cross_entropy,
    mass_to_value,
    scale_gradient,
)

ACTIVE = torch.tensor([True, True, False, False, False])
Z = torch.tensor([[0.5, -1.0, 0.25, 2.0, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_gradient_factors_are_exact_in_the_type_of_the_logits(dtype: torch.dtype) -> None:
    factor = gradient_factor(ACTIVE, 0.1, 0.3, dtype)
    assert factor.dtype == dtype
    assert torch.equal(factor, torch.tensor([0.1, 0.1, 0.3, 0.3, 0.3], dtype=dtype))
    members = gradient_factor(ACTIVE, torch.tensor([0.1, 0.7], dtype=torch.float64), 0.3, dtype)
    assert (members.shape, members.dtype) == ((2, 1, 5), dtype)
    assert members[:, 0, 0].tolist() == torch.tensor([0.1, 0.7], dtype=dtype).tolist()


def test_gradient_scales_are_exact_in_float64() -> None:
    z = Z.clone().requires_grad_()
    labels = torch.tensor([1])
    (plain,) = torch.autograd.grad(masked_cross_entropy(z, labels, ACTIVE, leak=0.7).sum(), z)
    scaled = masked_cross_entropy(z, labels, ACTIVE, leak=0.7, new_scale=0.1, old_scale=0.3)
    (grad,) = torch.autograd.grad(scaled.sum(), z)
    torch.testing.assert_close(grad, plain * torch.where(ACTIVE, 0.1 + Z * 0, 0.3), rtol=1e-15, atol=0)


def test_a_mass_is_exact_in_float64() -> None:
    losses = masked_cross_entropy(Z, torch.tensor([1]), ACTIVE, mass=0.7)
    expected = 1.0 + math.log(math.exp(0.5) + math.exp(-1.0) + math.exp(0.7))
    assert losses.item() == pytest.approx(expected, rel=1e-15)
    assert mass_to_value(0.7, ACTIVE, dtype=torch.float64).item() == 0.7 - math.log(3)
    assert mass_to_value(torch.tensor(0.7, dtype=torch.float64), ACTIVE).item() == 0.7 - math.log(3)
    assert mass_to_value(0.7, ACTIVE).dtype == torch.float32


def test_scale_gradient_takes_the_factors() -> None:
    z = Z.clone().requires_grad_()
    scale_gradient(z, gradient_factor(ACTIVE, 0.1, 0.3, z.dtype)).sum().backward()
    assert z.grad is not None
    assert z.grad[0].tolist() == [0.1, 0.1, 0.3, 0.3, 0.3]


HALVES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)


@HALVES
def test_squares_of_half_precision_logits_do_not_overflow(dtype: torch.dtype) -> None:
    z = torch.tensor([[300.0, 0.0]], dtype=dtype, requires_grad=True)
    losses = logit_mse(z, torch.zeros(1, 2, dtype=dtype))
    assert (losses.dtype, losses.item()) == (torch.float32, 45000.0)
    losses.sum().backward()
    assert z.grad is not None
    assert z.grad.tolist() == [[300.0, 0.0]]


def _both(target: list[float], logits: list[float], dtype: torch.dtype = torch.float64) -> tuple[float, Tensor]:
    z = torch.tensor([logits], dtype=dtype, requires_grad=True)
    losses = distillation(z, torch.tensor([target], dtype=dtype), temperature=2.0)
    (grad,) = torch.autograd.grad(losses.sum(), z)
    return losses.item(), grad[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("last", [0.5, -math.inf], ids=["teacher", "both"])
def test_a_class_that_the_teacher_rules_out_adds_nothing(last: float, dtype: torch.dtype) -> None:
    loss, grad = _both([1.0, -1.0, -math.inf], [0.0, 0.5, last], dtype)
    assert math.isfinite(loss)
    assert grad.isfinite().all()
    p = (torch.tensor([0.0, 0.5, last], dtype=torch.float64) / 2).softmax(-1)
    q = (torch.tensor([1.0, -1.0, -math.inf], dtype=torch.float64) / 2).softmax(-1)
    expected = (q[:2] * (q[:2] / p[:2]).log()).sum()
    assert loss == pytest.approx(expected.item(), rel=1e-2 if dtype.itemsize < 4 else 1e-6)
    torch.testing.assert_close(grad.double(), (p - q) / 2, rtol=0, atol=1e-2 if dtype.itemsize < 4 else 1e-6)


def test_a_class_that_the_network_rules_out_and_the_teacher_does_not_is_infinitely_far() -> None:
    loss, grad = _both([1.0, -1.0, 0.0], [0.0, 0.5, -math.inf])
    assert loss == math.inf
    assert grad.isfinite().all()
