"""From losses to moved weights: plain descent, or what a method makes of the gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from maskcl.engine.hooks import check_direction
from maskcl.engine.model import Model
from maskcl.methods import Method, State
from maskcl.methods.base import overrides

__all__ = ["Update"]


class Update:
    """One optimiser step at a time, with the hooks on gradients that a method has."""

    def __init__(self, method: Method, model: Model, state: State) -> None:
        self.method, self.model, self.state = method, model, state
        self._checked = False
        self.directs, self.notes = overrides(method, "direction"), overrides(method, "after_step")

    def __call__(self, losses: Tensor | dict[str, Tensor], *, alone: bool = False) -> None:
        """Move the weights by one loss [...], or by several whose gradients the method combines.

        Args:
            losses: One, or several by name.
            alone: Whether only the first is there, and the others are 0: a separate update of CFGM.
        """
        if isinstance(losses, Tensor) and not self.directs and not self.notes:
            self.model.descend(losses)
            return
        named = losses if isinstance(losses, dict) else {"loss": losses}
        first, *others = named
        gradients = self.model.gradients({first: named[first]} if alone else named)
        with torch.no_grad():
            if alone:
                gradients |= {name: [torch.zeros_like(g) for g in gradients[first]] for name in others}
            weights = self._weights()
            before = [w.clone() for w in weights] if self.notes else []
            direction = next(iter(gradients.values()))
            if self.directs:
                direction = self.method.direction(gradients, weights, self.state)
                if not self._checked:
                    check_direction(self.method, direction, weights)
                    self._checked = True
            self.model.move(direction)
            if self.notes:
                moves = [w - b for w, b in zip(weights, before, strict=True)]
                self.method.after_step(gradients, moves, self.state)

    def _weights(self) -> list[Tensor]:
        """The weights with a member dimension; they share their storage with the model's."""
        params = [p.detach() for p in self.model.weights.params.values()]
        return params if self.model.leading else [p[None] for p in params]
