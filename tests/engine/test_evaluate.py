from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from maskcl import class_incremental, from_arrays
from maskcl.engine.evaluate import MOST_CLASSES, Evaluation, Evaluator
from maskcl.engine.model import MOST_ROWS
from maskcl.engine.table import Table
from maskcl.scenario import Scenario

# two tasks of unequal size: classes {0, 1} with three test rows, {2} with two
INPUTS = np.log(np.array([[5, 1, 4], [1, 2, 7], [6, 3, 1], [4, 1, 5], [7, 2, 1]], np.float32))
LABELS = np.array([0, 1, 1, 2, 2])
DATA = from_arrays(INPUTS, LABELS, INPUTS, LABELS)
SCENARIO = class_incremental(DATA, tasks=[[0, 1], [2]])


def _identity(inputs: Tensor) -> Tensor:
    return inputs


def _evaluator(scenario: Scenario = SCENARIO) -> Evaluator:
    return Evaluator(scenario, Table(scenario.eval_inputs, torch.float64, None))


def _evaluate(task: int, *, seen_only: bool = False, scenario: Scenario = SCENARIO) -> Evaluation:
    (found,) = _evaluator(scenario)([_identity], task, seen_only=seen_only)
    return found


def test_one_network_by_hand() -> None:
    """Logits are the inputs. Predicted 0, 2, 0 | 2, 0; within the task 0, 1, 0 | 2, 2."""
    found = _evaluate(1)
    assert found.class_incremental.tolist() == pytest.approx([1 / 3, 1 / 2])
    assert found.task_incremental.tolist() == pytest.approx([2 / 3, 1.0])
    assert found.confidence.tolist() == pytest.approx([(0.5 + 0.2 + 0.3) / 3, (0.5 + 0.1) / 2], rel=1e-6)
    assert found.newest_share == pytest.approx(2 / 5)
    assert found.level is not None
    assert found.level.tolist() == pytest.approx([np.log(5 * 2 * 3) / 3, np.log(5 * 1) / 2], rel=1e-6)


def test_the_share_of_the_newest_task_is_over_rows_of_tasks_met_so_far() -> None:
    assert _evaluate(0).newest_share == pytest.approx(2 / 3)


def test_invisible_classes_are_neither_predicted_nor_believed_in() -> None:
    found = _evaluate(0, seen_only=True)
    assert found.class_incremental.tolist() == pytest.approx([2 / 3, 0.0])
    assert found.confidence.tolist() == pytest.approx([(5 / 6 + 2 / 3 + 3 / 9) / 3, 0.0], rel=1e-6)
    assert found.task_incremental.tolist() == pytest.approx([2 / 3, 1.0])
    assert found.newest_share == 1.0
    assert found.level is not None
    assert found.level.tolist() == pytest.approx([np.log(5 * 2 * 3) / 3, np.log(5) / 2], rel=1e-6)  # scores as they are


def test_what_is_predicted_for_what_is_counted_after_the_last_task() -> None:
    assert _evaluate(0).confusion is None
    confusion = _evaluate(1).confusion
    assert confusion is not None
    assert confusion["by"] == "class"
    assert confusion["counts"].tolist() == [[1, 0, 0], [1, 0, 1], [1, 0, 1]]
    hidden = _evaluate(0, seen_only=True, scenario=class_incremental(DATA, tasks=[[0, 1]])).confusion
    assert hidden is not None
    assert hidden["counts"].tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_of_many_classes_what_is_predicted_is_counted_by_task_in_their_order() -> None:
    """Row i is of class i, and its own class is predicted but for the first: it goes to class 1."""
    inputs = np.eye(MOST_CLASSES + 1, dtype=np.float32)
    inputs[0, 1] = 2.0
    labels = np.arange(MOST_CLASSES + 1)
    data = from_arrays(inputs, labels, inputs, labels)
    counted = _evaluate(1, scenario=class_incremental(data, tasks=[labels[1:].tolist(), [0]])).confusion
    assert counted is not None
    assert counted["by"] == "task"
    assert counted["counts"].tolist() == [[MOST_CLASSES, 0], [1, 0]]
    left_out = _evaluate(0, scenario=class_incremental(data, tasks=[[0, 2]])).confusion
    assert left_out is not None
    assert left_out["counts"].tolist() == [[1]]  # class 1 is in no task


def test_many_rows_go_in_pieces_and_count_once() -> None:
    copies = MOST_ROWS // 2
    inputs, labels = np.tile(INPUTS, (copies, 1)), np.tile(LABELS, copies)
    scenario = class_incremental(from_arrays(INPUTS, LABELS, inputs, labels), tasks=[[0, 1], [2]])
    sizes = []

    def predict(rows: Tensor) -> Tensor:
        sizes.append(len(rows))
        return rows

    (found,) = _evaluator(scenario)([predict], 1)
    assert sum(sizes) == 5 * copies
    assert max(sizes) == MOST_ROWS
    assert found.class_incremental.tolist() == pytest.approx([1 / 3, 1 / 2])
    assert found.newest_share == pytest.approx(2 / 5)
    assert found.confusion is not None
    assert found.confusion["counts"].sum() == 5 * copies


def test_classes_in_no_task_can_be_predicted_but_are_in_no_tasks_own_choice() -> None:
    scenario = class_incremental(DATA, tasks=[[0, 1]])
    found = _evaluate(0, scenario=scenario)
    assert found.class_incremental.tolist() == pytest.approx([1 / 3])  # row 1 falls to class 2
    assert found.task_incremental.tolist() == pytest.approx([2 / 3])
    assert found.newest_share == pytest.approx(2 / 3)
    hidden = _evaluate(0, seen_only=True, scenario=scenario)  # no task has it, so it is never seen
    assert hidden.class_incremental.tolist() == pytest.approx([2 / 3])


def test_several_networks_are_each_judged_by_themselves() -> None:
    def other(inputs: Tensor) -> Tensor:
        return -inputs

    both = _evaluator()([_identity, other], 1)
    for found, predict in zip(both, (_identity, other), strict=True):
        (alone,) = _evaluator()([predict], 1)
        for name in ("class_incremental", "task_incremental", "confidence"):
            assert getattr(found, name).tolist() == getattr(alone, name).tolist()
        assert found.newest_share == alone.newest_share
    assert both[0].class_incremental.tolist() != both[1].class_incremental.tolist()


def test_no_networks_are_no_evaluations() -> None:
    assert _evaluator()([], 0) == []
