"""Checks and the one mean that all metrics share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from maskcl.errors import ShapeError, check

Floats = npt.NDArray[np.float64]


def as_matrix(matrix: npt.ArrayLike, where: str = "matrix") -> Floats:
    """Return float64 [..., T, T], T at least 1."""
    array = np.asarray(matrix, dtype=np.float64)
    square = array.ndim >= 2 and array.shape[-1] == array.shape[-2] >= 1
    check(square, where, "must have shape [..., T, T] with T at least 1", array.shape, error=ShapeError)
    return array


def as_tasks(values: npt.ArrayLike, num_tasks: int, where: str) -> Floats:
    """Return float64 [..., T]."""
    array = np.asarray(values, dtype=np.float64)
    fits = array.ndim >= 1 and array.shape[-1] == num_tasks
    check(fits, where, f"must have shape [..., T] with T = {num_tasks}", array.shape, error=ShapeError)
    return array


def as_weights(weights: npt.ArrayLike | None, num_tasks: int) -> Floats:
    """Return weights [..., T]: those given, or ones."""
    if weights is None:
        return np.ones(num_tasks)
    array = as_tasks(weights, num_tasks, "weights")
    check(bool((array >= 0).all()), "weights", "must be 0 or more", weights)
    return array


def ratio(numerator: Any, denominator: Any) -> Floats:
    """Divide; NaN, without a warning, where the denominator is 0 or NaN."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    found = np.full(numerator.shape, np.nan)
    with np.errstate(over="ignore"):  # by next to nothing: infinite
        np.divide(numerator, denominator, out=found, where=(denominator != 0) & ~np.isnan(denominator))
    return found[()]


def mean(values: Floats, weights: Floats) -> Floats:
    """Weighted mean over the last dimension; NaN where nothing has weight. A value of weight 0 may be NaN."""
    return ratio(np.where(weights > 0, values * weights, 0.0).sum(-1), np.broadcast_to(weights, values.shape).sum(-1))
