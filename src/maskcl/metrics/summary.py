"""All metrics of one run, by name, as a result file holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from maskcl.metrics import anytime as at
from maskcl.metrics import matrix as of

__all__ = ["summary"]

OF_MATRIX: tuple[Callable[..., Any], ...] = (
    of.final_accuracy,
    of.average_incremental_accuracy,
    of.forgetting,
    of.forgetting_with_last,
    of.backward_transfer,
    of.learning_accuracy,
    of.stability,
)


def summary(
    class_incremental: npt.ArrayLike,
    task_incremental: npt.ArrayLike,
    *,
    untrained: Mapping[str, npt.ArrayLike] | None = None,
    confidence: npt.ArrayLike | None = None,
    newest_share: npt.ArrayLike | None = None,
    anytime: Mapping[str, npt.ArrayLike] | None = None,
    weights: npt.ArrayLike | None = None,
) -> dict[str, float]:
    """Compute every metric of one run that the data given allows.

    Args:
        class_incremental: Accuracies [T, T] with the argmax over all visible classes.
        task_incremental: Accuracies [T, T] within the row's own task; their metrics end in `_task_incremental`.
        untrained: "class_incremental" and "task_incremental" of the untrained network, [T] each, for forward_transfer.
        confidence: Mean softmax probability of the true class, [T, T], for confidence_collapse.
        newest_share: Share of predictions on the newest task's classes after each task, [T].
        anytime: "task" [E], "class_incremental" [E, T] and "confidence" [E, T] of evaluations every few steps.
        weights: Test rows of each task, [T]. Where they differ, every metric of a matrix also comes with the rows
            weighed alike, named `..._weighted`.

    Returns:
        Fractions by name; NaN where undefined (one task, a run that diverged).
    """
    unequal = weights is not None and np.ptp(np.asarray(weights, np.float64)) > 0
    found: dict[str, Any] = {}
    for kind, matrix, suffix in (
        ("class_incremental", class_incremental, ""),
        ("task_incremental", task_incremental, "_task_incremental"),
    ):
        for extra, w in (("", None), ("_weighted", weights))[: 1 + unequal]:
            for metric in OF_MATRIX:
                found[metric.__name__ + extra + suffix] = metric(matrix, weights=w)
            if untrained is not None:
                found["forward_transfer" + extra + suffix] = of.forward_transfer(matrix, untrained[kind], weights=w)
    if confidence is not None:
        steps = () if anytime is None else (anytime["confidence"], anytime["task"])
        found["confidence_collapse"] = at.confidence_collapse(confidence, *steps)
    if newest_share is not None:
        found["newest_task_share"] = at.newest_task_share(newest_share)
        found["newest_task_bias"] = at.newest_task_bias(newest_share, weights=weights)
    if anytime is not None:
        steps = (anytime["class_incremental"], anytime["task"])
        found["average_anytime_accuracy"] = at.average_anytime_accuracy(*steps)
        found["worst_case_accuracy"] = at.worst_case_accuracy(class_incremental, *steps)
        found["stability_gap"] = at.stability_gap(class_incremental, *steps)
    return {name: float(value) for name, value in found.items()}
