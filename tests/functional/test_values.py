"""Values that make no sense are refused where people call, and are not looked at inside."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch

from maskcl.errors import ConfigError, DataError, MaskclError, ShapeError
from maskcl.functional import (
    cross_entropy,
    distillation,
    leaky_logits,
    logit_mse,
    masked_cross_entropy,
    masked_losses,
    replace_logits,
    row_losses,
)

Z = torch.tensor([[2.0, 1.0, 0.0, -1.0], [0.0, 3.0, -2.0, 1.0]])
LABELS = torch.tensor([1, 0])
ACTIVE = torch.tensor([True, True, False, False])
MEMBERS = torch.tensor([0.1, math.nan])


def masked(labels: Any = LABELS, active: Any = ACTIVE, **dials: Any) -> torch.Tensor:
    return masked_cross_entropy(Z, labels, active, **dials)


WEIGHT = "must be a finite number, 0 or more"
REFUSED: list[tuple[Any, type[MaskclError], str]] = [
    (lambda: masked(leak=math.nan), ConfigError, f"leak: {WEIGHT}, got nan."),
    (lambda: masked(leak=-0.1), ConfigError, f"leak: {WEIGHT}, got -0.1."),
    (lambda: masked(leak=math.inf), ConfigError, f"leak: {WEIGHT}, got inf."),
    (lambda: masked(leak="0.1"), ConfigError, f"leak: {WEIGHT}, got '0.1'."),
    (lambda: masked(leak=torch.tensor(-0.5)), ConfigError, f"leak: {WEIGHT}, got -0.5."),
    (lambda: masked(leak=MEMBERS), ShapeError, "leak: must be one number, or one a member of (), got (2,)."),
    (lambda: masked_cross_entropy(Z.expand(2, 2, 4), LABELS.expand(2, 2), ACTIVE, leak=MEMBERS), ConfigError,
     f"leak: {WEIGHT}, got nan."),
    (lambda: masked(value=math.nan), ConfigError, "value: must be a number below +inf, got nan."),
    (lambda: masked(value=math.inf), ConfigError, "value: must be a number below +inf, got inf."),
    (lambda: masked(value=True), ConfigError, "value: must be a number below +inf, got True."),
    (lambda: masked(mass=-math.inf), ConfigError, "mass: must be finite, got -inf."),
    (lambda: masked(mass=math.nan), ConfigError, "mass: must be finite, got nan."),
    (lambda: masked(leak=0.1, old_scale=-1.0), ConfigError, f"old_scale: {WEIGHT}, got -1.0."),
    (lambda: masked(leak=0.1, new_scale=math.nan), ConfigError, f"new_scale: {WEIGHT}, got nan."),
    (lambda: masked(active=[False] * 4), DataError, "active: must hold one class or more in each row, got 0."),
    (lambda: masked(active=[[True] * 4, [False] * 4], value=0.0), DataError, "active: must hold one class or more in"),
    (lambda: masked(labels=[1, 4]), DataError, "labels: must be classes from 0 to 3, got 4."),
    (lambda: masked(labels=[1, -1], leak=0.1), DataError, "labels: must be classes from 0 to 3, got -1."),
    (lambda: masked(labels=[1, -100], value=0.0), DataError, "labels: must be classes from 0 to 3, got -100."),
    (lambda: masked(labels=[1, 3]), DataError, "labels: must be active classes where value = -inf or leak = 0 takes"),
    (lambda: masked(labels=[1, 3], leak=0), DataError, "labels: must be active classes where value = -inf or leak"),
    (lambda: masked(labels=[1, 3], leak=torch.tensor(0.0)), DataError, "labels: must be active classes where"),
    (lambda: masked(leak=0.1, visible=[True, False, True, True]), DataError, "labels: must be visible classes, got 1."),
    (lambda: masked(labels=["a", "b"]), ShapeError, "labels: must be a tensor, or an array or list of numbers, got 'l"),
    (lambda: masked(labels=[[1], [2, 3]]), ShapeError, "labels: must be a tensor, or an array or list of numbers"),
    (lambda: masked(labels=None), ShapeError, "labels: must be a tensor, or an array or list of numbers, got 'None"),
    (lambda: masked(labels=[0.5, 1.0]), ShapeError, "labels: must be int64, got torch.float32."),
    (lambda: masked(active=[1, 1, 0, 0]), ShapeError, "active: must be bool, got torch.int64."),
    (lambda: masked(active=ACTIVE.expand(3, 4)), ShapeError,
     "active: must have shape (4,) or one that fits (2, 4), got (3, 4)."),
    (lambda: masked_cross_entropy(Z.numpy(), LABELS, ACTIVE), ShapeError, "logits: must be a tensor, got 'ndarray'."),
    (lambda: masked_cross_entropy(Z.tolist(), LABELS, ACTIVE), ShapeError, "logits: must be a tensor, got 'list'."),
    (lambda: cross_entropy(Z.tolist(), LABELS), ShapeError, "logits: must be a tensor, got 'list'."),
    (lambda: cross_entropy(Z, [0, -100]), DataError, "labels: must be classes from 0 to 3, got -100."),
    (lambda: cross_entropy(Z, [0, 4], label_smoothing=0.1), DataError, "labels: must be classes from 0 to 3, got 4."),
    (lambda: cross_entropy(Z, [0, 3], visible=ACTIVE), DataError, "labels: must be visible classes, got 3."),
    (lambda: cross_entropy(Z, LABELS, label_smoothing=1.5), ConfigError, "label_smoothing: must be a number from 0 to"),
    (lambda: replace_logits(Z, ACTIVE, value=math.nan), ConfigError, "value: must be a number below +inf, got nan."),
    (lambda: leaky_logits(Z, ACTIVE, leak=-1), ConfigError, f"leak: {WEIGHT}, got -1."),
    (lambda: replace_logits(Z, ACTIVE, value=torch.zeros(4)), ShapeError, "value: must be one number, or one a member"),
    (lambda: leaky_logits(Z, ACTIVE, leak=torch.ones(4)), ShapeError, "leak: must be one number, or one a member"),
    (lambda: cross_entropy(torch.tensor(1.0), 0), ShapeError, "logits: must have classes in its last dimension"),
    (lambda: masked(labels=[0, 1], active=[False, True, True, False]), DataError, "labels: must be active classes"),
    (lambda: masked(labels=[1, 3], active=[False, True, True, False]), DataError, "labels: must be active classes"),
    (lambda: logit_mse(Z.tolist(), Z), ShapeError, "logits: must be a tensor, got 'list'."),
    (lambda: distillation(Z, Z.numpy()), ShapeError, "target_logits: must be a tensor, got 'ndarray'."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED, ids=[text for *_, text in REFUSED])
def test_values_are_refused_in_one_sentence(call: Any, kind: type[MaskclError], text: str) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        call()


def test_leak_above_1_weighs_old_classes_more() -> None:
    assert (masked(leak=3.0) > masked(leak=1.0)).all()


def test_a_member_whose_inactive_classes_stay_may_have_inactive_labels() -> None:
    z, labels = Z.expand(2, 2, 4), torch.tensor([[1, 0], [1, 3]])
    assert masked_cross_entropy(z, labels, ACTIVE, value=torch.tensor([-math.inf, 0.0])).isfinite().all()
    with pytest.raises(DataError, match="labels: must be active classes"):
        masked_cross_entropy(z, labels, ACTIVE, value=torch.tensor([0.0, -math.inf]))


def test_logits_that_have_gone_to_infinity_are_not_blamed_on_labels() -> None:
    z = torch.tensor([[math.nan, 0.0, 0.0, 0.0], [0.0, 3.0, -2.0, 1.0]])
    assert masked_cross_entropy(z, LABELS, ACTIVE).isnan().tolist() == [True, False]


@pytest.mark.parametrize("dials", [{"mass": 0.0}, {"value": 0.0}, {"leak": 0.5}], ids=str)
def test_inactive_labels_are_not_blamed_where_inactive_classes_stay(dials: dict[str, float]) -> None:
    z = torch.tensor([[math.nan, 0.0, 0.0, 0.0], [0.0, 3.0, -2.0, 1.0]])
    losses = masked_cross_entropy(z, torch.tensor([3, 3]), ACTIVE, **dials)
    assert losses.isnan().tolist() == [True, False]


def test_only_members_whose_inactive_classes_leave_are_asked_for_active_labels() -> None:
    z = Z.expand(2, 2, 4).clone()
    z[1, 1, 0] = math.nan
    labels = torch.tensor([[1, 0], [3, 1]])  # 3 is inactive, in the member that keeps inactive classes
    losses = masked_cross_entropy(z, labels, ACTIVE, value=torch.tensor([-math.inf, 0.0]))
    assert losses.isnan().tolist() == [[False, False], [False, True]]


def test_a_level_for_each_member() -> None:
    z, levels = Z.expand(2, 2, 4), torch.tensor([-1.0, 0.5])
    each = torch.stack([replace_logits(Z, ACTIVE, value=level) for level in levels.tolist()])
    assert torch.equal(replace_logits(z, ACTIVE, value=levels), each)


def test_cross_entropy_of_logits_that_have_gone_to_infinity_is_returned() -> None:
    z = torch.tensor([[math.nan, 0.0, 0.0, 0.0], [0.0, 3.0, -2.0, 1.0]])
    assert cross_entropy(z, LABELS).isnan().tolist() == [True, False]


def test_soft_targets_share_a_softmax_of_visible_classes() -> None:
    targets = torch.tensor([[0.25, 0.75, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(cross_entropy(Z, targets, visible=ACTIVE), cross_entropy(Z[:, :2], targets[:, :2]))


@pytest.mark.parametrize("form", [list, tuple, np.array], ids=["list", "tuple", "array"])
def test_lists_and_arrays_are_as_good_as_tensors(form: Any) -> None:
    visible = torch.tensor([True, True, True, False])
    given = masked_cross_entropy(
        Z, form(LABELS.tolist()), form(ACTIVE.tolist()), leak=0.1, visible=form(visible.tolist())
    )
    assert torch.equal(given, masked_cross_entropy(Z, LABELS, ACTIVE, leak=0.1, visible=visible))
    assert torch.equal(cross_entropy(Z, form(LABELS.tolist())), cross_entropy(Z, LABELS))
    soft = cross_entropy(Z, form(Z.softmax(-1).tolist()))
    assert soft.dtype == torch.float32
    torch.testing.assert_close(soft, cross_entropy(Z, Z.softmax(-1)))


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64])
def test_arrays_of_other_whole_numbers_are_labels_too(dtype: Any) -> None:
    backwards = np.array([0, 1], dtype)[::-1]
    assert torch.equal(cross_entropy(Z, backwards), cross_entropy(Z, LABELS))


def test_numbers_of_numpy_are_numbers() -> None:
    assert torch.equal(masked(leak=np.float32(0.5)), masked(leak=0.5))
    assert torch.equal(masked(value=np.int64(-1)), masked(value=-1.0))


def test_inner_functions_are_the_same_losses_without_a_look_at_values() -> None:
    dials: dict[str, Any] = {"leak": 0.3, "old_scale": 0.5, "new_scale": 2.0, "visible": ~ACTIVE | ACTIVE}
    assert torch.equal(masked_losses(Z, LABELS, ACTIVE, **dials), masked(**dials))
    assert torch.equal(row_losses(Z, LABELS), cross_entropy(Z, LABELS))
    assert masked_losses(Z, torch.tensor([3, 3]), ACTIVE).tolist() == [math.inf] * 2


def test_values_are_not_looked_at_where_they_cannot_be() -> None:
    bad, labels = torch.tensor([0.1, -1.0]), LABELS.expand(2, 2)
    mapped = torch.func.vmap(lambda z, y, d: masked_cross_entropy(z, y, ACTIVE, leak=d))
    assert mapped(Z.expand(2, 2, 4), labels, bad).isnan()[1].all()
    compiled = torch.compile(lambda z, y: masked_cross_entropy(z, y, ACTIVE), backend="eager", fullgraph=True)
    torch.compiler.reset()
    assert compiled(Z, torch.tensor([3, 3])).isinf().all()


def test_one_row_without_a_batch_works() -> None:
    assert masked_cross_entropy(Z[0], 1 * LABELS[0], ACTIVE, leak=0.1) == masked(leak=0.1)[0]
