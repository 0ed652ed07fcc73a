"""One file of a checkpoint: tensors, and a header with one JSON text and a digest of text and tensors.

    {"format": 2, "about": versions, "digest": hex digits, "text": {"keys": [...], "content": plain values}}

Nothing that a file says is run, and nothing of it is used before format, versions and digest have been looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from maskcl.engine.auto import Choice
from maskcl.engine.packing import pack
from maskcl.errors import DataError, check, message
from maskcl.weights.files import read_safetensors

__all__ = ["FORMAT", "Head", "Saved", "as_bytes", "read", "read_head"]

FORMAT = 2
"""Version of the layout, and of what is in it; a file of another one is left alone."""
_KEY = "maskcl.checkpoint"


@dataclass(frozen=True)
class Head:
    """What a file says before its tensors are read.

    Attributes:
        keys: Of the runs whose state is in it.
        about: Versions of what wrote it.
        digest: Of text and tensors.
        text: Keys and content, JSON.
    """

    keys: tuple[str, ...]
    about: dict[str, Any]
    digest: str
    text: str


@dataclass(frozen=True)
class Saved:
    """What a file holds.

    Attributes:
        name: Of the population.
        number: Of the file.
        keys: Of the runs whose state is in it.
        content: Plain values, of which some stand for tensors (`maskcl.engine.packing`).
        tensors: By name.
    """

    name: str
    number: int
    keys: tuple[str, ...]
    content: Any
    tensors: dict[str, Tensor]

    @property
    def choice(self) -> Choice:
        """What ran it."""
        told = self.content["executor"]
        return Choice(told["name"] == "stack", told["group_size"], told["reason"], told["device"])

    @property
    def threads(self) -> int:
        """On how many threads."""
        return int(self.content["executor"]["threads"])

    @property
    def devices(self) -> int:
        """How many made each run together."""
        return int(self.content["executor"].get("devices", 1))

    def steps(self, keys: Sequence[str]) -> int:
        """Return how many steps that of some runs that has got furthest has made."""
        return max((done for key, done in zip(self.keys, self.content["done"], strict=True) if key in keys), default=0)


def as_bytes(keys: Sequence[str], content: Any, about: Mapping[str, Any]) -> bytes:
    """Return the file of a content; raises TypeError where it cannot be packed."""
    plain, tensors = pack(content)
    text = json.dumps({"keys": list(keys), "content": plain})
    header = {"format": FORMAT, "about": dict(about), "digest": _digest(text, tensors), "text": text}
    own = {key: tensor.clone() for key, tensor in tensors.items()}  # safetensors refuses what shares memory
    return save(own, {_KEY: json.dumps(header)})


def read_head(path: Path) -> Head:
    """Read what comes before the tensors.

    Raises:
        DataError: It is no checkpoint, not whole, or of another format.
        FileNotFoundError: It is not there.
    """
    text, _ = _tensors(path, weights=False)
    check(text is not None, str(path), "must be a checkpoint of maskcl", error=DataError)
    try:
        header = json.loads(str(text))
        version = header["format"]
        check(version == FORMAT, str(path), f"must have format {FORMAT}", version, error=DataError)
        keys = tuple(str(key) for key in json.loads(header["text"])["keys"])
        return Head(keys, dict(header["about"]), str(header["digest"]), header["text"])
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(message(str(path), f"must hold the header of a checkpoint ({type(error).__name__})")) from None


def read(path: Path, head: Head, name: str, number: int, about: Mapping[str, Any]) -> Saved:
    """Read the rest.

    Args:
        path: The file.
        head: What comes before.
        name: Of the population.
        number: Of the file.
        about: Versions of what reads it.

    Raises:
        DataError: It is of other versions, or not as it was written.
        FileNotFoundError: It is not there.
    """
    other = [key for key in dict(about) | head.about if about.get(key) != head.about.get(key)]
    told = ", ".join(f"{key} {head.about.get(key)} and not {about.get(key)}" for key in other)
    check(not other, str(path), f"must be of these versions, and is of {told}", error=DataError)
    _, tensors = _tensors(path)
    whole = head.digest == _digest(head.text, tensors)
    check(whole, str(path), "must be as it was written, and its digest is another", error=DataError)
    return Saved(name, number, head.keys, json.loads(head.text)["content"], tensors)


def _tensors(path: Path, *, weights: bool = True) -> tuple[str | None, dict[str, Tensor]]:
    if path.exists() and not path.is_file():
        raise DataError(message(str(path), "must be a file"))  # a pipe would be waited for
    try:
        return read_safetensors(str(path), _KEY, weights=weights)
    except DataError:
        if not path.exists():
            raise FileNotFoundError(str(path)) from None
        raise


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """Of a text, and of tensors with their names, types and shapes."""
    found = hashlib.blake2b(text.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        found.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        if tensor.numel():
            found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
