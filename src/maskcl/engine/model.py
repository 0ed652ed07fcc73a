"""What executors have in common: a typed protocol, and a network that can be called with any weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils.hooks import RemovableHandle

from maskcl.engine.precision import Precision
from maskcl.engine.state import Weights
from maskcl.errors import ConfigError, message, raised
from maskcl.methods import Gradients
from maskcl.networks import is_convolutional
from maskcl.optim import Optimizer
from maskcl.view import Outputs

__all__ = ["Forward", "Model", "Parts", "squared_gradients"]

Forward: TypeAlias = Callable[[Tensor], Outputs]

ELEMENTWISE = (nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.LeakyReLU, nn.Sigmoid, nn.Identity)
MOST_ROWS, MOST_IMAGES = 4096, 256
"""Rows that are judged at once. With convolutions fewer: 4,096 images of 64 x 64 in a full ResNet-18 are 4 GB a layer;
and the reduced one, its weights laid out channels last, takes 1.7 ms an image at 256, 2.8 at 4,096 (one core)."""
HEAD = "maskcl.head."
"""What the names of a head's parameters begin with, beside the network's."""


class Model(Protocol):
    """Networks and their optimiser: one without a member dimension, or K with one.

    Attributes:
        parts: The network as a module, and the method's head.
        precision: The type that a step's forward passes multiply in; other passes have that of the weights.
        weights: What is trained; tensors change in place.
        optimizer: How it moves.
        leading: Leading dimensions of all tensors: (K,) or ().
        rate: Factor of the learning rate in the coming step.
    """

    parts: Parts
    precision: Precision
    weights: Weights
    optimizer: Optimizer
    leading: tuple[int, ...]
    rate: float | Tensor

    def forward(self, inputs: Tensor) -> Outputs:
        """Map inputs [..., B, *shape] in training mode, with a graph to the parameters."""
        ...

    def at(self, weights: Weights, inputs: Tensor) -> Outputs:
        """Map inputs in evaluation mode, with a graph to the given weights, and to the inputs if they ask for one."""
        ...

    def own(self, member: int) -> Weights:
        """One member's weights, without a member dimension and without a graph; they share their storage."""
        ...

    def one(self, member: int) -> Forward:
        """One member as a function of inputs [N, *shape], in evaluation mode, without a graph."""
        ...

    def by_row(self, function: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        """What a function makes of rows, each by itself, without a graph; several devices share them out."""
        ...

    def slopes(self, loss: Tensor, params: Sequence[Tensor]) -> Sequence[Tensor]:
        """Gradients of a loss [...] with respect to weights that were given to `at`."""
        ...

    def gradients(self, losses: dict[str, Tensor]) -> Gradients:
        """Gradients of losses [...] by name, one tensor a parameter, [K, ...]."""
        ...

    def descend(self, loss: Tensor) -> None:
        """One optimiser step on a loss [...]; members never mix."""
        ...

    def move(self, directions: Sequence[Tensor]) -> None:
        """One optimiser step along directions that take the gradient's place, [K, ...]."""
        ...


class Parts:
    """A network and a method's head on its features, called with their own weights or with any others."""

    def __init__(
        self, network: nn.Module, classifier: str, head: nn.Module | None, *, features: bool, compile: bool = False
    ) -> None:
        self.network, self.classifier, self.head = network, classifier, head
        self._trained = compiled(network) if compile else network
        modules = [m for part in (network, head) if part is not None for m in part.modules()]
        self.mixes_rows = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in modules)
        self.rows_at_once = MOST_IMAGES if is_convolutional(network) else MOST_ROWS
        self.is_linear_chain = is_linear_chain(network) and (head is None or is_linear_chain(head))
        self._features: Tensor | None = None
        self.looks = features or head is not None
        if self.looks:
            self._look()
        self.train()

    def _look(self) -> RemovableHandle:
        """See what goes into the classifier, whatever the network is."""

        def keep(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            self._features = inputs[0]

        return self.network.get_submodule(self.classifier).register_forward_pre_hook(keep)

    def to(self, device: torch.device) -> None:
        """Move the modules' own weights to a device."""
        for module in (self.network, self.head):
            if module is not None:
                module.to(device)

    def train(self, mode: bool = True) -> None:
        """Set training or evaluation mode."""
        for module in (self.network, self.head):
            if module is not None:
                module.train(mode)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode within a `with`, training mode after it."""
        self.train(False)
        try:
            yield
        finally:
            self.train()

    def __call__(self, inputs: Tensor, weights: dict[str, Tensor] | None = None, *, look: bool = False) -> Outputs:
        """Map one member's inputs, with weights by name instead of its own where they are given.

        Args:
            inputs: Rows [n, *shape].
            weights: Parameters and buffers; None: the modules' own.
            look: Whether features are wanted, though the method does not need them at each step.
        """
        if weights is None and not look and not self.looks:
            return Outputs(self._trained(inputs))
        handle = self._look() if look and not self.looks else None
        try:
            return self._call(inputs, weights)
        finally:
            if handle is not None:
                handle.remove()

    def _call(self, inputs: Tensor, weights: dict[str, Tensor] | None) -> Outputs:
        if weights is None:
            logits = self.network(inputs)
        elif self.head is None:
            logits = functional_call(self.network, weights, (inputs,))
        else:
            logits = functional_call(
                self.network, {n: t for n, t in weights.items() if not n.startswith(HEAD)}, (inputs,)
            )
        features, self._features = self._features, None
        return Outputs(logits, features, self.project(features, weights))

    def project(self, features: Tensor | None, weights: dict[str, Tensor] | None = None) -> Tensor | None:
        """What the head makes of features."""
        if self.head is None or features is None:
            return None
        if weights is None:
            return self.head(features)
        own = {n.removeprefix(HEAD): t for n, t in weights.items() if n.startswith(HEAD)}
        return functional_call(self.head, own, (features,))

    def named(self, what: str) -> dict[str, Tensor]:
        """Its "parameters" or "buffers" by name, the tensors themselves."""
        found = dict(getattr(self.network, f"named_{what}")())
        head = {} if self.head is None else dict(getattr(self.head, f"named_{what}")())
        return found | {HEAD + name: tensor for name, tensor in head.items()}


def compiled(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """The training pass of a network as PyTorch's compiler makes it, in its first call.

    Raises:
        ConfigError: At that call, where there is no C++ compiler, or the network is more than PyTorch's can follow.
    """
    fast: Callable[[Tensor], Tensor] | None = None

    def forward(inputs: Tensor) -> Tensor:
        nonlocal fast
        if fast is not None:  # later errors are the network's own
            return fast(inputs)
        try:
            made = torch.compile(network)
            found = made(inputs)
        except Exception as error:
            must = f"must be left out here: PyTorch's compiler raised {raised(error)}"
            raise ConfigError(message("training.compile", must)) from error
        fast = made
        return found

    return forward


def is_linear_chain(module: nn.Module) -> bool:
    """Whether a module is exactly Linear layers and elementwise ones, each there once, and nothing around them.

    A derived class may have a forward of its own, and a layer may have hooks: those are called as they are.
    """

    def known(layer: nn.Module) -> bool:
        plain = type(layer) in (nn.Linear, *ELEMENTWISE) or (type(layer) is nn.Flatten and layer.start_dim == 1)
        return plain and not layer._forward_hooks and not layer._forward_pre_hooks

    once = isinstance(module, nn.Sequential) and len(list(module.children())) == len(module)
    return type(module) is nn.Sequential and once and all(map(known, module)) and not module._forward_hooks


def squared_gradients(parts: Parts, weights: Weights, inputs: Tensor, labels: Tensor) -> list[Tensor]:
    """Mean over rows of the squared gradient of log p(label), in evaluation mode, one tensor a parameter.

    Args:
        parts: The network.
        weights: One member's.
        inputs: Rows [N, *shape].
        labels: Their classes, int64 [N].
    """
    params = {name: tensor.detach() for name, tensor in weights.params.items()}

    def log_p(params: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        logits = parts(x[None], params | weights.buffers).logits
        return logits.log_softmax(-1)[0].gather(0, y[None])[0]

    def each_row(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        try:
            return vmap(grad(log_p), in_dims=(None, 0, 0))(params, x, y)
        except RuntimeError:  # a forward that branches on values takes its rows one by one
            rows = [grad(log_p)(params, *row) for row in zip(x, y, strict=True)]
            return {name: torch.stack([row[name] for row in rows]) for name in params}

    totals = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
    with parts.evaluating():
        for x, y in zip(inputs.split(64), labels.split(64), strict=True):
            for name, gradient in each_row(x, y).items():
                totals[name].add_(gradient.square().sum(0))
    return [total / len(inputs) for total in totals.values()]
