from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from maskcl.errors import ShapeError
from maskcl.functional import (
    cross_entropy,
    distillation,
    leaky_logits,
    logit_mse,
    masked_cross_entropy,
    replace_logits,
)

Z = torch.tensor([[2.0, 1.0, 0.0, -1.0], [0.0, 3.0, -2.0, 1.0]], dtype=torch.float64)
LABELS = torch.tensor([1, 3])
ACTIVE = torch.tensor([True, True, False, False])


def test_hard_targets_are_those_of_pytorch() -> None:
    assert torch.equal(cross_entropy(Z, LABELS), F.cross_entropy(Z, LABELS, reduction="none"))


@pytest.mark.parametrize("label_smoothing", [0.1, 0.5, 1.0])
def test_label_smoothing_is_that_of_pytorch(label_smoothing: float) -> None:
    expected = F.cross_entropy(Z, LABELS, reduction="none", label_smoothing=label_smoothing)
    torch.testing.assert_close(cross_entropy(Z, LABELS, label_smoothing=label_smoothing), expected)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_soft_targets_are_those_of_pytorch(label_smoothing: float) -> None:
    soft = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]], dtype=torch.float64)
    expected = F.cross_entropy(Z, soft, reduction="none", label_smoothing=label_smoothing)
    torch.testing.assert_close(cross_entropy(Z, soft, label_smoothing=label_smoothing), expected)


def test_one_hot_soft_targets_are_hard_targets() -> None:
    torch.testing.assert_close(cross_entropy(Z, F.one_hot(LABELS, 4).double()), cross_entropy(Z, LABELS))


def test_smoothing_spreads_over_visible_classes_alone() -> None:
    visible = torch.tensor([True, True, False, True])
    smoothed = cross_entropy(Z, LABELS, label_smoothing=0.3, visible=visible)
    expected = F.cross_entropy(Z[:, visible], torch.tensor([1, 2]), reduction="none", label_smoothing=0.3)
    torch.testing.assert_close(smoothed, expected)


def test_replaced_logits_take_soft_targets_and_smoothing() -> None:
    losses = cross_entropy(replace_logits(Z, ACTIVE, value=-float("inf")), torch.tensor([0, 1]), label_smoothing=0.1)
    expected = F.cross_entropy(Z[:, :2], torch.tensor([0, 1]), reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(losses, expected)


def test_logit_mse_is_a_mean_over_classes_and_moves_only_the_network() -> None:
    now = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    stored = torch.tensor([[0.0, 0.0, 0.0]], requires_grad=True)
    loss = logit_mse(now, stored)
    assert loss.tolist() == pytest.approx([14 / 3])
    loss.sum().backward()
    assert now.grad is not None
    assert now.grad[0].tolist() == pytest.approx([2 / 3, 4 / 3, 2.0])
    assert stored.grad is None


def test_distillation_is_0_where_softmaxes_agree_and_its_gradient_is_their_difference() -> None:
    now = Z.clone().requires_grad_()
    assert distillation(now, Z + 5.0).tolist() == pytest.approx([0.0, 0.0], abs=1e-12)
    target, temperature = Z.flip(0).requires_grad_(), 2.0
    distillation(now, target, temperature=temperature).sum().backward()
    expected = ((Z / temperature).softmax(1) - (Z.flip(0) / temperature).softmax(1)) / temperature
    torch.testing.assert_close(now.grad, expected)
    assert target.grad is None
    p, q = Z.softmax(1), Z.flip(0).softmax(1)
    torch.testing.assert_close(distillation(Z, Z.flip(0)), (q * (q.log() - p.log())).sum(1), msg="temperature 1")


BAD_CALLS: list[tuple[Any, str]] = [
    (lambda: masked_cross_entropy(Z, LABELS, ACTIVE, value=0.0, leak=0.1), "takes one of value, mass and leak, got 2"),
    (lambda: masked_cross_entropy(Z, LABELS, ACTIVE.float()), "active: must be bool, got torch.float32"),
    (
        lambda: masked_cross_entropy(Z, LABELS, ACTIVE[:3]),
        "active: must have 4 classes in its last dimension",
    ),
    (lambda: masked_cross_entropy(Z, LABELS[:1], ACTIVE), "labels: must have shape (2,), got (1,)"),
    (lambda: masked_cross_entropy(Z.long(), LABELS, ACTIVE), "logits: must be floating point, got torch.int64"),
    (lambda: replace_logits(Z, torch.tensor(True), value=0.0), "active: must have 4 classes in its last dimension"),
    (lambda: leaky_logits(Z, LABELS, leak=0.1), "active: must be bool, got torch.int64"),
    (lambda: cross_entropy(Z, LABELS.int()), "targets: must be int64 labels (2,) or probabilities (2, 4)"),
    (lambda: cross_entropy(Z, Z[:, :3]), "targets: must be int64 labels (2,) or probabilities (2, 4)"),
    (
        lambda: cross_entropy(Z, LABELS, visible=ACTIVE[:2]),
        "visible: must have 4 classes in its last dimension",
    ),
    (lambda: logit_mse(Z, Z[:1]), "stored: must have shape (2, 4), got (1, 4)"),
    (lambda: distillation(Z, Z[:, :2]), "target_logits: must have shape (2, 4), got (2, 2)"),
]


@pytest.mark.parametrize(("call", "text"), BAD_CALLS, ids=[text for _, text in BAD_CALLS])
def test_shapes_and_types_that_do_not_fit_are_named(call: Any, text: str) -> None:
    with pytest.raises(ShapeError, match=re.escape(text)):
        call()
