"""Networks of timm (PyTorch Image Models, by Ross Wightman), by name: "timm/NAME"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from maskcl.data.folder import check_pixels
from maskcl.errors import ConfigError, check, message
from maskcl.networks.foreign import ForeignNetwork, built_by, named
from maskcl.networks.libraries import check_known, library

__all__ = ["TimmNetwork", "timm_network"]


@dataclass(frozen=True, kw_only=True)
class TimmNetwork(ForeignNetwork):
    """A network of timm, built for the images as they come, of any number of channels, with a new head.

    Args:
        image_size: Height and width in pixels that images are brought to in front of the network, bilinearly; None:
            they stay as they are, and a transformer is built for their size.
        weights: File of pretrained weights, .safetensors or of torch.save; its head is left out where it is of
            another number of classes; None: initial weights are drawn.
        options: Further arguments of timm.create_model, by name, e.g. depth or drop_path_rate.
        patch_size: Pixels along a patch, for transformers; None: as the name says.
    """

    family: ClassVar[str] = "timm"
    reserved: ClassVar[tuple[str, ...]] = (
        "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "num_classes",
        "in_chans", "img_size", "patch_size", "features_only", "scriptable", "exportable", "no_jit",
    )  # fmt: skip

    patch_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pixels("network.patch_size", self.patch_size)

    @property
    def classifier_name(self) -> str | None:
        """The module that timm says it is, the last one of several; None where it says nothing."""
        told = self._told_heads()
        return told[-1] if told else None

    def heads(self, module: nn.Module, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """All that timm names: a distilled transformer has one beside the classifier."""
        return self._told_heads() or super().heads(module, input_shape)

    def _told_heads(self) -> tuple[str, ...]:
        found = getattr(library("timm").get_pretrained_cfg(self.name), "classifier", None)
        each = found if isinstance(found, (tuple, list)) else (found,)
        return tuple(name for name in each if isinstance(name, str))

    def module(self, channels: int, size: tuple[int, int], num_classes: int) -> nn.Module:
        """Return timm's module."""
        fixed: dict[str, Any] = {}
        if self.patch_size is not None:
            whole = all(side % self.patch_size == 0 for side in size)
            check(whole, "network.patch_size", f"must divide the images' size, {size[0]} x {size[1]}", self.patch_size)
            fixed["patch_size"] = self.patch_size
        create = library("timm").create_model

        def make(**told: Any) -> nn.Module:
            return create(self.name, pretrained=False, num_classes=num_classes, in_chans=channels, **told)

        try:
            return built_by(make, self.key, self.options, [fixed | {"img_size": size}, fixed])
        except ConfigError as error:
            if self.patch_size is None or "'patch_size'" not in str(error):
                raise
            must = f"must be left out for {self.key!r}, whose patches, if it has any, are what they are"
            raise ConfigError(message("network.patch_size", must, self.patch_size)) from error


def timm_network(name: str) -> type[TimmNetwork]:
    """Return the class of networks of a name in timm.

    Raises:
        ConfigError: timm is missing, or has no such network.
    """
    check_known("timm", name, library("timm").list_models())
    return named(TimmNetwork, name)
