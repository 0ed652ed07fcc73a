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
from torch.func import functional_call, stack_module_state, vmap

from maskcl.engine.dials import cut_settings
from maskcl.engine.loop import descend, mixes_rows, optimizer_tensors, squared_gradients
from maskcl.engine.regulariser import Regulariser
from maskcl.optim import Optimizer, OptimizerConfig

__all__ = ["StackModel"]

ELEMENTWISE = (nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.LeakyReLU, nn.Sigmoid, nn.Identity)


class StackModel:
    """K networks and their optimisers, with a leading member dimension."""

    def __init__(self, modules: Sequence[nn.Module], optimizer: OptimizerConfig, *, fuse: bool = True) -> None:
        self.template = modules[0].train()
        self.mixes_rows = mixes_rows(self.template)
        self.params, self.buffers = stack_module_state(list(modules))
        self.is_linear_chain = _is_linear_chain(self.template)
        self.fused = fuse and self.is_linear_chain and optimizer.is_plain_sgd
        self._set_optimizer(optimizer)

    def _set_optimizer(self, config: OptimizerConfig) -> None:
        self.optimizer = Optimizer(config, list(self.params.values()), stacked=True)
        first = next(iter(self.params.values()))
        self._lr = torch.as_tensor(config.lr, dtype=first.dtype).expand(len(first))[:, None, None].contiguous()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [K, B, ...] to logits [K, B, C], in training mode, with a graph to the parameters."""
        if self.is_linear_chain:
            return self._chain(self.params, inputs, fused=self.fused)
        return vmap(self._one, randomness="different")(self.params, self.buffers, inputs)

    def _chain(self, params: dict[str, Tensor], inputs: Tensor, *, fused: bool) -> Tensor:
        for name, layer in self.template.named_children():
            if isinstance(layer, nn.Flatten):
                inputs = inputs.flatten(2)
            elif isinstance(layer, nn.Linear):
                weight, bias = params[f"{name}.weight"], params.get(f"{name}.bias")
                inputs = _FusedLinear.apply(inputs, weight, bias, self._lr) if fused else _linear(inputs, weight, bias)
            else:
                inputs = layer(inputs)
        return inputs

    def current(self, inputs: Tensor) -> Tensor:
        """Logits of the networks as they are, in evaluation mode, with a graph to the inputs alone."""
        return self._fixed({n: p.detach() for n, p in self.params.items()}, self.buffers, inputs)

    def freeze(self) -> Callable[[Tensor], Tensor]:
        """Return the networks as they are now, as a function of inputs [K, B, ...]; what follows does not move it."""
        params = {n: p.detach().clone() for n, p in self.params.items()}
        buffers = {n: b.clone() for n, b in self.buffers.items()}
        return lambda inputs: self._fixed(params, buffers, inputs)

    def _fixed(self, params: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
        if self.is_linear_chain:
            return self._chain(params, inputs, fused=False)
        self.template.eval()
        try:
            return vmap(self._one)(params, buffers, inputs)
        finally:
            self.template.train()

    def _one(self, params: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return functional_call(self.template, (params, buffers), (inputs,))

    def update(self, loss: Tensor, regulariser: Regulariser | None = None) -> None:
        """One optimiser step on losses [K]; the sum over members is differentiated, so members never mix."""
        if self.fused:
            loss.sum().backward()
        else:
            descend(self.optimizer, loss.sum(), regulariser)

    @torch.no_grad()
    def predict(self, member: int, inputs: Tensor) -> Tensor:
        """One member's logits [N, C] of inputs [N, ...], in evaluation mode: one large product a layer."""
        return self._evaluating(self.template, member, inputs)

    @torch.no_grad()
    def features(self, member: int, inputs: Tensor) -> Tensor:
        """What one member's classifier sees, [N, D]. Needs an nn.Sequential that ends in the classifier."""
        assert isinstance(self.template, nn.Sequential)
        return self._evaluating(self.template[:-1], member, inputs)

    def squared_gradients(self, member: int, inputs: Tensor, labels: Tensor) -> list[Tensor]:
        """One member's mean squared per-row gradients of log p of the label, in evaluation mode."""
        self.template.eval()
        state = {n: t[member] for n, t in (self.params | self.buffers).items()}
        out = squared_gradients(self.template, state, list(self.params), inputs, labels)
        self.template.train()
        return out

    def _evaluating(self, module: nn.Module, member: int, inputs: Tensor) -> Tensor:
        wanted = {name for name, _ in [*module.named_parameters(), *module.named_buffers()]}
        state = {n: t[member] for n, t in (self.params | self.buffers).items() if n in wanted}
        self.template.eval()
        out = functional_call(module, state, (inputs,))
        self.template.train()
        return out

    @torch.no_grad()
    def finite(self) -> Tensor:
        """Whether all parameters of each member are finite, bool [K]."""
        return torch.stack([p.isfinite().flatten(1).all(1) for p in self.params.values()]).all(0)

    def keep(self, members: Sequence[int]) -> None:
        """Go on with these members alone; the caller has cut the settings to them."""
        index = torch.tensor(members)
        self.params = {n: p.detach()[index].requires_grad_() for n, p in self.params.items()}
        self.buffers = {n: b[index] for n, b in self.buffers.items()}
        old = self.optimizer
        state = {slot: [t[index] for t in tensors] for slot, tensors in old.state.items()}
        self._set_optimizer(cut_settings(old.config, index))
        self.optimizer.state, self.optimizer.num_steps = state, old.num_steps

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes in training, by name; the tensors themselves."""
        state = {f"network.{name}": tensor for name, tensor in (self.params | self.buffers).items()}
        return state | optimizer_tensors(self.optimizer)


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


def _is_linear_chain(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and all(
        isinstance(layer, (nn.Linear, *ELEMENTWISE)) or (isinstance(layer, nn.Flatten) and layer.start_dim == 1)
        for layer in module
    )
