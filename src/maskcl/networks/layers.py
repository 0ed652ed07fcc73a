"""Layers and initial weights that networks share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskcl.errors import check, check_choice

__all__ = ["CosineLinear", "check_head", "check_images", "head", "initialised"]


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

    def extra_repr(self) -> str:
        """Its settings, as other layers of PyTorch show them."""
        return f"scale={self.scale}"


def check_head(classifier: str, initialisation: str) -> None:
    """Refuse words that no classifier or initialisation has."""
    check_choice(classifier, "network.classifier", ("linear", "cosine"))
    check_choice(initialisation, "network.initialisation", ("default", "xavier"))


def check_images(key: str, input_shape: tuple[int, ...]) -> None:
    """Refuse inputs that are no images."""
    check(len(input_shape) == 3, "network.name", f"{key!r} needs inputs [channels, height, width]", input_shape)


def head(classifier: str, num_features: int, num_classes: int) -> nn.Module:
    """Return a "linear" layer, or the "cosine" one (scale 10, no bias)."""
    return (nn.Linear if classifier == "linear" else CosineLinear)(num_features, num_classes)


def initialised(network: nn.Sequential, initialisation: str) -> nn.Sequential:
    """Return the network with PyTorch's own initial weights, or its linear layers drawn anew by "xavier"."""
    return network.apply(_xavier) if initialisation == "xavier" else network


def _xavier(layer: nn.Module) -> None:
    if isinstance(layer, nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
