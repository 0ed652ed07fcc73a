"""One run: any `nn.Module` as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from maskcl.engine.regulariser import Regulariser
from maskcl.optim import Optimizer, OptimizerConfig

__all__ = ["LoopModel", "descend", "mixes_rows", "optimizer_tensors"]


def mixes_rows(module: nn.Module) -> bool:
    """Whether a row's output depends on the batch it sits in, so that joining batches changes results."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


class LoopModel:
    """A network and its optimiser, without a leading member dimension."""

    def __init__(self, modules: Sequence[nn.Module], optimizer: OptimizerConfig, *, fuse: bool = True) -> None:
        (self.module,) = modules
        self.mixes_rows = mixes_rows(self.module)
        self.params = list(self.module.parameters())
        self.optimizer = Optimizer(optimizer, self.params, stacked=False)
        self.module.train()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [B, ...] to logits [B, C], in training mode, with a graph to the parameters."""
        return self.module(inputs)

    def update(self, loss: Tensor, regulariser: Regulariser | None = None) -> None:
        """One optimiser step on a loss []."""
        descend(self.optimizer, loss, regulariser)

    def current(self, inputs: Tensor) -> Tensor:
        """Logits of the network as it is, in evaluation mode, with a graph to the inputs alone."""
        fixed = {name: p.detach() for name, p in self.module.named_parameters()}
        self.module.eval()
        try:
            return functional_call(self.module, fixed, (inputs,))
        finally:
            self.module.train()

    def freeze(self) -> Callable[[Tensor], Tensor]:
        """Return a copy of the network as it is now, in evaluation mode; what follows does not move it."""
        return copy.deepcopy(self.module).eval().requires_grad_(False)

    @torch.no_grad()
    def predict(self, member: int, inputs: Tensor) -> Tensor:
        """Logits [N, C] of inputs [N, ...], in evaluation mode."""
        return self._evaluating(self.module, inputs)

    @torch.no_grad()
    def features(self, member: int, inputs: Tensor) -> Tensor:
        """What the classifier sees, [N, D], in evaluation mode. Needs an nn.Sequential that ends in the classifier."""
        assert isinstance(self.module, nn.Sequential)
        return self._evaluating(self.module[:-1], inputs)

    def squared_gradients(self, member: int, inputs: Tensor, labels: Tensor) -> list[Tensor]:
        """Mean squared per-row gradients of log p of the label, like the parameters, in evaluation mode."""
        self.module.eval()
        names = [name for name, _ in self.module.named_parameters()]
        out = squared_gradients(self.module, self.module.state_dict(), names, inputs, labels)
        self.module.train()
        return out

    def _evaluating(self, module: nn.Module, inputs: Tensor) -> Tensor:
        self.module.eval()
        out = module(inputs)
        self.module.train()
        return out

    @torch.no_grad()
    def finite(self) -> Tensor:
        """Whether all parameters are finite, bool [1]."""
        return torch.stack([p.isfinite().all() for p in self.params]).all()[None]

    def keep(self, members: Sequence[int]) -> None:
        """Nothing to drop: the only member stays, or the population ends."""

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes in training, by name; the tensors themselves."""
        state = {f"network.{name}": tensor for name, tensor in self.module.state_dict(keep_vars=True).items()}
        return state | optimizer_tensors(self.optimizer)


def descend(optimizer: Optimizer, loss: Tensor, regulariser: Regulariser | None) -> None:
    """One optimiser step on the gradient of a scalar loss, and of what a regulariser adds to it."""
    params = optimizer.params
    grads = torch.autograd.grad(loss, params, allow_unused=True, materialize_grads=True)
    if regulariser is None:
        optimizer.step(grads)
    else:
        regulariser.step(params, grads, optimizer.step)


def squared_gradients(
    module: nn.Module, state: dict[str, Tensor], names: Sequence[str], inputs: Tensor, labels: Tensor
) -> list[Tensor]:
    """Mean over rows of the squared gradient of log p of the label, one tensor for each named parameter."""
    weights = {name: state[name].detach() for name in names}
    rest = {name: tensor for name, tensor in state.items() if name not in weights}

    def log_p(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        logits = functional_call(module, weights | rest, (x[None],))
        return logits.log_softmax(-1)[0].gather(0, y[None])[0]

    totals = [torch.zeros_like(weights[name]) for name in names]
    each_row = vmap(grad(log_p), in_dims=(None, 0, 0))
    for x, y in zip(inputs.split(64), labels.split(64), strict=True):
        grads = each_row(weights, x, y)
        for total, name in zip(totals, names, strict=True):
            total.add_(grads[name].square().sum(0))
    return [total / len(inputs) for total in totals]


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors by name."""
    return {f"optimizer.{slot}.{i}": t for slot, tensors in optimizer.state.items() for i, t in enumerate(tensors)}
