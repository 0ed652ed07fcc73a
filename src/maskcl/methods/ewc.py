"""Online elastic weight consolidation (online EWC): weights that mattered are held where they were.

    L = mean of CE(stream) + (strength / 2) * sum of F (w - w*)^2       at a task's end: F <- gamma F + F_task, w* <- w

F_task is the mean over rows of the squared gradient of log p of the row's label. Schwarz et al., arXiv 1805.06370;
EWC: arXiv 1612.00796. No memory.

Differs from the paper:
1. F is taken over `fisher_rows` rows of the task, with their labels (the empirical Fisher), as in most public code.
2. The DER code base has no factor 1/2: its e_lambda is half of our strength.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from maskcl.methods.base import Gradients, Method, State, Step, View, dial, option, per_member

__all__ = ["OnlineEwc"]


@dataclass(frozen=True, kw_only=True)
class OnlineEwc(Method):
    """Cross-entropy on stream rows, a quadratic penalty on weights."""

    key: ClassVar[str] = "ewc"
    title: ClassVar[str] = "Online EWC"
    short: ClassVar[str] = "Online EWC"
    paper: ClassVar[str] = "1805.06370"

    strength: float = dial(180.0, "weight of the penalty, 0 or more", least=0)
    gamma: float = dial(1.0, "how much of the earlier tasks' importance is kept, 0 to 1", least=0, most=1)
    fisher_rows: int = option(1000, "rows of a task that its importance is taken over, 1 or more", least=1)

    def loss(self, step: Step) -> Tensor:
        """Mean over stream rows, [...]; the penalty enters as a gradient."""
        return self.losses(step).mean(-1)

    def init_state(self, weights: Sequence[Tensor], num_classes: int) -> State:
        """The weights to hold, and that none matters yet."""
        return {"anchor": [w.clone() for w in weights], "importance": [torch.zeros_like(w) for w in weights]}

    def direction(self, gradients: Gradients, weights: Sequence[Tensor], state: State) -> list[Tensor]:
        """Add strength * F (w - w*)."""
        return [
            g + per_member(self.strength, w) * importance * (w - anchor)
            for g, w, anchor, importance in zip(
                gradients["loss"], weights, state["anchor"], state["importance"], strict=True
            )
        ]

    def end_task(self, state: State, view: View) -> State:
        """Add the task's importance, and hold the weights where they are now."""
        importance = [
            self.gamma * before + new
            for before, new in zip(state["importance"], view.squared_gradients(self.fisher_rows), strict=True)
        ]
        return {"anchor": [w.clone() for w in view.weights], "importance": importance}
