"""Hold rows out by class, the same ones on every machine and in every run."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from maskcl import rng

__all__ = ["held_out_rows", "rows_by_class"]

Rows = npt.NDArray[np.int64]


def rows_by_class(labels: Rows, num_classes: int) -> list[Rows]:
    """Return the rows of each class, ascending: C arrays of labels [N], empty ones for classes without rows.

    >>> [rows.tolist() for rows in rows_by_class(np.array([2, 0, 2]), 3)]
    [[1], [], [0, 2]]
    """
    counts = np.bincount(labels, minlength=num_classes)
    return np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])


def held_out_rows(class_rows: list[Rows], fraction: float, *, purpose: str, seed: int = 0) -> list[Rows]:
    """Choose from each class the rows to hold out.

    The choice depends on purpose and seed, the class and its rows alone: not on a run's seed, so that all runs are
    judged on the same rows. What a smaller fraction holds out, a larger one holds out too.

    Args:
        class_rows: Rows of each class, as from `rows_by_class`.
        fraction: Share of every class, 0 < fraction < 1, rounded to the nearest row; at least one row of a
            class is held out and at least one stays, which a class of one row settles by staying.
        purpose: What for; different purposes choose independently.
        seed: For choices that someone may want to make anew.

    Returns:
        The held-out rows of each class, ascending.
    """
    held = []
    for label, rows in enumerate(class_rows):
        count = min(max(1, math.floor(fraction * len(rows) + 0.5)), max(0, len(rows) - 1))
        held.append(np.sort(rng.generator(seed, purpose, label).permutation(rows)[:count]))
    return held
