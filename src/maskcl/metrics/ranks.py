"""How well one measure puts runs into the order of another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from maskcl.errors import ShapeError, check
from maskcl.metrics._shapes import Floats
from maskcl.metrics.variance import DRAWS, Bounded

__all__ = ["rank_correlation"]

FEWEST = 5
"""Runs, and groups, below which no interval says anything."""


def rank_correlation(
    x: npt.ArrayLike, y: npt.ArrayLike, groups: npt.ArrayLike | None = None, confidence: float = 0.95
) -> Bounded:
    """Spearman's rank correlation with a bootstrap interval over groups of runs.

    The seeds of one setting are alike, so that settings are resampled, each with all of its runs (percentiles; the same
    draws each time).

    Args:
        x: One value a run, [N]; pairs with a NaN are left out.
        y: The other measure, [N].
        groups: Which setting each run is of, [N], any labels; None: each run by itself.
        confidence: Coverage, between 0 and 1.

    Returns:
        From -1 to 1; NaN where one measure does not vary, and limits NaN with fewer than 5 groups.

    >>> round(rank_correlation([1, 2, 3, 4], [1, 4, 9, 16]).value, 9)
    1.0
    """
    from scipy.stats import rankdata

    def correlation(a: Floats, b: Floats) -> float:
        ranks = [rankdata(part) for part in (a, b)]
        if min(map(np.ptp, ranks)) == 0:
            return float("nan")
        return float(np.clip(np.corrcoef(*ranks)[0, 1], -1, 1))

    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    check(a.ndim == 1 and a.shape == b.shape, "x and y", "must have one shape [N]", (a.shape, b.shape),
          error=ShapeError)  # fmt: skip
    of = np.arange(len(a)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    check(len(of) == len(a), "groups", f"must have shape [N] with N = {len(a)}", len(of), error=ShapeError)
    check(0 < confidence < 1, "confidence", "must be between 0 and 1", confidence)
    known = ~(np.isnan(a) | np.isnan(b))
    a, b, of = a[known], b[known], of[known]
    members = [np.flatnonzero(of == g) for g in np.unique(of)]
    if len(a) < 2:
        return Bounded(float("nan"), float("nan"), float("nan"))
    value = correlation(a, b)
    if len(members) < FEWEST or np.isnan(value):
        return Bounded(value, float("nan"), float("nan"))
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        index = np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))])
        drawn.append(correlation(a[index], b[index]))
    tail = 100 * (1 - confidence) / 2
    low, high = np.nanpercentile(drawn, [tail, 100 - tail])
    return Bounded(value, float(low), float(high))
