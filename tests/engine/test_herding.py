from __future__ import annotations

from typing import Any

import numpy as np
import torch
from engine.small import SCENARIO, spec, train

from maskcl import class_incremental, from_arrays
from maskcl.engine import Population
from maskcl.engine.herding import herd
from maskcl.memory import MemoryConfig, MemoryState, herding_order

LABELS = np.repeat([0, 1, 2], 4)
INPUTS = np.array([[x] for x in (0, 4, 5, 3, 9, 1, 5, 5, 7, 7, 7, 1)], np.float32)
TINY = class_incremental(from_arrays(INPUTS, LABELS, INPUTS, LABELS), tasks=[[0, 1], [2]])


def _features(rows: np.ndarray) -> np.ndarray:
    """On the unit circle, so that the normalisation leaves them alone."""
    angle = INPUTS[rows, 0] / 10
    return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float64)


def _order(c: int) -> np.ndarray:
    rows = np.flatnonzero(c == LABELS)
    return rows[herding_order(_features(rows), len(rows))]


def test_each_class_gets_its_quota_in_herdings_order_and_old_ones_are_cut_to_a_prefix() -> None:
    empty = MemoryState.empty(7, 3)
    kept, first = herd(empty, TINY, 0, _features)
    assert kept.tolist() == []
    assert first.rows.tolist() == [*_order(0)[:3], *_order(1)[:3], -1]
    assert first.labels.tolist() == [0, 0, 0, 1, 1, 1, -1]
    kept, second = herd(first, TINY, 1, _features)
    assert kept.tolist() == [0, 1, 3, 4]
    assert second.rows.tolist() == [*_order(0)[:2], *_order(1)[:2], *_order(2)[:2], -1]
    assert second.filled == 6


def test_features_are_normalised() -> None:
    _, plain = herd(MemoryState.empty(6, 3), TINY, 0, _features)
    _, longer = herd(MemoryState.empty(6, 3), TINY, 0, lambda rows: _features(rows) * (1.0 + rows[:, None]))
    assert plain.rows.tolist() == longer.rows.tolist()


def test_fewer_slots_than_classes_hold_one_row_of_each_of_the_first() -> None:
    _, first = herd(MemoryState.empty(2, 3), TINY, 0, _features)
    kept, second = herd(first, TINY, 1, _features)
    assert kept.tolist() == [0, 1]
    assert second.rows.tolist() == [_order(0)[0], _order(1)[0]]


def _run(key: str, **options: Any) -> Population:
    return Population([spec(key, memory=MemoryConfig(size=9, policy="herding"), **options)], stacked=False)


def test_a_run_replays_from_the_second_task_and_stores_logits_of_the_tasks_end() -> None:
    population = _run("derpp")
    assert population.plan(0).first_replay == 7  # steps: 26 rows in batches of 4
    population = train(_run("derpp"), range(1))
    state = population.memories[0]
    assert state is not None
    assert np.bincount(state.labels[state.rows >= 0]).tolist() == [4, 4]
    expected = population.model.predict(0, population.inputs[state.rows[:8]])
    torch.testing.assert_close(population.logits[:8], expected)
    first = {int(row): population.logits[slot].clone() for slot, row in enumerate(state.rows[:8])}
    assert population.plan(1).first_replay == 0
    population = train(_run("derpp"), range(2))
    state = population.memories[0]
    assert state is not None
    assert np.bincount(state.labels[state.rows >= 0]).tolist() == [2, 2, 2, 2]
    for slot, row in enumerate(state.rows[:4].tolist()):  # rows of the first task keep the logits they had
        torch.testing.assert_close(population.logits[slot], first[row])


def test_a_run_chooses_by_its_own_features() -> None:
    population = train(_run("er"), range(1))
    state = population.memories[0]
    assert state is not None
    rows = SCENARIO.train_rows[0][population.labels[SCENARIO.train_rows[0]] == 0]
    features = population.model.features(0, population.inputs[rows])
    expected = rows[herding_order(torch.nn.functional.normalize(features, dim=1).numpy(), 4)]
    assert state.rows[:4].tolist() == expected.tolist()
