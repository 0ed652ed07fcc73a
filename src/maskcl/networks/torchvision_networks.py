"""Networks of torchvision for classification, by name: "torchvision/NAME"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from maskcl.errors import check
from maskcl.networks.foreign import ForeignNetwork, built_by, named
from maskcl.networks.libraries import check_known, library

__all__ = ["TorchvisionNetwork", "torchvision_network"]

_ONE_OUTPUT: dict[str, Any] = {"aux_logits": False, "init_weights": True}
_DEFAULTS = {"googlenet": _ONE_OUTPUT, "inception_v3": _ONE_OUTPUT}
"""With their further heads these give several logits in training; without a word on initial weights they warn."""


@dataclass(frozen=True, kw_only=True)
class TorchvisionNetwork(ForeignNetwork):
    """A network of torchvision with a new head; all take three channels, and grey images are given three equal ones.

    Args:
        image_size: Height and width in pixels that images are brought to in front of the network, bilinearly; None:
            they stay as they are, and a transformer is built for their size.
        weights: File of pretrained weights, .safetensors or of torch.save; its head is left out where it is of
            another number of classes; None: initial weights are drawn.
        options: Further arguments of torchvision.models.get_model, by name, e.g. width_mult.
    """

    family: ClassVar[str] = "torchvision"
    reserved: ClassVar[tuple[str, ...]] = (
        "weights", "weights_backbone", "pretrained", "pretrained_backbone", "progress", "num_classes", "image_size",
        "input_size",
    )  # fmt: skip

    @property
    def classifier_name(self) -> str | None:
        """SqueezeNet's is a convolution; the others' is the linear layer whose output the logits are."""
        return "classifier.1" if self.name.startswith("squeezenet") else None

    def channels_taken(self, channels: int) -> int:
        """Three, for rows of three or one."""
        check(channels in (1, 3), "network.name", f"{self.key!r} needs images of 3 channels, or grey ones", channels)
        return 3

    def module(self, channels: int, size: tuple[int, int], num_classes: int) -> nn.Module:
        """Return torchvision's module."""
        get_model = library("torchvision").models.get_model

        def make(**told: Any) -> nn.Module:
            return get_model(self.name, weights=None, num_classes=num_classes, **told)

        sizes: list[dict[str, Any]] = [{"image_size": size[0]}] if size[0] == size[1] else []
        options = _DEFAULTS.get(self.name, {}) | self.options
        return built_by(make, self.key, options, [*sizes, {"input_size": size}, {}])


def torchvision_network(name: str) -> type[TorchvisionNetwork]:
    """Return the class of networks of a name in torchvision.

    Raises:
        ConfigError: torchvision is missing, or has no such network for classification.
    """
    models = library("torchvision").models
    check_known("torchvision", name, models.list_models(module=models), others=models.list_models())
    return named(TorchvisionNetwork, name)
