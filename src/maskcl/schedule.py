"""`Schedule`: how the learning rate goes over a task or a run, as a factor for each step, planned ahead.

The factors are those of PyTorch's schedulers stepped once an optimiser step, held against `torch.optim.lr_scheduler` in
tests. A table instead of an object with a counter: nothing to save, and a resumed run reads on where it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maskcl.errors import check, check_choice, is_number

__all__ = ["Schedule"]

GAMMA = 0.1


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate changes over a span of n steps: a factor for each.

        warm-up    (i + 1) / w                                 in steps i = 0 .. w - 1, w = warmup * n
        multistep  gamma^(number of milestones m with i >= m * n)
        cosine     final + (1 - final) (1 + cos(pi t / T)) / 2 with t = i - w, T = n - w

    Args:
        name: "constant", "multistep" (falls at milestones) or "cosine" (falls along half a cosine).
        milestones: Where the rate falls, ascending shares of the span between 0 and 1, not within the warm-up; to the
            nearest step; only with "multistep".
        gamma: Factor at each milestone, above 0; only with "multistep".
        warmup: Share of the span over which the rate rises in a line to its full value, 0 or more and below 1.
        final: Factor that the cosine reaches where the span ends, 0 to 1; only with "cosine".
        span: "task": anew in each task; "run": once over the steps of all tasks.

    >>> Schedule(name="multistep", milestones=(0.5,), warmup=0.25).factors(8).tolist()
    [0.5, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1]
    """

    name: str = "constant"
    milestones: tuple[float, ...] = ()
    gamma: float = GAMMA
    warmup: float = 0.0
    final: float = 0.0
    span: str = "task"

    def __post_init__(self) -> None:
        check_choice(self.name, "schedule.name", ("constant", "multistep", "cosine"))
        good = is_number(self.warmup) and 0 <= self.warmup < 1
        check(good, "schedule.warmup", "must be a share of the span in [0, 1)", self.warmup)
        self._check_milestones()
        check(is_number(self.gamma) and 0 < self.gamma < math.inf, "schedule.gamma",
              "must be a finite number above 0", self.gamma)  # fmt: skip
        check(self.name == "multistep" or self.gamma == GAMMA, "schedule.gamma", "acts only with name 'multistep'",
              self.gamma)  # fmt: skip
        check(is_number(self.final) and 0 <= self.final <= 1, "schedule.final", "must be in [0, 1]", self.final)
        check(self.name == "cosine" or self.final == 0, "schedule.final", "acts only with name 'cosine'", self.final)
        check_choice(self.span, "schedule.span", ("task", "run"))
        check(not self.is_constant or self.span == "task", "schedule.span",
              "acts only where the rate changes", self.span, hint="give a name or a warmup")  # fmt: skip

    def _check_milestones(self) -> None:
        where, given = "schedule.milestones", self.milestones
        listed = isinstance(given, Sequence) and not isinstance(given, str)
        good = listed and all(is_number(at) and 0 < at < 1 for at in given) and list(given) == sorted(set(given))
        check(good, where, "must be numbers between 0 and 1, each above the one before", given,
              hint="shares of the span: epochs 35 and 45 of 50 are 0.7 and 0.9")  # fmt: skip
        object.__setattr__(self, "milestones", tuple(given))
        if self.name == "multistep":
            check(len(given) > 0, where, "must name one or more with name 'multistep'", given)
            check(given[0] >= self.warmup, where, f"must come after the warm-up, which ends at {self.warmup}", given)
        else:
            check(len(given) == 0, where, "acts only with name 'multistep'", given)

    @property
    def is_constant(self) -> bool:
        """Whether every factor is exactly 1, so that the rate need not be looked up."""
        return self.name == "constant" and self.warmup == 0

    def factors(self, num_steps: int) -> npt.NDArray[np.float64]:
        """Return the factor of the learning rate at each step.

        Args:
            num_steps: Steps of the span, n, 0 or more.

        Returns:
            One factor a step, 0 or more, float64, shape [num_steps].
        """
        check(num_steps >= 0, "Schedule.factors: num_steps", "must be 0 or more", num_steps)
        factors, steps = np.ones(num_steps), np.arange(num_steps)
        warm = round(self.warmup * num_steps)
        if self.name == "multistep":
            falls = [round(at * num_steps) for at in self.milestones]  # 0.7 * 1150 is 804.99...: to the nearest step
            factors = self.gamma ** np.searchsorted(falls, steps, side="right").astype(np.float64)
        elif self.name == "cosine":
            turn = np.pi * (steps[warm:] - warm) / max(1, num_steps - warm)
            factors[warm:] = self.final + (1 - self.final) * (1 + np.cos(turn)) / 2
        factors[:warm] = (steps[:warm] + 1) / max(1, warm)
        return factors
