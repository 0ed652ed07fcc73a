"""Uncertainty of a mean over seeds: Student's t intervals, plain and of paired differences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from maskcl.errors import ShapeError, check
from maskcl.metrics._shapes import Floats, ratio

__all__ = ["Interval", "interval", "paired_difference"]


class Interval(NamedTuple):
    """A mean with its uncertainty: mean - half to mean + half.

    Attributes:
        mean: Mean over seeds, [...]; NaN without seeds.
        half: Half the interval's width, [...]; NaN with fewer than two seeds.
        n: Seeds that counted, int [...].
    """

    mean: Floats
    half: Floats
    n: npt.NDArray[np.int64]

    @property
    def excludes_zero(self) -> npt.NDArray[np.bool_]:
        """Whether 0 lies outside, bool [...]; False where there is no interval."""
        return np.abs(self.mean) > self.half


def interval(values: npt.ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean and Student's t interval over seeds.

    Args:
        values: One value a seed, [..., N]; NaN (a diverged or undefined run) is left out, and `n` says so.
        confidence: Coverage, between 0 and 1.

    Returns:
        Mean, half width and count, each [...].

    >>> found = interval([0.7, 0.8, 0.9])
    >>> f"{found.mean:.2f} ± {found.half:.3f}"
    '0.80 ± 0.248'
    """
    from scipy.special import stdtrit  # what scipy.stats.t.ppf calls; importing scipy.stats takes twice as long

    check(0 < confidence < 1, "confidence", "must be between 0 and 1", confidence)
    x = np.atleast_1d(np.asarray(values, dtype=np.float64))
    counted = ~np.isnan(x)
    n = counted.sum(-1)
    centre = ratio(np.where(counted, x, 0.0).sum(-1), n)
    squares = np.where(counted, (x - centre[..., None]) ** 2, 0.0).sum(-1)
    variance = ratio(squares, np.maximum(n - 1, 0))  # NaN below two seeds
    half = stdtrit(np.maximum(n - 1, 1), 0.5 + confidence / 2) * np.sqrt(ratio(variance, n))
    return Interval(centre, half, n)


def paired_difference(values: npt.ArrayLike, reference: npt.ArrayLike, confidence: float = 0.95) -> Interval:
    """Interval of the differences between two settings that ran with the same seeds.

    Seeds share initial weights, stream and class order, so that pairing takes their variation out.

    Args:
        values: One value a seed, [..., N].
        reference: The other setting's, same seeds in the same order, [..., N].
        confidence: Coverage, between 0 and 1.

    Returns:
        Mean, half width and count of values - reference; pairs with a NaN are left out.
    """
    x, y = np.asarray(values, np.float64), np.asarray(reference, np.float64)
    must = "must have one value for each seed of both"
    check(x.shape[-1:] == y.shape[-1:], "values and reference", must, (x.shape, y.shape), error=ShapeError)
    return interval(x - y, confidence)
