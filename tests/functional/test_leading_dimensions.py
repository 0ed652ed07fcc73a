"""Leading dimensions equal a Python loop over them, hyper-parameters of one value a member included."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from maskcl.functional import (
    cross_entropy,
    distillation,
    leaky_logits,
    logit_mse,
    masked_cross_entropy,
    present_classes,
    replace_logits,
    scale_gradient,
)

K, B, C = 3, 4, 5
ACTIVE = torch.tensor([True, True, False, True, False])
VISIBLE = torch.tensor([True, True, True, True, False])


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _labels(*shape: int) -> Tensor:
    return torch.randint(2, shape, generator=torch.Generator().manual_seed(1))


DIALS: list[dict[str, Tensor]] = [
    {"value": torch.tensor([-1.0, 0.0, 2.0])},
    {"value": torch.tensor([-torch.inf, -1.0, 30.0])},
    {"mass": torch.tensor([-1.0, 0.5, 4.0])},
    {"leak": torch.tensor([0.1, 0.5, 1.0])},
    {"leak": torch.tensor([0.0, 0.5, 1.0])},
    {"leak": torch.tensor([0.1, 0.5, 1.0]), "old_scale": torch.tensor([0.0, 1.0, 2.0])},
    {"value": torch.tensor([-1.0, 0.0, 2.0]), "new_scale": torch.tensor([0.5, 1.0, 2.0])},
    {"leak": torch.tensor([0.1, 0.5, 1.0]), "old_scale": torch.ones(3), "new_scale": torch.tensor([0.5, 1.0, 2.0])},
]
ACTIVES = {
    "of all rows": ACTIVE,
    "of each row": torch.arange(C) <= torch.arange(1, B + 1)[:, None].clamp(max=3),
    "of each member": torch.stack([ACTIVE, ~VISIBLE | (torch.arange(C) < 2), torch.ones(C, dtype=torch.bool)])[:, None],
}


@pytest.mark.parametrize("visible", [None, VISIBLE], ids=["all", "some"])
@pytest.mark.parametrize("kind", list(ACTIVES))
@pytest.mark.parametrize("dials", DIALS, ids=lambda dials: " ".join(f"{k}={v.tolist()}" for k, v in dials.items()))
def test_a_dial_may_have_one_value_a_member(dials: dict[str, Tensor], kind: str, visible: Tensor | None) -> None:
    z, labels, active = _draw(K, B, C).requires_grad_(), _labels(K, B), ACTIVES[kind]
    dials = {name: dial.double() for name, dial in dials.items()}
    together = masked_cross_entropy(z, labels, active, **dials, visible=visible)
    grad = torch.autograd.grad(together.sum(), z)[0]
    assert together.shape == (K, B)
    for k in range(K):
        own: dict[str, Any] = {name: dial[k].item() for name, dial in dials.items()}
        row = z[k].detach().requires_grad_()
        alone = masked_cross_entropy(row, labels[k], active[k] if active.ndim == 3 else active, **own, visible=visible)
        torch.testing.assert_close(together[k], alone)
        torch.testing.assert_close(grad[k], torch.autograd.grad(alone.sum(), row)[0])


@pytest.mark.parametrize("lead", [(), (2,), (2, 3), (1, 2, 2)], ids=str)
def test_any_leading_dimensions_equal_a_loop(lead: tuple[int, ...]) -> None:
    z, other, labels = _draw(*lead, B, C), _draw(*lead, B, C, seed=2), _labels(*lead, B)
    soft = other.softmax(-1)
    functions: list[Any] = [
        lambda z, other, labels, soft: masked_cross_entropy(z, labels, ACTIVE, value=-1.0),
        lambda z, other, labels, soft: masked_cross_entropy(z, labels, ACTIVE, mass=1.0, visible=VISIBLE),
        lambda z, other, labels, soft: masked_cross_entropy(z, labels, ACTIVE, leak=0.3, new_scale=0.5),
        lambda z, other, labels, soft: cross_entropy(z, labels),
        lambda z, other, labels, soft: cross_entropy(z, labels, label_smoothing=0.2, visible=VISIBLE),
        lambda z, other, labels, soft: cross_entropy(z, soft, label_smoothing=0.2),
        lambda z, other, labels, soft: logit_mse(z, other),
        lambda z, other, labels, soft: distillation(z, other, temperature=2.0),
        lambda z, other, labels, soft: replace_logits(z, ACTIVE, value=-1.0),
        lambda z, other, labels, soft: leaky_logits(z, ACTIVE, leak=0.2),
        lambda z, other, labels, soft: scale_gradient(z, 0.5),
        lambda z, other, labels, soft: present_classes(labels, C),
    ]
    parts = [tensor.reshape(-1, *tensor.shape[len(lead) :]) for tensor in (z, other, labels, soft)]
    for function in functions:
        together = function(z, other, labels, soft)
        alone = torch.stack([function(*each) for each in zip(*parts, strict=True)])
        torch.testing.assert_close(together, alone.reshape(*lead, *alone.shape[1:]))


def test_a_temperature_may_have_one_value_a_member() -> None:
    z, other, temperatures = _draw(K, B, C), _draw(K, B, C, seed=2), torch.tensor([0.5, 1.0, 4.0])
    together = distillation(z, other, temperature=temperatures)
    for k in range(K):
        torch.testing.assert_close(together[k], distillation(z[k], other[k], temperature=temperatures[k].item()))


def test_present_classes_are_those_among_the_rows_of_each_member() -> None:
    labels = torch.tensor([[0, 0, 3], [1, 2, 1]])
    expected = [[[True, False, False, True, False]], [[False, True, True, False, False]]]
    assert present_classes(labels, 5).tolist() == expected


def test_arguments_are_left_as_they_were() -> None:
    z, labels, active = _draw(B, C), _labels(B), ACTIVE.clone()
    before = z.clone()
    masked_cross_entropy(z, labels, active, value=-1.0, new_scale=2.0, visible=VISIBLE)
    masked_cross_entropy(z, labels, active, leak=0.1, old_scale=2.0)
    assert torch.equal(z, before)
    assert torch.equal(active, ACTIVE)
