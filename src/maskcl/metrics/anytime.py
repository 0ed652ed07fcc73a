"""What happens between task ends, and at the switches: evaluation every few steps, confidence, bias to the newest task.

`anytime` [..., E, T] holds E evaluations in order, on the test rows of each task; `tasks` [E] says which task was being
trained at each. The accuracy matrix joins them with the state at each task's end, since an evaluation every k steps
need not fall on it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from maskcl.errors import ShapeError, check
from maskcl.metrics._shapes import Floats, as_matrix, as_weights, mean, ratio

__all__ = [
    "average_anytime_accuracy",
    "confidence_collapse",
    "newest_task_bias",
    "newest_task_share",
    "stability_gap",
    "switch_drops",
    "worst_case_accuracy",
]

Weights = npt.ArrayLike | None


def average_anytime_accuracy(anytime: npt.ArrayLike, tasks: npt.ArrayLike, *, weights: Weights = None) -> Floats:
    """Mean over evaluations e of (mean over u <= tasks[e] of anytime[e, u]).

    Args:
        anytime: Accuracies [..., E, T].
        tasks: Task in training at each evaluation, int [E].
        weights: Weight of each task in the inner mean, [..., T]; None: all alike.

    Returns:
        Fractions [...]; NaN without evaluations.
    """
    values, current = _as_anytime(anytime, tasks)
    num_tasks = values.shape[-1]
    met = np.arange(num_tasks) <= current[:, None]
    w = met * as_weights(weights, num_tasks)[..., None, :]
    return mean(mean(np.where(met, values, 0.0), w), np.ones(len(current)))


def worst_case_accuracy(
    matrix: npt.ArrayLike, anytime: npt.ArrayLike, tasks: npt.ArrayLike, *, weights: Weights = None
) -> Floats:
    """Mean over old tasks u < T-1 of the lowest accuracy on u after its own training. NaN with one task.

    Args:
        matrix: Accuracies at task ends, [..., T, T].
        anytime: Accuracies in between, [..., E, T].
        tasks: Task in training at each evaluation, int [E].
        weights: Weight of each task, [..., T]; the last one is not used.

    Returns:
        Fractions [...].

    Source: min-ACC of De Lange et al., arXiv 2205.13452.
    """
    lows = _lows(as_matrix(matrix), anytime, tasks)
    num_tasks = lows.shape[-1]
    later = ~np.tri(num_tasks, dtype=bool).T  # t > u
    worst = np.where(later, lows, np.inf).min(-2)[..., :-1]
    return mean(worst, as_weights(weights, num_tasks)[..., :-1])


def stability_gap(
    matrix: npt.ArrayLike, anytime: npt.ArrayLike, tasks: npt.ArrayLike, *, weights: Weights = None
) -> Floats:
    """Mean over switches of the accuracy on old tasks just before the switch minus its minimum within the next task.

    Args:
        matrix: Accuracies at task ends, [..., T, T].
        anytime: Accuracies in between, [..., E, T].
        tasks: Task in training at each evaluation, int [E].
        weights: Weight of each task among the old ones, [..., T]; None: all alike.

    Returns:
        Fractions [...]; NaN with one task.
    """
    return _mean_drop(switch_drops(matrix, anytime, tasks, weights=weights))


def confidence_collapse(
    confidence: npt.ArrayLike,
    anytime: npt.ArrayLike | None = None,
    tasks: npt.ArrayLike | None = None,
    *,
    weights: Weights = None,
) -> Floats:
    """Mean over switches of how far the confidence in old classes falls.

    Without `anytime` the state after a switch is known at the next task's end alone: a switch to task t then counts
    the mean over old tasks u < t of confidence[t-1, u] - confidence[t, u], which is at most what `anytime` would show.

    Args:
        confidence: Mean softmax probability of the true class on task u after task t, [..., T, T].
        anytime: The same every few steps, [..., E, T].
        tasks: Task in training at each of these, int [E].
        weights: Weight of each task among the old ones, [..., T]; None: all alike.

    Returns:
        Fractions [...]; NaN with one task.
    """
    return _mean_drop(switch_drops(confidence, anytime, tasks, weights=weights))


def switch_drops(
    matrix: npt.ArrayLike,
    anytime: npt.ArrayLike | None = None,
    tasks: npt.ArrayLike | None = None,
    *,
    weights: Weights = None,
) -> Floats:
    """Fall at each switch: mean over u < t of matrix[t-1, u] - (minimum over task t's evaluations and matrix[t, u]).

    Args:
        matrix: Accuracy or confidence at task ends, [..., T, T].
        anytime: The same every few steps, [..., E, T]; None: task ends alone.
        tasks: Task in training at each of these, int [E].
        weights: Weight of each task among the old ones, [..., T]; None: all alike.

    Returns:
        One number for each switch t = 1 .. T-1, [..., T-1].
    """
    a = as_matrix(matrix)
    num_tasks = a.shape[-1]
    lows = a if anytime is None or tasks is None else _lows(a, anytime, tasks)
    old = np.tri(num_tasks, k=-1, dtype=bool)[1:]
    w = old * as_weights(weights, num_tasks)[..., None, :]
    return mean(np.where(old, a[..., :-1, :] - lows[..., 1:, :], 0.0), w)


def newest_task_share(shares: npt.ArrayLike) -> Floats:
    """Share of predictions that fall on the newest task's classes after the last task, of all tasks' test rows.

    Without bias it is the last task's share of the rows, 1 / T with equal tasks.

    Args:
        shares: That share after each task, over the rows of the tasks met so far, [..., T].

    Returns:
        Fractions [...].
    """
    return np.asarray(shares, np.float64)[..., -1]


def newest_task_bias(shares: npt.ArrayLike, *, weights: Weights = None) -> Floats:
    """Mean over t >= 1 of shares[t] minus the newest task's true share of the rows of tasks 0 .. t.

    Args:
        shares: As in `newest_task_share`, [..., T].
        weights: Test rows of each task, [..., T]; None: equal tasks.

    Returns:
        Fractions [...], 0 without bias; NaN with one task.
    """
    values = np.asarray(shares, np.float64)
    rows = as_weights(weights, values.shape[-1])
    excess = values - ratio(rows, rows.cumsum(-1))
    return _mean_drop(excess[..., 1:])


def _mean_drop(per_switch: Floats) -> Floats:
    return mean(per_switch, np.ones(per_switch.shape[-1]))


def _as_anytime(anytime: npt.ArrayLike, tasks: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.int64]]:
    values, current = np.asarray(anytime, np.float64), np.asarray(tasks, np.int64)
    fits = values.ndim >= 2 and current.ndim == 1 and values.shape[-2] == len(current)
    got = (values.shape, current.shape)
    check(fits, "anytime and tasks", "must have shapes [..., E, T] and [E]", got, error=ShapeError)
    return values, current


def _lows(a: Floats, anytime: npt.ArrayLike, tasks: npt.ArrayLike) -> Floats:
    """Lowest value on task u while task t was trained, its end included, [..., T, T]."""
    values, current = _as_anytime(anytime, tasks)
    same = values.shape[-1] == a.shape[-1] and values.shape[:-2] == a.shape[:-2]
    got = (a.shape, values.shape)
    check(same, "matrix and anytime", "must have shapes [..., T, T] and [..., E, T]", got, error=ShapeError)
    lows = a.copy()
    np.minimum.at(np.moveaxis(lows, -2, 0), current, np.moveaxis(values, -2, 0))
    return lows
