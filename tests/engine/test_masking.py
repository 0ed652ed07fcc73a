"""Which classes the rows of a step may move, by hand: six classes, tasks (0 1) (2 3) (4), class 5 in none."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from maskcl.engine.masking import TaskMasking
from maskcl.engine.steps import StepPlan
from maskcl.errors import MaskclWarning
from maskcl.mask import Mask
from maskcl.methods import find

TASK_OF_CLASS = torch.tensor([0, 0, 1, 1, 2, -1])
STREAM, ALL = [0, 0, 1, 1, 0, 0], [1] * 6
NONE = torch.zeros(0, dtype=torch.int64)


def masking(task: int = 1, *, of_class: Tensor = TASK_OF_CLASS, phase_rows: str = "task", **mask: Any) -> TaskMasking:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MaskclWarning)
        method = find("er")(mask=Mask(**mask) if mask else None)
    return TaskMasking(method, of_class, task, rows=phase_rows)


def step(labels: list[Any], *sizes: int, active: Tensor | None = None) -> StepPlan:
    return StepPlan(NONE, torch.tensor(labels), sizes, active=active)


def rows(found: Tensor | None) -> list[Any]:
    assert found is not None
    return found.long().tolist()


def test_stream_rows_have_the_classes_of_the_task_and_memory_rows_all() -> None:
    found = masking(leak=0.1)
    assert rows(found.active(step([2, 3], 2))) == [STREAM] * 2
    assert rows(found.active(step([2, 3, 0, 2, 1], 2, 2, 1))) == [STREAM] * 2 + [ALL] * 3
    assert rows(found.active(step([2], 1))) == [STREAM]


def test_without_a_mask_or_before_its_task_no_class_is_masked() -> None:
    assert masking().active(step([2, 3], 2)) is None
    assert masking(0, leak=0.1, from_task=1).active(step([0, 1], 2)) is None
    assert masking(1, leak=0.1, from_task=1).active(step([2, 3], 2)) is not None


def test_classes_seen_and_current_are_those_of_the_tasks() -> None:
    for task, (seen, current) in enumerate(
        [([1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]), ([1, 1, 1, 1, 0, 0], STREAM), ([1] * 5 + [0], [0, 0, 0, 0, 1, 0])]
    ):
        assert rows(masking(task).seen) == seen
        assert rows(masking(task).current) == current


def test_visible_is_of_every_row_and_from_the_first_task_on() -> None:
    assert masking(leak=0.1).visible is None
    for task in range(3):
        found = masking(task, leak=0.1, visible="seen", from_task=2)
        assert torch.equal(found.visible, found.seen)


def test_future_classes_stay_active_where_that_is_asked_for() -> None:
    found = masking(value=-math.inf, keep_future=True)
    assert rows(found.active(step([2], 1))) == [[0, 0, 1, 1, 1, 0]]
    own = torch.tensor([[False, False, True, False, False, False]])
    found = masking(value=-math.inf, policy="batch", keep_future=True)
    assert rows(found.active(step([2, 2, 0], 2, 1, active=own))) == [[0, 0, 1, 0, 1, 0]] * 2 + [ALL]


def test_a_step_may_bring_its_own_active_classes() -> None:
    own = torch.tensor([[True, False, False, True, False, False]])
    found = masking(leak=0.1, policy="batch")
    assert rows(found.active(step([3, 0, 2], 2, 1, active=own))) == [[1, 0, 0, 1, 0, 0]] * 2 + [ALL]
    other = torch.tensor([[False, False, True, False, False, False]])
    assert rows(found.active(step([2, 2, 2], 2, 1, active=other))) == [[0, 0, 1, 0, 0, 0]] * 2 + [ALL]


def test_memory_rows_may_be_masked_by_their_own_task() -> None:
    found = masking(leak=0.1, memory_rows="own-task")
    expected = [STREAM, [1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]]
    assert rows(found.active(step([2, 0, 3], 1, 2))) == expected
    assert rows(found.active(step([2], 1))) == [STREAM]


def test_where_all_rows_are_the_stream_all_their_classes_are_current() -> None:
    found = masking(2, phase_rows="all", leak=0.1, policy="batch")
    assert rows(found.current) == [1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    "mask",
    [
        {"leak": 0.1},
        {"leak": 0.1, "visible": "seen"},
        {"leak": 0.1, "memory_rows": "own-task"},
        {"leak": 0.1, "keep_future": True},
        {"leak": 0.1, "policy": "batch"},
        {"leak": 0.1, "policy": "batch", "keep_future": True, "memory_rows": "own-task"},
    ],
    ids=str,
)
@pytest.mark.parametrize("sizes", [(2,), (2, 1), (1, 1, 1)], ids=str)
def test_members_with_their_own_tasks_have_their_own_classes(mask: dict[str, Any], sizes: tuple[int, ...]) -> None:
    of_class = torch.stack([TASK_OF_CLASS, torch.tensor([1, 2, 0, -1, 0, 1])])
    labels = torch.tensor([[2, 3, 0], [0, 5, 2]])[:, : sum(sizes)]
    both = masking(of_class=of_class[:, None], **mask)
    own = torch.tensor([[0, 0, 1, 1, 0, 0], [1, 0, 0, 0, 0, 1]], dtype=torch.bool)[:, None]
    own_step = own if "policy" in mask else None
    found = both.active(StepPlan(NONE, labels, sizes, active=own_step))
    assert found is not None
    for k in range(2):
        one = masking(of_class=of_class[k], **mask)
        alone = StepPlan(NONE, labels[k], sizes, active=None if own_step is None else own_step[k])
        expected = one.active(alone)
        assert expected is not None
        assert torch.equal(found.expand(2, -1, -1)[k], expected)
        for name in ("visible", "seen", "current"):
            mine, theirs = getattr(both, name), getattr(one, name)
            assert (mine is None and theirs is None) or torch.equal(mine[k, 0], theirs)
