"""Is every one of N things chosen equally often, when each trial chooses n distinct ones of them?"""

from __future__ import annotations

import numpy as np
from scipy import stats


def uniform_pvalue(counts: np.ndarray, *, chosen: int, trials: int) -> float:
    """p value of the chi-square test that each thing is in a trial's choice with probability n / N.

    Choosing without replacement spreads counts less than independent draws do, by the factor (1 - n / N) N / (N - 1):
    with that in the denominator the statistic is chi-square with N - 1 degrees of freedom again.
    """
    number = len(counts)
    assert counts.sum() == chosen * trials
    expected = trials * chosen / number
    spread = expected * (1 - chosen / number) * number / (number - 1)
    return float(stats.chi2.sf(((counts - expected) ** 2).sum() / spread, number - 1))
