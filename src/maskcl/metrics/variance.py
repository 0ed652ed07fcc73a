"""How much of a spread the class order makes, and how much the seed: two crossed random effects.

x[o, s] = mean + order_o + seed_s + rest_os
MS_order = S * var(row means), MS_seed = O * var(column means), MS_rest = what is left, (O-1)(S-1) degrees
order = (MS_order - MS_rest) / S,   seed = (MS_seed - MS_rest) / O,   rest = MS_rest
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from maskcl.errors import ShapeError, check
from maskcl.metrics._shapes import Floats

__all__ = ["Bounded", "VarianceParts", "variance_parts"]

DRAWS = 999
"""Resamples of a bootstrap; percentiles at 2.5 and 97.5 % of so many are steady to a few per cent of the interval."""


class Bounded(NamedTuple):
    """An estimate with an interval that need not lie around it evenly.

    Attributes:
        value: The estimate.
        low: Where its interval begins; NaN where there is none.
        high: Where it ends.
    """

    value: float
    low: float
    high: float


class VarianceParts(NamedTuple):
    """Parts of a variance; each is 0 or more.

    Attributes:
        order: Of the rows' effect.
        seed: Of the columns' effect.
        rest: Of what rows and columns do only together, and of chance.
        share: order / (order + seed + rest), from 0 to 1.
    """

    order: Bounded
    seed: Bounded
    rest: Bounded
    share: Bounded


def variance_parts(values: npt.ArrayLike, confidence: float = 0.95) -> VarianceParts:
    """Take a variance apart by analysis of variance, with bootstrap intervals.

    Orders are resampled for the intervals of order, rest and share, seeds for that of the seed (percentiles; the same
    draws each time). With few of them these are rough, and rather too short.

    Args:
        values: One value for each order and seed, [O, S], both 2 or more, without NaN.
        confidence: Coverage, between 0 and 1.

    Returns:
        Variances in squared units of the values; estimates below 0 are 0.

    >>> parts = variance_parts([[0.1, 0.2], [0.5, 0.6], [0.3, 0.4]])
    >>> [round(float(part.value), 4) for part in (parts.order, parts.seed, parts.rest)]
    [0.04, 0.005, 0.0]
    """
    x = np.asarray(values, np.float64)
    fits = x.ndim == 2 and min(x.shape) >= 2
    check(fits, "values", "must have shape [O, S], both 2 or more", x.shape, error=ShapeError)
    check(bool(np.isfinite(x).all()), "values", "must be finite", "NaN or an infinity among them")
    check(0 < confidence < 1, "confidence", "must be between 0 and 1", confidence)

    def by_order(index: Any) -> Floats:
        return _parts(x[index], len(x) / (len(x) - 1))

    def by_seed(index: Any) -> Floats:
        return _parts(x[:, index], 1.0, x.shape[1] / (x.shape[1] - 1))

    found = _parts(x)
    orders, seeds = (_resampled(n, f, confidence) for n, f in ((len(x), by_order), (x.shape[1], by_seed)))
    limits = [orders[:, 0], seeds[:, 1], orders[:, 2], orders[:, 3]]
    return VarianceParts(*(Bounded(float(v), *map(float, part)) for v, part in zip(found, limits, strict=True)))


def _parts(x: Floats, rows: float = 1.0, columns: float = 1.0) -> Floats:
    """Order, seed, rest and share of the order, [4].

    A resample holds some rows more than once, so that its variance between rows is (O-1)/O of what it should be; `rows`
    and `columns` make up for that.
    """
    by_row, by_column = x.mean(1), x.mean(0)
    left = x - by_row[:, None] - by_column + x.mean()
    rest = rows * columns * (left**2).sum() / ((len(x) - 1) * (x.shape[1] - 1))
    order = max(rows * by_row.var(ddof=1) - rest / x.shape[1], 0.0)
    seed = max(columns * by_column.var(ddof=1) - rest / len(x), 0.0)
    total = order + seed + rest
    return np.array([order, seed, rest, order / total if total > 0 else np.nan])


def _resampled(count: int, statistic: Callable[[Any], Floats], confidence: float) -> Floats:
    """Percentile limits of a statistic [n] over resampled indices, [2, n]."""
    rng = np.random.default_rng(0)
    drawn = np.stack([statistic(rng.integers(count, size=count)) for _ in range(DRAWS)])
    tail = 100 * (1 - confidence) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where all is NaN
        return np.nanpercentile(drawn, [tail, 100 - tail], axis=0)
