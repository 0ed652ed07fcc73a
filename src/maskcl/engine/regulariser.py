"""Penalties on weights in the training loop: calls a method's hooks and keeps their state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from maskcl.methods import Method
from maskcl.methods.base import WeightState

__all__ = ["Regulariser"]


class Regulariser:
    """State and hooks of a method that remembers how important each weight was."""

    def __init__(self, method: Method, params: Sequence[Tensor]) -> None:
        self.method = method
        self.state: WeightState = {
            name: [torch.zeros_like(p, requires_grad=False) for p in params] for name in method.weight_state
        }
        for anchor, p in zip(self.state["anchor"], params, strict=True):
            anchor.copy_(p.detach())

    @torch.no_grad()
    def step(
        self, params: Sequence[Tensor], grads: Sequence[Tensor], descend: Callable[[Sequence[Tensor]], None]
    ) -> None:
        """An optimiser step on the gradient of the loss and of the penalty."""
        before = [p.detach().clone() for p in params] if "path" in self.state else None
        descend(
            [g + penalty for g, penalty in zip(grads, self.method.penalty_gradients(self.state, params), strict=True)]
        )
        if before is not None:
            moves = [p - b for p, b in zip(params, before, strict=True)]
            self.method.after_step(self.state, grads, moves)

    @torch.no_grad()
    def end_task(self, params: Sequence[Tensor], fisher: Callable[[int], list[Tensor]]) -> None:
        """Take stock of a task's weights.

        Args:
            params: The weights.
            fisher: Mean squared per-row gradients of log p of the label, over so many rows of the task.
        """
        self.method.end_task(self.state, params, fisher)

    def keep(self, index: Tensor) -> None:
        """Go on with these members alone."""
        self.state = {name: [t[index] for t in tensors] for name, tensors in self.state.items()}

    def tensors(self) -> dict[str, Tensor]:
        """The state's tensors by name."""
        return {f"{name}.{i}": t for name, tensors in self.state.items() for i, t in enumerate(tensors)}
