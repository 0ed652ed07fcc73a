"""Under torch.func, torch.compile and autocast the numbers are those of plain eager calls."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from maskcl.functional import cross_entropy, distillation, logit_mse, masked_cross_entropy, present_classes

ACTIVE = torch.tensor([True, True, False, False])
VISIBLE = torch.tensor([True, True, True, False])
SOFT = torch.tensor([0.25, 0.75, 0.0, 0.0])

Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {
    "value": lambda z, y: masked_cross_entropy(z, y, ACTIVE, value=-2.0),
    "value=-inf": lambda z, y: masked_cross_entropy(z, y, ACTIVE, value=-math.inf, visible=VISIBLE),
    "mass": lambda z, y: masked_cross_entropy(z, y, ACTIVE, mass=1.0, visible=VISIBLE),
    "leak": lambda z, y: masked_cross_entropy(z, y, ACTIVE, leak=0.2, old_scale=0.5, new_scale=2.0),
    "batch": lambda z, y: masked_cross_entropy(z, y, present_classes(y, 4), leak=0.2),
    "smoothed": lambda z, y: cross_entropy(z, y, label_smoothing=0.1, visible=VISIBLE),
    "soft": lambda z, y: cross_entropy(z, SOFT.expand_as(z), label_smoothing=0.1),
    "distilled": lambda z, y: distillation(z, z.detach().flip(-1), temperature=2.0),
    "mse": lambda z, y: logit_mse(z, z.detach().flip(-1)),
}


def _data(*lead: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(*lead, 5, 4, dtype=torch.float64, generator=generator)
    return z, torch.randint(2, (*lead, 5), generator=generator)


def _gradient(loss: Loss, z: Tensor, labels: Tensor) -> Tensor:
    leaf = z.detach().requires_grad_()
    return torch.autograd.grad(loss(leaf, labels).sum(), leaf)[0]


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_vmap_and_grad_agree_with_autograd(loss: Loss) -> None:
    z, labels = _data(3)
    torch.testing.assert_close(torch.func.vmap(loss)(z, labels), loss(z, labels))
    grads = torch.func.vmap(torch.func.grad(lambda z, y: loss(z, y).sum()))(z, labels)
    torch.testing.assert_close(grads, _gradient(loss, z, labels))


@pytest.mark.parametrize("dial", ["value", "mass", "leak"])
def test_vmap_over_members_with_dials_of_their_own(dial: str) -> None:
    z, labels = _data(3)
    dials = torch.tensor([0.1, 0.4, 0.9], dtype=torch.float64)
    mapped = torch.func.vmap(lambda z, y, d: masked_cross_entropy(z, y, ACTIVE, **{dial: d}))(z, labels, dials)
    torch.testing.assert_close(mapped, masked_cross_entropy(z, labels, ACTIVE, **{dial: dials}))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_per_row_gradients_stay_in_their_row(loss: Loss) -> None:
    z, labels = _data()
    jacobian = torch.func.jacrev(lambda z: loss(z, labels))(z)
    own = jacobian[torch.arange(5), torch.arange(5)]
    jacobian[torch.arange(5), torch.arange(5)] = 0
    assert own.abs().max() > 0
    assert (jacobian == 0).all()


@pytest.mark.parametrize("name", ["value", "mass", "leak", "batch", "smoothed"])
def test_compiled_without_a_break_in_the_graph(name: str) -> None:
    torch.compiler.reset()
    z, labels = _data(2)
    compiled: Any = torch.compile(LOSSES[name], backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(z, labels), LOSSES[name](z, labels))
    torch.testing.assert_close(_gradient(compiled, z, labels), _gradient(LOSSES[name], z, labels))


@pytest.mark.parametrize("name", ["value", "value=-inf", "mass", "leak", "smoothed"])
def test_autocast_gives_float32_losses_of_the_half_precision_logits(name: str) -> None:
    features, labels = _data()
    weight = torch.eye(4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = features.float() @ weight
        losses = LOSSES[name](z, labels)
    assert (z.dtype, losses.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(losses, LOSSES[name](z.detach().float(), labels))
    losses.sum().backward()
    assert weight.grad is not None
    assert weight.grad.isfinite().all()
