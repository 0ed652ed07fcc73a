"""Herding at a task's end: the one policy that looks at features, and so cannot be planned ahead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from maskcl.memory import MemoryState, herding_order
from maskcl.scenario import Scenario

__all__ = ["herd"]

Ints = NDArray[np.int64]


def herd(
    state: MemoryState, scenario: Scenario, task: int, features: Callable[[Ints], NDArray[np.float64]]
) -> tuple[Ints, MemoryState]:
    """Choose the rows nearest to their class means, as many of each class seen.

    Args:
        state: The memory during the task: rows of earlier tasks, in herding's order within each class.
        scenario: The tasks.
        task: The one that ended.
        features: Maps row ids [n] to features [n, D].

    Returns:
        The old slots that are kept, in the order in which they come first in the new memory; the new memory.
    """
    labels, size = scenario.dataset.train_labels, len(state.rows)
    seen = [c for classes in scenario.tasks[: task + 1] for c in classes]
    quota = max(1, size // len(seen))
    old = [np.flatnonzero(state.labels == c)[:quota] for c in seen[: -len(scenario.tasks[task])]]
    slots = np.concatenate([np.zeros(0, np.int64), *old])[:size]
    chosen = [state.rows[slots]]
    for c in scenario.tasks[task]:
        rows = scenario.train_rows[task][labels[scenario.train_rows[task]] == c]
        found = features(rows)
        found = found / np.linalg.norm(found, axis=1, keepdims=True).clip(min=1e-12)
        chosen.append(rows[herding_order(found, quota)])
    rows = np.concatenate(chosen)[:size]
    refilled = MemoryState.empty(size, scenario.num_classes)
    refilled.rows[: len(rows)], refilled.labels[: len(rows)] = rows, labels[rows]
    return slots, replace(refilled, num_seen=state.num_seen, class_counts=state.class_counts)
