from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from engine.small import SCENARIO, logits, spec, train

from maskcl import class_incremental, from_arrays
from maskcl.engine import Population
from maskcl.memory import Herding, MemoryConfig, MemoryState, herding_order
from maskcl.scenario import Scenario
from maskcl.view import Outputs, View

LABELS = np.repeat([0, 1, 2], 4)
INPUTS = np.array([[x] for x in (0, 4, 5, 3, 9, 1, 5, 5, 7, 7, 7, 1)], np.float32)
TINY = class_incremental(from_arrays(INPUTS, LABELS, INPUTS, LABELS), tasks=[[0, 1], [2]])

Features = Callable[[np.ndarray], np.ndarray]


def _features(rows: np.ndarray) -> np.ndarray:
    """On the unit circle, so that the normalisation leaves them alone."""
    angle = INPUTS[rows, 0] / 10
    return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float64)


def _order(c: int) -> np.ndarray:
    rows = np.flatnonzero(c == LABELS)
    return rows[herding_order(_features(rows), len(rows))]


class Ended:
    """What a policy sees when a task has ended, with features that are given."""

    def __init__(self, scenario: Scenario, task: int, features: Features) -> None:
        self.tasks, self.task_rows, self._features = scenario.tasks[: task + 1], scenario.train_rows[task], features

    def labels(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(LABELS[rows])

    def outputs(self, rows: np.ndarray) -> Outputs:
        return Outputs(torch.zeros(len(rows), 3), torch.from_numpy(self._features(rows)))


def herd(state: MemoryState, task: int, features: Features = _features) -> MemoryState:
    return Herding().refill(state, cast(View, Ended(TINY, task, features)))


def test_each_class_gets_its_quota_in_herdings_order_and_old_ones_are_cut_to_a_prefix() -> None:
    empty = MemoryState.empty(7, 3)
    first = herd(empty, 0)
    assert empty.rows.tolist() == [-1] * 7
    assert first.rows.tolist() == [*_order(0)[:3], *_order(1)[:3], -1]
    assert first.labels.tolist() == [0, 0, 0, 1, 1, 1, -1]
    second = herd(first, 1)
    assert second.rows[:4].tolist() == first.rows[[0, 1, 3, 4]].tolist()
    assert second.rows.tolist() == [*_order(0)[:2], *_order(1)[:2], *_order(2)[:2], -1]
    assert second.labels.tolist() == [0, 0, 1, 1, 2, 2, -1]
    assert second.filled == 6


def test_counts_of_the_stream_are_kept() -> None:
    state = MemoryState(np.full(7, -1), np.full(7, -1), 8, np.array([4, 4, 0]))
    assert herd(state, 0).num_seen == 8
    assert herd(state, 0).class_counts.tolist() == [4, 4, 0]


def test_features_are_normalised() -> None:
    plain = herd(MemoryState.empty(6, 3), 0)
    longer = herd(MemoryState.empty(6, 3), 0, lambda rows: _features(rows) * (1.0 + rows[:, None]))
    assert plain.rows.tolist() == longer.rows.tolist()


def test_features_of_any_shape_are_flattened() -> None:
    flat = herd(MemoryState.empty(6, 3), 0)
    assert herd(MemoryState.empty(6, 3), 0, lambda rows: _features(rows)[:, :, None, None]).rows.tolist() == (
        flat.rows.tolist()
    )


def test_fewer_slots_than_classes_hold_one_row_of_each_of_the_first() -> None:
    first = herd(MemoryState.empty(2, 3), 0)
    assert first.rows.tolist() == [_order(0)[0], _order(1)[0]]
    second = herd(first, 1)
    assert second.rows.tolist() == [_order(0)[0], _order(1)[0]]
    assert Herding().least_size(3) == 3  # so a run with fewer is refused


def _run(key: str, *, stacked: bool = False, **options: Any) -> Population:
    return Population([spec(key, memory=MemoryConfig(size=9, policy="herding"), **options)], stacked=stacked)


def test_a_run_replays_from_the_second_task_and_stores_logits_of_the_tasks_end() -> None:
    (plan,) = _run("derpp").plan(0).members
    assert plan.num_steps == plan.first_replay == 7  # 26 rows in batches of 4
    for stacked in (False, True):
        population = train(_run("derpp", stacked=stacked), range(1))
        state = population.state.memories[0]
        assert state is not None
        assert np.bincount(state.labels[state.rows >= 0]).tolist() == [4, 4]
        expected = population.model.one(0)(population.data.train.rows(state.rows[:8])).logits
        torch.testing.assert_close(logits(population, 0)[:8], expected)
        first = {int(row): logits(population, 0)[slot].clone() for slot, row in enumerate(state.rows[:8])}
        (plan,) = population.plan(1).members
        assert plan.first_replay == 0
        population = train(_run("derpp", stacked=stacked), range(2))
        state = population.state.memories[0]
        assert state is not None
        assert np.bincount(state.labels[state.rows >= 0]).tolist() == [2, 2, 2, 2]
        for slot, row in enumerate(state.rows[:4].tolist()):  # rows of the first task keep the logits they had
            torch.testing.assert_close(logits(population, 0)[slot], first[row])
        expected = population.model.one(0)(population.data.train.rows(state.rows[4:8])).logits
        torch.testing.assert_close(logits(population, 0)[4:8], expected)


def test_a_run_chooses_by_its_own_features() -> None:
    population = train(_run("er"), range(1))
    state = population.state.memories[0]
    assert state is not None
    rows = SCENARIO.train_rows[0][population.data.labels[SCENARIO.train_rows[0]] == 0]
    features = population.model.one(0)(population.data.train.rows(rows)).features
    assert features is not None
    assert features.shape == (13, 12)
    expected = rows[herding_order(torch.nn.functional.normalize(features, dim=1).numpy(), 4)]
    assert state.rows[:4].tolist() == expected.tolist()
