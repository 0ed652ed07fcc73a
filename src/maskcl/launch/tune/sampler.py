"""What is tried next: Optuna's sampler, asked for several trials at once. Nothing else of ours imports Optuna.

The first trials are random, `STARTUP` of them; then come those of TPE, the tree-structured Parzen estimator, all keys
of the space together (multivariate). The trials of one batch are asked before any of them is told: each that is still
open counts as a bad one (a constant liar), so that the next goes elsewhere.

What comes is a function of seed, space, batch size and the figures told so far, and of the version of Optuna. So there
is no state to be kept: an interrupted search is asked again from its first trial on, and told what is known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from maskcl.experiment import Choices, Range

__all__ = ["STARTUP", "Sampler"]

STARTUP = 8
"""Random trials at the start."""
_STEPS = 1000
"""A range is cut into about as many steps: figures that can be read, finer than any figure over seeds can tell."""


class Sampler:
    """Asks for trials of one setting.

    Args:
        space: Ranges and lists by dotted key.
        higher: Whether more is better.
        seed: Decides on the trials.
    """

    def __init__(self, space: Mapping[str, Range | Choices], *, higher: bool, seed: int) -> None:
        self._space, self._worst = dict(space), -math.inf if higher else math.inf
        self._distributions = {key: _distribution(axis) for key, axis in space.items()}
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=STARTUP, multivariate=True, constant_liar=True
        )  # fmt: skip
        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # that a study was made is told to nobody
        try:
            self._study = optuna.create_study(direction="maximize" if higher else "minimize", sampler=sampler)
        finally:
            optuna.logging.set_verbosity(level)
        self._open: list[optuna.Trial] = []

    def ask(self, count: int) -> list[dict[str, Any]]:
        """Return values by dotted key of as many trials; they are to be told before more are asked for."""
        assert not self._open
        self._open = [self._study.ask(self._distributions) for _ in range(count)]
        return [{key: _value(axis, t.params[key]) for key, axis in self._space.items()} for t in self._open]

    def tell(self, figures: Sequence[float]) -> None:
        """Say what came of the trials that were asked for, in their order; NaN: diverged, which is the worst."""
        for trial, figure in zip(self._open, figures, strict=True):
            self._study.tell(trial, self._worst if math.isnan(figure) else figure)
        self._open = []


def _distribution(axis: Range | Choices) -> BaseDistribution:
    if isinstance(axis, Choices):
        return CategoricalDistribution(range(len(axis.values)))  # by place: Optuna takes no tables and lists
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _value(axis: Range | Choices, drawn: Any) -> Any:
    if isinstance(axis, Choices):
        return axis.values[drawn]
    return int(drawn) if axis.whole else rounded(drawn, axis)


def rounded(value: float, axis: Range) -> float:
    """Return a value with as many digits as a range has steps of a thousandth.

    >>> rounded(0.03123456, Range(0.003, 0.3, log=True)), rounded(0.03123456, Range(0.0, 1.0))
    (0.0312, 0.031)
    """
    width = value * math.log(axis.high / axis.low) if axis.log else axis.high - axis.low
    digits = math.ceil(-math.log10(width / _STEPS))
    return min(max(round(value, digits), axis.low), axis.high)
