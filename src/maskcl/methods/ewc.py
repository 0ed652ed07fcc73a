"""Online elastic weight consolidation (online EWC): weights that mattered are held where they were.

    L = mean of CE(stream) + (strength / 2) * sum of F (w - w*)^2       at a task's end: F <- gamma F + F_task, w* <- w

F_task is the mean over rows of the squared gradient of log p of the row's label. Schwarz et al., arXiv 1805.06370;
EWC: arXiv 1612.00796. No memory.

Differs from the paper:
1. F is taken over `fisher_rows` rows of the task, with their labels (the empirical Fisher), as in most public code.
2. The DER code base has no factor 1/2: its e_lambda is half of our strength.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from maskcl.errors import check
from maskcl.methods.base import Method, Step, WeightState, check_weight, lead, option

__all__ = ["OnlineEwc"]


@dataclass(frozen=True, kw_only=True)
class OnlineEwc(Method):
    """Cross-entropy on stream rows, a quadratic penalty on weights."""

    key: ClassVar[str] = "ewc"
    title: ClassVar[str] = "Online EWC"
    paper: ClassVar[str] = "1805.06370"
    weight_state: ClassVar[tuple[str, ...]] = ("anchor", "importance")

    strength: float = option(180.0, "weight of the penalty, 0 or more")
    gamma: float = option(1.0, "how much of the earlier tasks' importance is kept, 0 to 1")
    fisher_rows: int = option(1000, "rows of a task that its importance is taken over, 1 or more")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_weight(self, "strength", "gamma")
        check(self.gamma <= 1, "method.gamma", "must be between 0 and 1", self.gamma)
        check(isinstance(self.fisher_rows, int) and self.fisher_rows >= 1, "method.fisher_rows",
              "must be a whole number, 1 or more", self.fisher_rows)  # fmt: skip

    def loss(self, step: Step) -> Tensor:
        """Mean over stream rows, [...]; the penalty enters as a gradient."""
        return self.losses(step).mean(-1)

    def penalty_gradients(self, state: WeightState, weights: Sequence[Tensor]) -> list[Tensor]:
        """Return strength * F (w - w*)."""
        return [
            lead(self.strength, w) * importance * (w - anchor)
            for w, anchor, importance in zip(weights, state["anchor"], state["importance"], strict=True)
        ]

    def after_step(self, state: WeightState, grads: Sequence[Tensor], moves: Sequence[Tensor]) -> None:
        """Nothing to note."""

    def end_task(self, state: WeightState, weights: Sequence[Tensor], fisher: Callable[[int], list[Tensor]]) -> None:
        """Add the task's importance, and hold the weights where they are now."""
        for importance, new in zip(state["importance"], fisher(self.fisher_rows), strict=True):
            importance.mul_(lead(self.gamma, importance)).add_(new)
        for anchor, weight in zip(state["anchor"], weights, strict=True):
            anchor.copy_(weight)
