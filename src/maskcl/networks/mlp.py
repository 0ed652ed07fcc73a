"""Linear layers with ReLU between them: the network of Split MNIST in nearly all papers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from maskcl.errors import check, is_whole
from maskcl.networks.base import Network
from maskcl.networks.layers import check_head, head, initialised

__all__ = ["Mlp", "check_widths"]


@dataclass(frozen=True, kw_only=True)
class Mlp(Network):
    """Linear layers with ReLU between them, for inputs of any shape.

    Args:
        hidden: Widths of the hidden layers; none: a linear classifier.
        classifier: "linear", or "cosine" (scale 10, no bias, as in ER-ACE's public code).
        initialisation: "default", PyTorch's; or "xavier", uniform Xavier weights and zero biases in every linear
            layer, as the public code base of DER has it.
    """

    key: ClassVar[str] = "mlp"

    hidden: tuple[int, ...] = (100, 100)
    classifier: str = "linear"
    initialisation: str = "default"

    def __post_init__(self) -> None:
        check_head(self.classifier, self.initialisation)
        object.__setattr__(self, "hidden", check_widths(self.hidden))

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Return the layers, the classifier last."""
        layers: list[nn.Module] = [nn.Flatten()]
        width = int(torch.Size(input_shape).numel())
        for out in self.hidden:
            layers += [nn.Linear(width, out), nn.ReLU()]
            width = out
        return initialised(nn.Sequential(*layers, head(self.classifier, width, num_classes)), self.initialisation)


def check_widths(hidden: Any) -> tuple[int, ...]:
    """Return widths of layers as a tuple, or refuse them."""
    good = isinstance(hidden, (list, tuple))
    good = good and all(is_whole(width) and width > 0 for width in hidden)
    check(good, "network.hidden", "must be widths above 0", list(hidden) if isinstance(hidden, tuple) else hidden)
    return tuple(hidden)
