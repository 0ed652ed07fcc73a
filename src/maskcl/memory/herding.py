"""Herding (iCaRL's exemplars): the rows whose features keep closest to the mean of their class, chosen at task ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from maskcl.memory.base import Ints, MemoryPolicy, MemoryState
from maskcl.view import View

__all__ = ["Herding", "herding_order"]


class Herding(MemoryPolicy):
    """As many rows of each class seen, in herding's order within each class: nothing enters during a task."""

    def least_size(self, num_classes: int) -> int:
        """A slot for each class: with fewer, the last classes would never be kept."""
        return num_classes

    def refill(self, state: MemoryState, view: View) -> MemoryState:
        """Cut the classes of earlier tasks to their new share, and choose rows of the task's classes."""
        size, new = len(state.rows), view.tasks[-1]
        seen = [c for classes in view.tasks for c in classes]
        quota = max(1, size // len(seen))
        slots = [np.flatnonzero(state.labels == c)[:quota] for c in seen[: -len(new)]]
        chosen = [state.rows[np.concatenate([np.zeros(0, np.int64), *slots])]]
        labels = view.labels(view.task_rows).cpu().numpy()
        for c in new:
            rows = view.task_rows[labels == c]
            features = view.outputs(rows).features
            assert features is not None
            found = features.flatten(1).cpu().double().numpy()
            found = found / np.linalg.norm(found, axis=1, keepdims=True).clip(min=1e-12)
            chosen.append(rows[herding_order(found, quota)])
        rows = np.concatenate(chosen)[:size]
        refilled = MemoryState.empty(size, len(state.class_counts))
        refilled.rows[: len(rows)], refilled.labels[: len(rows)] = rows, view.labels(rows).cpu().numpy()
        return replace(refilled, num_seen=state.num_seen, class_counts=state.class_counts)


def herding_order(features: NDArray[np.floating], count: int) -> Ints:
    """Choose `count` rows whose running mean keeps closest to the mean of all: herding.

    Args:
        features: Features of one class, L2-normalised by the caller where wanted, [N, D].
        count: How many, at most N.

    Returns:
        Row numbers in the order chosen, int64 [min(count, N)]: any prefix is the choice for a smaller count.

    Source: arXiv 1611.07725, algorithm 4, without repeats.

    >>> herding_order(np.array([[0.0], [4.0], [5.0]]), 3)
    array([1, 0, 2])
    """
    mean, total = features.mean(0), np.zeros(features.shape[1])
    left = np.ones(len(features), bool)
    out = []
    for j in range(min(count, len(features))):
        distance = ((mean - (total + features) / (j + 1)) ** 2).sum(1)
        out.append(int(np.where(left, distance, np.inf).argmin()))
        left[out[-1]] = False
        total += features[out[-1]]
    return np.array(out, np.int64)
