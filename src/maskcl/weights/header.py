"""What a file of weights says of its network."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

import maskcl
from maskcl.augment import Augment, normalise
from maskcl.errors import ConfigError, DataError, check, message

__all__ = ["FORMAT", "PIXELS", "NetworkInfo"]

FORMAT = 1
"""Version of the header; a file of another one is refused."""
Type: TypeAlias = torch.dtype
FLOAT32 = torch.float32  # within the class below, torch is a version
PIXELS = "value / 255"
"""What is done to inputs of uint8, as the header says it."""


@dataclass(frozen=True, kw_only=True)
class NetworkInfo:
    """What a file says of its network.

    Attributes:
        network: Name and settings, as `Network.describe` gives them.
        input_shape: Shape of one row.
        num_classes: Logits of a row; the index of a logit is the class, whatever the order of tasks.
        tasks: Classes of each task it was trained on, in order; empty where that was not said.
        input_range: Lowest and highest value of the inputs it was trained on, before they were normalised; None where
            that was not said.
        input_scaling: What was done to raw inputs, in words or numbers; None: nothing. Of files that a run wrote, a
            dict of what there was: "values", i.e. "value / 255", then "normalise", means and standard deviations by
            channel. `prepare` does the same to other rows.
        about: Anything else: method, seed, accuracy, ...
        fingerprint: Of the module's structure.
        maskcl: Version that wrote the file.
        torch: Version of PyTorch that wrote it.
        format: Version of this header.
    """

    network: dict[str, Any]
    input_shape: tuple[int, ...]
    num_classes: int
    tasks: tuple[tuple[int, ...], ...] = ()
    input_range: tuple[float, float] | None = None
    input_scaling: Any = None
    about: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    maskcl: str = maskcl.__version__
    torch: str = str(torch.__version__)
    format: int = FORMAT

    def prepare(self, rows: Any, *, dtype: Type = FLOAT32) -> Tensor:
        """Make rows as the data set has them what the network was trained on: scaled, then normalised.

        Args:
            rows: Array or tensor, [N, *input_shape]: uint8 pixels, if it was trained on such; or floating, with the
                values that it was trained on before they were normalised (pixels / 255 where those were uint8).
            dtype: Type of the network's weights.

        Returns:
            Rows for the network, [N, *input_shape].

        Raises:
            ConfigError: The file says of its inputs what only a human can read.
            DataError: Rows of another type or shape.

        >>> about = {"values": "value / 255", "normalise": [[0.5], [0.25]]}
        >>> info = NetworkInfo(network={"name": "mlp"}, input_shape=(1, 1, 2), num_classes=2, input_scaling=about)
        >>> info.prepare([[[[0.5, 1.0]]]])
        tensor([[[[0., 2.]]]])
        >>> info.prepare(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
        tensor([[[[-2.,  2.]]]])
        """
        scaling = {} if self.input_scaling is None else self.input_scaling
        known = isinstance(scaling, dict) and set(scaling) <= {"values", "normalise"}
        known = known and scaling.get("values", PIXELS) == PIXELS
        check(
            known, "prepare", "must be done by hand, as the file says what was done to inputs in its own words", scaling
        )
        where = "prepare: rows"
        try:
            found = torch.as_tensor(rows)
        except (TypeError, ValueError, RuntimeError):  # whatever PyTorch says of what it makes no tensor of
            must = "must be a tensor, an array, or lists of numbers"
            raise DataError(message(where, must, type(rows).__name__)) from None
        shape = tuple(found.shape[1:])
        check(shape == self.input_shape, where, f"must have shape [N, *{self.input_shape}]", shape, error=DataError)
        if found.dtype == torch.uint8 and "values" in scaling:
            found = found.float().div_(255)
        must = "must be floating, as what it was trained on" if "values" not in scaling else "must be uint8 or floating"
        check(found.is_floating_point(), where, must, str(found.dtype), error=DataError)
        return normalise(Augment(normalise=scaling.get("normalise")), found.to(dtype))

    def to_text(self) -> str:
        """Return the header as JSON.

        Raises:
            ConfigError: It holds values that JSON does not have.
        """
        try:
            return json.dumps(asdict(self), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError(message("save_network", f"must be told values that JSON has ({error})")) from error

    @staticmethod
    def from_text(text: str | None, where: str) -> NetworkInfo:
        """Read a header.

        Args:
            text: What `to_text` gave; None: there is no header.
            where: The file, for messages.

        Raises:
            DataError: It is none, or of another format.
        """
        check(text is not None, where, "must be a network that maskcl wrote, and has no header of it", error=DataError)
        try:
            header = json.loads(str(text))
            version, writer = header["format"], header["maskcl"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise DataError(message(where, "must have a header that maskcl wrote, and has another")) from None
        hint = f"it was written by maskcl {writer}, and this is {maskcl.__version__}"
        check(version == FORMAT, where, f"must have a header of format {FORMAT}", version, error=DataError, hint=hint)
        try:
            return _checked(header)
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            raise DataError(message(where, f"must have a header that is whole ({type(error).__name__})")) from None


def _checked(header: dict[str, Any]) -> NetworkInfo:
    limits, about = header["input_range"], header["about"]
    header["input_shape"] = tuple(int(size) for size in header["input_shape"])
    header["tasks"] = tuple(tuple(int(label) for label in classes) for classes in header["tasks"])
    header["input_range"] = None if limits is None else (float(limits[0]), float(limits[1]))
    sizes = (*header["input_shape"], header["num_classes"])
    if not all(isinstance(size, int) and size >= 1 for size in sizes) or not isinstance(about, dict):
        raise ValueError(sizes)
    if not isinstance(header["network"]["name"], str) or not isinstance(header["fingerprint"], str):
        raise TypeError(header["network"])
    return NetworkInfo(**header)
