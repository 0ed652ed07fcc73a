"""A population: K networks of one shape, trained at once.

Parameters are stacked on a leading dimension. Chains of Linear layers become batched matrix products; any other
network goes through `vmap(functional_call)`. For plain SGD the update of a Linear layer is fused into its backward
pass, so that no gradient is ever written to memory (docs/design/stacking.md has the measurements).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from maskcl.engine.model import Forward, Parts
from maskcl.engine.precision import LossScale, Precision, gradient
from maskcl.engine.state import Weights, map_tensors
from maskcl.methods import Gradients
from maskcl.optim import Optimizer
from maskcl.view import Outputs

__all__ = ["StackModel", "each_member"]


class StackModel:
    """K networks and their optimisers, with a leading member dimension."""

    def __init__(
        self,
        parts: Parts,
        weights: Weights,
        optimizer: Optimizer,
        precision: Precision,
        scale: LossScale | None,
        *,
        fuse: bool,
    ) -> None:
        self.parts, self.optimizer = parts, optimizer
        self.precision, self._scale = precision, scale
        params = {name: tensor.detach().requires_grad_() for name, tensor in weights.params.items()}
        self.weights = Weights(params, weights.buffers)
        self._params = optimizer.params = list(params.values())
        self.leading: tuple[int, ...] = (len(self._params[0]),)
        self.is_linear_chain = parts.is_linear_chain
        plain = optimizer.config.is_plain_sgd and not precision.is_short
        self.fused = fuse and self.is_linear_chain and parts.head is None and plain
        first = self._params[0]
        lr = torch.as_tensor(optimizer.config.lr, dtype=first.dtype, device=first.device)
        self._lr = lr.expand(len(first))[:, None, None].contiguous()
        self.rate: float | Tensor = 1.0

    def forward(self, inputs: Tensor) -> Outputs:
        """Map inputs [K, B, ...] in training mode, with a graph to the parameters."""
        if self.is_linear_chain:
            return self.precision(self._chain, self.weights.params, inputs, fused=self.fused)
        return self.precision(self._each, self.weights, inputs)

    def at(self, weights: Weights, inputs: Tensor) -> Outputs:
        """Map inputs [K, B, ...] in evaluation mode, with a graph to the given weights."""
        if self.is_linear_chain:
            return self.precision(self._chain, weights.params, inputs, fused=False)
        with self.parts.evaluating():
            return self.precision(self._each, weights, inputs)

    def own(self, member: int) -> Weights:
        """One member's weights."""
        return map_tensors(lambda t: t.detach()[member], self.weights)

    def _each(self, weights: Weights, inputs: Tensor) -> Outputs:
        """Every member by `vmap`."""
        return each_member(self.parts, weights, inputs)

    def _chain(self, params: dict[str, Tensor], inputs: Tensor, *, fused: bool) -> Outputs:
        features = inputs
        lr = self._lr if isinstance(self.rate, float) and self.rate == 1.0 else self._paced()
        for name, layer in self.parts.network.named_children():
            if isinstance(layer, nn.Flatten):
                inputs = inputs.flatten(2)
            elif isinstance(layer, nn.Linear):
                weight, bias = params[f"{name}.weight"], params.get(f"{name}.bias")
                features = inputs if name == self.parts.classifier else features
                inputs = _FusedLinear.apply(inputs, weight, bias, lr) if fused else _linear(inputs, weight, bias)
            else:
                inputs = layer(inputs)
        if self.parts.head is None:
            return Outputs(inputs, features if self.parts.looks else None)
        projected = vmap(lambda own, x: self.parts.project(x, own))(params, features)
        return Outputs(inputs, features, projected)

    def _paced(self) -> Tensor:
        pace = self.optimizer.pace(self.rate, self._lr)
        return pace.expand_as(self._lr) if isinstance(pace, Tensor) else torch.full_like(self._lr, pace)

    def one(self, member: int) -> Forward:
        """One member as a function of inputs [N, ...], in evaluation mode: one large product a layer."""
        weights = self.own(member)
        own = weights.params | weights.buffers

        @torch.no_grad()
        def forward(inputs: Tensor) -> Outputs:
            with self.parts.evaluating():
                return self.parts(inputs, own, look=True)

        return forward

    def by_row(self, function: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        """What a function makes of rows [K, n, ...]."""
        return function(*rows)

    def slopes(self, loss: Tensor, params: Sequence[Tensor]) -> Sequence[Tensor]:
        """Gradients of losses [K] with respect to weights that were given to `at`."""
        return gradient(loss, params)

    def gradients(self, losses: dict[str, Tensor]) -> Gradients:
        """Gradients of losses [K] by name."""
        keep = len(losses) > 1
        return {n: list(gradient(v, self._params, keep=keep, scale=self._scale)) for n, v in losses.items()}

    def descend(self, loss: Tensor) -> None:
        """One optimiser step on losses [K]."""
        if self.fused:
            loss.sum().backward()
        else:
            self._step(gradient(loss, self._params, scale=self._scale))

    def move(self, directions: Sequence[Tensor]) -> None:
        """One optimiser step along directions [K, ...]."""
        self._step(directions)

    def _step(self, grads: Sequence[Tensor]) -> None:
        if self._scale is None:
            self.optimizer.step(grads, self.rate)
        else:
            self._scale.step(lambda: self.optimizer.step(grads, self.rate), self.optimizer.tensors())


def each_member(parts: Parts, weights: Weights, inputs: Tensor) -> Outputs:
    """Map inputs [K, B, ...] with each member's weights by `vmap`."""

    def one(params: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> tuple[Tensor, ...]:
        out = parts(x, params | buffers)
        return tuple(t for t in (out.logits, out.features, out.projected) if t is not None)

    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention know no member dimension
        return Outputs(*vmap(one)(weights.params, weights.buffers, inputs))


class _FusedLinear(torch.autograd.Function):
    """x W^T + b whose backward pass applies the SGD step.

    Plain form: grad_W = g^T x, then W -= lr * grad_W. Writing grad_W (358 KB a member for 784-100-100-10), reading it
    again and allocating it anew each step costs more than the product; `baddbmm_` accumulates into W instead.
    The layer may be applied once a step: a second backward would meet moved weights.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, lr: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, bias, lr)
        return _linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None]:
        (grad,) = grads
        x, weight, bias, lr = ctx.saved_tensors
        grad_x = torch.bmm(grad, weight) if ctx.needs_input_grad[0] else None
        step = grad * lr
        weight.baddbmm_(step.mT, x, alpha=-1)
        if bias is not None:
            bias.sub_(step.sum(1))
        return grad_x, None, None, None


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.bmm(x, weight.mT) if bias is None else torch.baddbmm(bias[:, None], x, weight.mT)
