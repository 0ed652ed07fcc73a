"""One run: any `nn.Module` as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from maskcl.engine.model import Forward, Parts
from maskcl.engine.precision import LossScale, Precision, gradient
from maskcl.engine.state import Weights, map_tensors
from maskcl.methods import Gradients
from maskcl.optim import Optimizer
from maskcl.view import Outputs

__all__ = ["LoopModel"]


class LoopModel:
    """A network and its optimiser, without a member dimension: the module's own parameters are what is trained."""

    def __init__(
        self, parts: Parts, weights: Weights, optimizer: Optimizer, precision: Precision, scale: LossScale | None
    ) -> None:
        self.parts, self.weights, self.optimizer = parts, weights, optimizer
        self.precision, self._scale = precision, scale
        self.leading: tuple[int, ...] = ()
        self.rate: float | Tensor = 1.0
        for name, tensor in parts.named("parameters").items():
            tensor.data = weights.params[name].data  # the same storage
        for name, tensor in parts.named("buffers").items():
            tensor.data = weights.buffers[name]
        self.weights = Weights(parts.named("parameters"), parts.named("buffers"))
        self._params = list(self.weights.params.values())
        optimizer.params = self._params

    def forward(self, inputs: Tensor) -> Outputs:
        """Map inputs [B, ...] in training mode, with a graph to the parameters."""
        return self.precision(self.parts, inputs)

    def at(self, weights: Weights, inputs: Tensor) -> Outputs:
        """Map inputs [B, ...] in evaluation mode, with a graph to the given weights."""
        with self.parts.evaluating():
            return self.precision(self.parts, inputs, weights.params | weights.buffers)

    def own(self, member: int) -> Weights:
        """The weights."""
        return map_tensors(Tensor.detach, self.weights)

    def one(self, member: int) -> Forward:
        """The network as a function of inputs [N, ...], in evaluation mode."""

        @torch.no_grad()
        def forward(inputs: Tensor) -> Outputs:
            with self.parts.evaluating():
                return self.parts(inputs, look=True)

        return forward

    def by_row(self, function: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        """What a function makes of rows [n, ...]."""
        return function(*rows)

    def slopes(self, loss: Tensor, params: Sequence[Tensor]) -> Sequence[Tensor]:
        """Gradients of a loss [] with respect to weights that were given to `at`."""
        return gradient(loss, params, joined=self._joined)

    def gradients(self, losses: dict[str, Tensor]) -> Gradients:
        """Gradients of losses [] by name, with a member dimension of 1."""
        found = {name: self._gradient(loss, keep=len(losses) > 1) for name, loss in losses.items()}
        return {name: [g[None] for g in grads] for name, grads in found.items()}

    def descend(self, loss: Tensor) -> None:
        """One optimiser step on a loss []."""
        self._step(self._gradient(loss))

    def move(self, directions: Sequence[Tensor]) -> None:
        """One optimiser step along directions [1, ...]."""
        self._step([direction[0] for direction in directions])

    def _gradient(self, loss: Tensor, *, keep: bool = False) -> Sequence[Tensor]:
        return gradient(loss, self._params, keep=keep, scale=self._scale, joined=self._joined)

    def _joined(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """Gradients of all rows, of those of a device's own."""
        return gradients

    def _step(self, grads: Sequence[Tensor]) -> None:
        if self._scale is None:
            self.optimizer.step(grads, self.rate)
        else:
            self._scale.step(lambda: self.optimizer.step(grads, self.rate), self.optimizer.tensors())
