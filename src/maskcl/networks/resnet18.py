"""ResNet-18 for small images, as the public code base of DER has it (arXiv 1512.03385; 2004.07211).

The stem is one 3x3 convolution of stride 1 and no max-pooling, so that 32x32 images keep their pixels until the second
stage. Width 64 is the usual network; 20, a tenth of its weights, the "reduced" one of online continual learning.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from maskcl.errors import check, is_whole
from maskcl.networks.base import Network
from maskcl.networks.layers import check_head, check_images, head, initialised

__all__ = ["BasicBlock", "ResNet18"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm, added to their input."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
            )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, channels, H, W] to [B, out, H / stride, W / stride], rounded up."""
        inner = F.relu(self.bn1(self.conv1(images)))
        return F.relu(self.bn2(self.conv2(inner)) + self.shortcut(images))


@dataclass(frozen=True, kw_only=True)
class ResNet18(Network):
    """ResNet-18 with the stem for small images, for inputs [channels, height, width] of any size.

    Args:
        width: Channels of the first of four stages, each of twice the one before: 64, or 20 for the reduced network.
        classifier: "linear", or "cosine" (scale 10, no bias, as in ER-ACE's public code).
        initialisation: "default", PyTorch's; or "xavier", uniform Xavier weights and zero biases in the linear layer.
    """

    key: ClassVar[str] = "resnet18"

    width: int = 64
    classifier: str = "linear"
    initialisation: str = "default"

    def __post_init__(self) -> None:
        check_head(self.classifier, self.initialisation)
        good = is_whole(self.width) and self.width >= 1
        check(good, "network.width", "must be a whole number, 1 or more", self.width)

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Return the layers, the classifier last."""
        check_images(self.key, input_shape)
        layers: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(input_shape[0], self.width, 3, padding=1, bias=False),
            "bn1": nn.BatchNorm2d(self.width),
            "relu": nn.ReLU(),
        }
        channels = self.width
        for stage in range(4):
            out, stride = self.width * 2**stage, 1 if stage == 0 else 2
            layers[f"layer{stage + 1}"] = nn.Sequential(BasicBlock(channels, out, stride), BasicBlock(out, out, 1))
            channels = out
        layers |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
        layers["classifier"] = head(self.classifier, channels, num_classes)
        return initialised(nn.Sequential(OrderedDict(layers)), self.initialisation)
