"""Metrics of one accuracy matrix, a[t, u]: accuracy on task u after training task t."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from maskcl.metrics._shapes import Floats, as_matrix, as_tasks, as_weights, mean, ratio

__all__ = [
    "average_incremental_accuracy",
    "backward_transfer",
    "final_accuracy",
    "forgetting",
    "forgetting_with_last",
    "forward_transfer",
    "learning_accuracy",
    "stability",
]

Weights = npt.ArrayLike | None


def final_accuracy(matrix: npt.ArrayLike, *, weights: Weights = None) -> Floats:
    """Mean over tasks u of a[T-1, u].

    Args:
        matrix: Accuracies [..., T, T].
        weights: Weight of each task, 0 or more, [..., T]; None: all alike.

    Returns:
        Fractions [...].

    >>> float(final_accuracy([[0.9, 0.0], [0.5, 0.8]]))
    0.65
    """
    a = as_matrix(matrix)
    return mean(a[..., -1, :], as_weights(weights, a.shape[-1]))


def average_incremental_accuracy(matrix: npt.ArrayLike, *, weights: Weights = None) -> Floats:
    """Mean over t of (mean over u <= t of a[t, u]).

    Args:
        matrix: Accuracies [..., T, T].
        weights: Weight of each task in the inner mean, [..., T]; None: all alike. The outer mean is plain.

    Returns:
        Fractions [...].
    """
    a = as_matrix(matrix)
    num_tasks = a.shape[-1]
    met = np.tri(num_tasks, dtype=bool)
    w = met * as_weights(weights, num_tasks)[..., None, :]
    return mean(np.where(met, a, 0.0), w).mean(-1)


def forgetting(matrix: npt.ArrayLike, *, weights: Weights = None) -> Floats:
    """Mean over u < T-1 of (max over u <= t < T-1 of a[t, u]) - a[T-1, u].

    Negative where old tasks improved with the last one. The last row is not among those of the maximum; see
    `forgetting_with_last` for the variant in which it is. NaN with one task.

    Args:
        matrix: Accuracies [..., T, T].
        weights: Weight of each task, [..., T]; the last one is not used.

    Returns:
        Fractions [...].

    Source: Chaudhry et al., arXiv 1801.10112.

    >>> float(forgetting([[0.5, 0.0], [0.75, 0.8]]))
    -0.25
    """
    a = as_matrix(matrix)
    return _forgetting(a, a[..., :-1, :-1], weights)


def forgetting_with_last(matrix: npt.ArrayLike, *, weights: Weights = None) -> Floats:
    """Forgetting with t = T-1 among the rows of the maximum: never negative. Several code bases report this one.

    Args:
        matrix: Accuracies [..., T, T].
        weights: Weight of each task, [..., T]; the last one is not used.

    Returns:
        Fractions [...].
    """
    a = as_matrix(matrix)
    return _forgetting(a, a[..., :, :-1], weights)


def _forgetting(a: Floats, rows: Floats, weights: Weights) -> Floats:
    """Forgetting with the maximum over t >= u of `rows` [..., S, T-1]."""
    learnt = np.tri(rows.shape[-2], rows.shape[-1], dtype=bool)
    best = np.where(learnt, rows, -np.inf).max(axis=-2, initial=-np.inf)
    return mean(best - a[..., -1, :-1], as_weights(weights, a.shape[-1])[..., :-1])


def backward_transfer(matrix: npt.ArrayLike, *, weights: Weights = None) -> Floats:
    """Mean over u < T-1 of a[T-1, u] - a[u, u]. NaN with one task.

    Args:
        matrix: Accuracies [..., T, T].
        weights: Weight of each task, [..., T]; the last one is not used.

    Returns:
        Fractions [...], negative with forgetting.
    """
    a = as_matrix(matrix)
    return mean((a[..., -1, :] - _diagonal(a))[..., :-1], as_weights(weights, a.shape[-1])[..., :-1])


def forward_transfer(matrix: npt.ArrayLike, baseline: npt.ArrayLike, *, weights: Weights = None) -> Floats:
    """Mean over u >= 1 of a[u-1, u] - baseline[u]. NaN with one task.

    Args:
        matrix: Accuracies [..., T, T], with the diagonal above the main one filled in.
        baseline: Accuracies of the untrained network, [..., T].
        weights: Weight of each task, [..., T]; the first one is not used.

    Returns:
        Fractions [...].
    """
    a = as_matrix(matrix)
    before = np.diagonal(a, offset=1, axis1=-2, axis2=-1)
    base = as_tasks(baseline, a.shape[-1], "baseline")
    return mean(before - base[..., 1:], as_weights(weights, a.shape[-1])[..., 1:])


def learning_accuracy(matrix: npt.ArrayLike, *, weights: Weights = None) -> Floats:
    """Mean over u of a[u, u]: plasticity, how well each task is learnt when it comes.

    Args:
        matrix: Accuracies [..., T, T].
        weights: Weight of each task, [..., T]; None: all alike.

    Returns:
        Fractions [...].
    """
    a = as_matrix(matrix)
    return mean(_diagonal(a), as_weights(weights, a.shape[-1]))


def stability(matrix: npt.ArrayLike, *, weights: Weights = None) -> Floats:
    """1 - forgetting / learning accuracy, clipped to [0, 1]. NaN with one task or where nothing was learnt.

    Args:
        matrix: Accuracies [..., T, T].
        weights: Weight of each task, [..., T]; None: all alike.

    Returns:
        Fractions [...].
    """
    lost = forgetting(matrix, weights=weights)
    return np.clip(1.0 - ratio(lost, learning_accuracy(matrix, weights=weights)), 0.0, 1.0)


def _diagonal(a: Floats) -> Floats:
    return np.diagonal(a, axis1=-2, axis2=-1)
