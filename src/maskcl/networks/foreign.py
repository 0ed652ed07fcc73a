"""What networks of other libraries have in common: their settings, pictures of another size, weights from a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePath
from typing import Any, ClassVar, TypeAlias, TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from maskcl.data.folder import check_pixels
from maskcl.errors import ConfigError, MaskclError, check, message, raised
from maskcl.networks.base import Network, sketch_network
from maskcl.networks.layers import check_images
from maskcl.networks.modules import fingerprint
from maskcl.networks.pretrained import digest, fitting, read_tensors
from maskcl.networks.reserved import why_reserved
from maskcl.networks.trial import traced_classifier

__all__ = ["ForeignNetwork", "Option", "PreparedImages", "built_by", "named"]

Option: TypeAlias = "bool | int | float | str | list[int]"
"""A value that TOML has and that libraries take as an argument."""


@dataclass(frozen=True, kw_only=True)
class ForeignNetwork(Network):
    """A network of another library, which its settings alone do not describe: versions differ.

    Args:
        image_size: Height and width in pixels that images are brought to in front of the network, bilinearly; None:
            they stay as they are.
        weights: File of pretrained weights, .safetensors or of torch.save; its head is left out where it is of
            another number of classes; None: initial weights are drawn.
        options: Further arguments of the library's function, by name.
    """

    fingerprinted: ClassVar[bool] = True
    trial_hint: ClassVar[str | None] = "network.image_size brings images to another size"
    family: ClassVar[str]
    """The library; a network's key is FAMILY/NAME."""
    name: ClassVar[str]
    """Its name in the library."""
    reserved: ClassVar[tuple[str, ...]] = ()
    """Arguments of the library's function that are no options; `why_reserved` says of each why."""

    image_size: int | None = None
    weights: str | None = field(default=None, metadata={"rebuilt": False})
    options: dict[str, Option] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_pixels("network.image_size", self.image_size)
        good = self.weights is None or (isinstance(self.weights, str) and bool(self.weights))
        check(good, "network.weights", "must be a file, by its path", self.weights)
        good = isinstance(self.options, dict) and all(isinstance(name, str) for name in self.options)
        check(good, "network.options", "must be a table of arguments by name", self.options)
        for name, value in self.options.items():
            if name in self.reserved:
                must = f"must not be among the options, for {why_reserved(name)}"
                raise ConfigError(message(f"network.options.{name}", must, value))

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Return the library's module, with its own initial weights, and pictures made ready in front of it."""
        check_images(self.key, input_shape)
        channels, *size = input_shape
        seen = [self.image_size] * 2 if self.image_size is not None else size
        module = self.module(channels, (seen[0], seen[1]), num_classes)
        grey = channels != self.channels_taken(channels)
        if seen != size or grey:
            module.register_forward_pre_hook(PreparedImages(tuple(seen) if seen != size else None, grey=grey))
        return module

    def channels_taken(self, channels: int) -> int:
        """Channels that the library's module takes, for rows of so many."""
        return channels

    def module(self, channels: int, size: tuple[int, int], num_classes: int) -> nn.Module:
        """Return the library's module from images [B, channels_taken, *size] to logits."""
        raise NotImplementedError

    def heads(self, module: nn.Module, input_shape: tuple[int, ...]) -> tuple[str, ...]:
        """Qualified names of all modules that are made for the classes; one, as a forward shows it, unless told."""
        return (traced_classifier(module, input_shape, name=self.classifier_name),)

    def initialise(self, module: nn.Module, input_shape: tuple[int, ...]) -> None:
        """Load the pretrained weights, if a file is named."""
        if self.weights is not None:
            tensors = self._fitting(module, input_shape)
            module.load_state_dict(tensors, strict=False)

    def describe(self, input_shape: tuple[int, ...] | None = None, num_classes: int | None = None) -> dict[str, Any]:
        """Return name and settings as plain values; weights by the file's name and content.

        Raises:
            MaskclError: With both arguments also where the weights do not fit what is built.
        """
        found = super().describe()
        if self.weights is not None:
            found |= {"weights": PurePath(self.weights).name, "weights_digest": digest(self.weights)}
        if input_shape is not None and num_classes is not None:
            module = sketch_network(self, input_shape, num_classes)
            if self.weights is not None:
                self._fitting(module, input_shape)
            found |= {"class": type(module).__qualname__, "fingerprint": fingerprint(module)}
        return found

    def _fitting(self, module: nn.Module, input_shape: tuple[int, ...]) -> dict[str, Tensor]:
        assert self.weights is not None
        return fitting(read_tensors(self.weights), module, self.heads(module, tuple(input_shape)), self.weights)

    def __reduce__(self) -> Any:
        """The class is made by name, and made again by it where it is unpickled."""
        return _again, (type(self).__mro__[1], self.name, dict(vars(self)))


K = TypeVar("K", bound=ForeignNetwork)


@cache
def named(kind: type[K], name: str) -> type[K]:
    """Return the class of one of a library's networks, the same for the same name."""
    doc = f"{name} of {kind.family}: {(kind.__doc__ or '').strip()}"
    return type(kind.__name__, (kind,), {"name": name, "key": f"{kind.family}/{name}", "__doc__": doc,
                                         "__module__": kind.__module__})  # fmt: skip


def _again(kind: type[K], name: str, settings: dict[str, Any]) -> K:
    return named(kind, name)(**settings)  # type: ignore[arg-type]


class PreparedImages:
    """Brings images to a size, and grey ones to three channels, in front of a module: a forward pre-hook.

    A hook, and no layer, so that names of weights stay those of the library.

    Args:
        size: Height and width; None: as they are.
        grey: Whether the one channel is to be three.
    """

    def __init__(self, size: tuple[int, ...] | None, *, grey: bool) -> None:
        self.size, self.grey = size, grey

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Change images [B, channels, height, width]."""
        (images,) = inputs
        if self.size is not None:
            shrinks = self.size[0] < images.shape[-2] or self.size[1] < images.shape[-1]
            images = F.interpolate(images, self.size, mode="bilinear", align_corners=False, antialias=shrinks)
        return (images.expand(-1, 3, -1, -1) if self.grey else images,)


def built_by(make: Callable[..., Any], key: str, options: dict[str, Any], sizes: list[dict[str, Any]]) -> nn.Module:
    """Call a library's function with the first of several ways to tell it the images' size that it takes.

    Args:
        make: The function, with everything else given.
        key: The network's name, for messages.
        options: Options from the user.
        sizes: Ways to tell the size, the most welcome first; the last is the one of networks that take none.

    Raises:
        ConfigError: The library refuses the arguments; the message has its own words.
    """
    for told in sizes:
        try:
            return make(**told, **options)
        except TypeError as error:
            if told is not sizes[-1] and any(f"'{name}'" in str(error) for name in told if name not in options):
                continue
            raise _refused(key, error) from error
        except MaskclError:
            raise
        except Exception as error:  # whatever a library raises at arguments it cannot use
            raise _refused(key, error) from error
    raise AssertionError("the last way is taken or refused")


def _refused(key: str, error: Exception) -> ConfigError:
    must = f"must be built for these images and options, and {key!r} raised {raised(error)}"
    return ConfigError(message("network", must))
