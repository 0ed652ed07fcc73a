"""Synaptic intelligence (SI): weights whose moves lowered the loss are held where they were.

    L = mean of CE(stream) + c * sum of Omega (w - w*)^2
    each step: omega <- omega - g * (move of w), g the gradient of the cross-entropy alone
    at a task's end: Omega <- Omega + max(omega, 0) / ((w - w*)^2 + xi), omega <- 0, w* <- w

Zenke et al., arXiv 1703.04200. No memory.

Differs from the paper: negative omega are cut to 0, as in most public code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from maskcl.errors import check
from maskcl.methods.base import Method, Step, WeightState, check_weight, lead, option

__all__ = ["SynapticIntelligence"]


@dataclass(frozen=True, kw_only=True)
class SynapticIntelligence(Method):
    """Cross-entropy on stream rows, a quadratic penalty on weights from their path."""

    key: ClassVar[str] = "si"
    title: ClassVar[str] = "Synaptic intelligence (SI)"
    paper: ClassVar[str] = "1703.04200"
    weight_state: ClassVar[tuple[str, ...]] = ("anchor", "importance", "path")

    c: float = option(1.0, "weight of the penalty, 0 or more")
    xi: float = option(0.9, "keeps the importance of weights that hardly moved finite, above 0")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_weight(self, "c", "xi")
        check(0 < self.xi < math.inf, "method.xi", "must be above 0", self.xi)

    def loss(self, step: Step) -> Tensor:
        """Mean over stream rows, [...]; the penalty enters as a gradient."""
        return self.losses(step).mean(-1)

    def penalty_gradients(self, state: WeightState, weights: Sequence[Tensor]) -> list[Tensor]:
        """Return 2 c Omega (w - w*)."""
        return [
            2 * lead(self.c, w) * importance * (w - anchor)
            for w, anchor, importance in zip(weights, state["anchor"], state["importance"], strict=True)
        ]

    def after_step(self, state: WeightState, grads: Sequence[Tensor], moves: Sequence[Tensor]) -> None:
        """Add what each weight's move did for the loss."""
        for path, grad, move in zip(state["path"], grads, moves, strict=True):
            path.addcmul_(grad, move, value=-1)

    def end_task(self, state: WeightState, weights: Sequence[Tensor], fisher: Callable[[int], list[Tensor]]) -> None:
        """Turn the paths into importance, and hold the weights where they are now."""
        for anchor, importance, path, weight in zip(
            state["anchor"], state["importance"], state["path"], weights, strict=True
        ):
            importance.add_(path.clamp(min=0) / ((weight - anchor).square() + lead(self.xi, weight)))
            path.zero_()
            anchor.copy_(weight)
