"""Synaptic intelligence (SI): weights whose moves lowered the loss are held where they were.

    L = mean of CE(stream) + c * sum of Omega (w - w*)^2
    each step: omega <- omega - g * (move of w), g the gradient of the cross-entropy alone
    at a task's end: Omega <- Omega + max(omega, 0) / ((w - w*)^2 + xi), omega <- 0, w* <- w

Zenke et al., arXiv 1703.04200. No memory.

Differs from the paper: negative omega are cut to 0, as in most public code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from maskcl.methods.base import Gradients, Method, State, Step, View, dial, per_member

__all__ = ["SynapticIntelligence"]


@dataclass(frozen=True, kw_only=True)
class SynapticIntelligence(Method):
    """Cross-entropy on stream rows, a quadratic penalty on weights from their path."""

    key: ClassVar[str] = "si"
    title: ClassVar[str] = "Synaptic intelligence (SI)"
    paper: ClassVar[str] = "1703.04200"

    c: float = dial(1.0, "weight of the penalty, 0 or more", least=0)
    xi: float = dial(0.9, "keeps the importance of weights that hardly moved finite, above 0", above=0)

    def loss(self, step: Step) -> Tensor:
        """Mean over stream rows, [...]; the penalty enters as a gradient."""
        return self.losses(step).mean(-1)

    def init_state(self, weights: Sequence[Tensor], num_classes: int) -> State:
        """The weights to hold, that none matters yet, and no path."""
        names = ("importance", "path")
        return {"anchor": [w.clone() for w in weights]} | {n: [torch.zeros_like(w) for w in weights] for n in names}

    def direction(self, gradients: Gradients, weights: Sequence[Tensor], state: State) -> list[Tensor]:
        """Add 2 c Omega (w - w*)."""
        return [
            g + 2 * per_member(self.c, w) * importance * (w - anchor)
            for g, w, anchor, importance in zip(
                gradients["loss"], weights, state["anchor"], state["importance"], strict=True
            )
        ]

    def after_step(self, gradients: Gradients, moves: Sequence[Tensor], state: State) -> None:
        """Add what each weight's move did for the loss."""
        for path, grad, move in zip(state["path"], gradients["loss"], moves, strict=True):
            path.addcmul_(grad, move, value=-1)

    def end_task(self, state: State, view: View) -> State:
        """Turn the paths into importance, and hold the weights where they are now."""
        importance = [
            before + path.clamp(min=0) / ((weight - anchor).square() + self.xi)
            for before, path, weight, anchor in zip(
                state["importance"], state["path"], view.weights, state["anchor"], strict=True
            )
        ]
        path = [torch.zeros_like(p) for p in state["path"]]
        return {"anchor": [w.clone() for w in view.weights], "importance": importance, "path": path}
