"""A few convolutions with BatchNorm: the smallest network that behaves like a ResNet under the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from maskcl.errors import check
from maskcl.networks.base import Network
from maskcl.networks.layers import check_head, check_images, head, initialised
from maskcl.networks.mlp import check_widths

__all__ = ["ConvNet"]


@dataclass(frozen=True, kw_only=True)
class ConvNet(Network):
    """Convolutions with BatchNorm, then a linear layer, for inputs [channels, height, width].

    Args:
        hidden: Channels of the convolutions, each of stride 2.
        classifier: "linear", or "cosine" (scale 10, no bias, as in ER-ACE's public code).
        initialisation: "default", PyTorch's; or "xavier", uniform Xavier weights and zero biases in the linear layer.
    """

    key: ClassVar[str] = "convnet"

    hidden: tuple[int, ...] = (100, 100)
    classifier: str = "linear"
    initialisation: str = "default"

    def __post_init__(self) -> None:
        check_head(self.classifier, self.initialisation)
        object.__setattr__(self, "hidden", check_widths(self.hidden))
        check(len(self.hidden) > 0, "network.hidden", "must have a width or more for 'convnet'", list(self.hidden))

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Return the layers, the classifier last."""
        check_images(self.key, input_shape)
        layers: list[nn.Module] = []
        channels = input_shape[0]
        for out in self.hidden:
            layers += [nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), head(self.classifier, channels, num_classes)]
        return initialised(nn.Sequential(*layers), self.initialisation)
