"""Networks that come with maskcl. Any `nn.Module` from inputs [B, ...] to logits [B, C] will do in their place."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskcl.errors import check, check_choice
from maskcl.rng import derive

__all__ = ["CosineLinear", "NetworkConfig", "build_network"]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Which network.

    Args:
        name: "mlp", or "convnet" (convolutions with BatchNorm, then a linear layer; inputs [channels, height, width]).
        hidden: Widths of the hidden layers, or channels of the convolutions.
        classifier: "linear", or "cosine" (scale 10, no bias, as in ER-ACE's public code).
        initialisation: "default", PyTorch's; or "xavier", uniform Xavier weights and zero biases in every linear
            layer, as the public code base of DER has it.
    """

    name: str = "mlp"
    hidden: tuple[int, ...] = (100, 100)
    classifier: str = "linear"
    initialisation: str = "default"

    def __post_init__(self) -> None:
        check_choice(self.name, "network.name", ("mlp", "convnet"))
        check_choice(self.classifier, "network.classifier", ("linear", "cosine"))
        check_choice(self.initialisation, "network.initialisation", ("default", "xavier"))
        object.__setattr__(self, "hidden", tuple(self.hidden))
        check(
            all(isinstance(w, int) and w > 0 for w in self.hidden),
            "network.hidden",
            "must be widths above 0",
            self.hidden,
        )
        check(self.name == "mlp" or len(self.hidden) > 0, "network.hidden", "needs a width for 'convnet'", self.hidden)


_GLOBAL_RANDOM_STATE = Lock()
"""PyTorch initialises layers from one global state, and populations are set up in several threads."""


class CosineLinear(nn.Module):
    """Logits are `scale` times the cosine between features and class weights."""

    def __init__(self, in_features: int, num_classes: int, scale: float = 10.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, in_features))
        self.scale = scale
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Map features [..., D] to logits [..., C]."""
        return self.scale * F.linear(F.normalize(features, dim=-1), F.normalize(self.weight, dim=-1))


def build_network(config: NetworkConfig, input_shape: tuple[int, ...], num_classes: int, *, seed: int) -> nn.Sequential:
    """Build a network with PyTorch's default initialisation, drawn from `seed` alone.

    Args:
        config: Which network.
        input_shape: Shape of one row.
        num_classes: Outputs of the head.
        seed: Seed of the initialisation; the global random state is left as it was.

    Returns:
        A module from [B, *input_shape] to [B, num_classes]; its last layer is the classifier.
    """
    with _GLOBAL_RANDOM_STATE, torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "initialisation"))
        layers, width = _mlp(config, input_shape) if config.name == "mlp" else _convnet(config, input_shape)
        head = nn.Linear(width, num_classes) if config.classifier == "linear" else CosineLinear(width, num_classes)
        network = nn.Sequential(*layers, head)
        return network.apply(_xavier) if config.initialisation == "xavier" else network


def _xavier(layer: nn.Module) -> None:
    if isinstance(layer, nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)


def _mlp(config: NetworkConfig, input_shape: tuple[int, ...]) -> tuple[list[nn.Module], int]:
    layers: list[nn.Module] = [nn.Flatten()]
    width = int(torch.Size(input_shape).numel())
    for out in config.hidden:
        layers += [nn.Linear(width, out), nn.ReLU()]
        width = out
    return layers, width


def _convnet(config: NetworkConfig, input_shape: tuple[int, ...]) -> tuple[list[nn.Module], int]:
    check(len(input_shape) == 3, "network.name", "'convnet' needs inputs [channels, height, width]", input_shape)
    layers: list[nn.Module] = []
    channels = input_shape[0]
    for out in config.hidden:
        layers += [nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        channels = out
    return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()], channels
