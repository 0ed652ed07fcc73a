"""How many rows there are of each class, as what is added to logits: the prior that a mask without tuning takes out."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from maskcl.errors import ShapeError, check
from maskcl.functional.softmax import Dial
from maskcl.functional.values import Rule, as_dial, as_tensor, demand

__all__ = ["log_prior"]


def log_prior(counts: Any, *, power: Dial = 1.0) -> Tensor:
    """Return what a loss adds to logits where classes have unequal numbers of distinct rows.

        a_c = power * (log n_c - log max n),    n_c = 1 where a class has no row

    `cross_entropy(logits + a, labels)` learns logits that are right for equal classes. Between a class of m rows and
    one of fewer, n, it is a leak of (n / m)^power. Equal counts give 0: no mask.

    Args:
        counts: Distinct rows of each class that training can draw on, 0 or from 1 up, shape [..., C]; not shares.
        power: 1, or less where a row of a rare class is worth more than one, 0 or more; shape [...].

    Returns:
        0 or less, shape [..., C], in the type of the counts, float32 for whole numbers.

    Raises:
        ShapeError: Counts that are no numbers in a row.
        ConfigError: A power, or DataError: counts, outside their range.

    Source: docs/design/auto-leak.md; logit adjustment, arXiv 2007.07314.

    >>> log_prior([6000, 6000, 50]).exp()
    tensor([1.0000, 1.0000, 0.0083])
    >>> log_prior([100, 25], power=0.5).exp()
    tensor([1.0000, 0.5000])
    """
    rows = as_tensor(counts, "counts", torch.zeros(()))
    good = rows.ndim >= 1 and rows.shape[-1] >= 1 and rows.dtype != torch.bool
    check(good, "counts", "must be numbers of shape [..., C]", tuple(rows.shape), error=ShapeError)
    rows = rows if rows.is_floating_point() else rows.float()
    power, rules = as_dial(power, "power", rows.shape[:-1])
    whole = (rows == 0) | ((rows >= 1) & (rows < math.inf))
    demand([Rule(whole, "counts", "must be finite numbers of rows, 0 or from 1 up", rows), *rules])
    logs = rows.clamp(min=1).log()
    scale = power[..., None] if isinstance(power, Tensor) and power.ndim else power
    return scale * (logs - logs.amax(-1, keepdim=True))
