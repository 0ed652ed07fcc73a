"""One run: any `nn.Module` as it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maskcl.optim import Optimizer, OptimizerConfig

__all__ = ["LoopModel", "mixes_rows", "optimizer_tensors"]


def mixes_rows(module: nn.Module) -> bool:
    """Whether a row's output depends on the batch it sits in, so that joining batches changes results."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


class LoopModel:
    """A network and its optimiser, without a leading member dimension."""

    def __init__(self, modules: Sequence[nn.Module], optimizer: OptimizerConfig) -> None:
        (self.module,) = modules
        self.mixes_rows = mixes_rows(self.module)
        self.params = list(self.module.parameters())
        self.optimizer = Optimizer(optimizer, self.params, stacked=False)
        self.module.train()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [B, ...] to logits [B, C], in training mode, with a graph to the parameters."""
        return self.module(inputs)

    def update(self, loss: Tensor) -> None:
        """One optimiser step on a loss []."""
        self.optimizer.step(torch.autograd.grad(loss, self.params, allow_unused=True, materialize_grads=True))

    @torch.no_grad()
    def predict(self, member: int, inputs: Tensor) -> Tensor:
        """Logits [N, C] of inputs [N, ...], in evaluation mode."""
        return self._evaluating(self.module, inputs)

    @torch.no_grad()
    def features(self, member: int, inputs: Tensor) -> Tensor:
        """What the classifier sees, [N, D], in evaluation mode. Needs an nn.Sequential that ends in the classifier."""
        assert isinstance(self.module, nn.Sequential)
        return self._evaluating(self.module[:-1], inputs)

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


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors by name."""
    return {f"optimizer.{slot}.{i}": t for slot, tensors in optimizer.state.items() for i, t in enumerate(tensors)}
