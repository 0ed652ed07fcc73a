"""Files of checkpoints: written whole or not at all, the last two of each population kept, read with a digest.

    FOLDER/<population>-<number>.safetensors

The population's name is a digest of the keys of its runs; numbers go up. What is in a file is the caller's.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from maskcl.engine.auto import Choice
from maskcl.engine.packing import pack
from maskcl.errors import DataError, check, message
from maskcl.files import write_whole
from maskcl.weights.files import read_safetensors

__all__ = ["FORMAT", "Checkpoints", "Saved", "population_name"]

FORMAT = 1
"""Version of the layout; a file of another one is left alone."""
KEPT = 2
"""Files of a population: should the newest be broken, the one before it serves."""
_KEY = "maskcl.checkpoint"
_NAME = re.compile(r"^([0-9a-f]{16})-([0-9]{6,})\.safetensors$")


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

    def places(self, keys: Sequence[str]) -> list[int]:
        """Return the places of its runs among `keys`, in its order."""
        place = {key: i for i, key in enumerate(keys)}
        return [place[key] for key in self.keys if key in place]


class Checkpoints:
    """The checkpoints of a folder.

    Args:
        folder: Where they lie; made when the first is written.
        about: Versions that decide the last bits: a file that tells of others is left alone.
        tell: Told of each file that is left alone, and why, in a sentence; None: nobody is.
    """

    def __init__(
        self, folder: str | os.PathLike[str], about: Mapping[str, Any], *, tell: Callable[[str], None] | None = None
    ) -> None:
        self.folder, self._about = Path(folder), dict(about)
        self._listener, self._told = tell, set[str]()

    def tell(self, text: str) -> None:
        """Say a sentence, once."""
        if self._listener is not None and text not in self._told:
            self._listener(text)
        self._told.add(text)

    def write(self, name: str, keys: Sequence[str], content: Any) -> None:
        """Write a population's next checkpoint, and remove those before the last two.

        Args:
            name: Of the population: `population_name` of its runs, whichever of them are left by now.
            keys: Of the runs whose state is in it.
            content: Anything that can be packed.

        Raises:
            OSError: It cannot be written; those before it are as they were.
        """
        plain, tensors = pack(content)
        text = json.dumps({"keys": list(keys), "content": plain})
        header = {"format": FORMAT, "about": self._about, "digest": _digest(text, tensors), "text": text}
        numbers = self._numbers(name)
        number = max(numbers, default=0) + 1
        own = {key: tensor.clone() for key, tensor in tensors.items()}  # safetensors refuses what shares memory
        write_whole(self._path(name, number), save(own, {_KEY: json.dumps(header)}))
        for old in sorted(numbers)[: 1 - KEPT or None]:
            self._path(name, old).unlink(missing_ok=True)

    def newest(self, keys: frozenset[str] | set[str]) -> list[Saved]:
        """Return the newest good checkpoint of each population that has any of the given runs."""
        found = []
        for name in sorted({match[1] for match in self._matches()}):
            for number in sorted(self._numbers(name), reverse=True):
                path = self._path(name, number)
                try:
                    saved = self._read(path, name, number)
                except FileNotFoundError:  # another process has gone on
                    continue
                except (DataError, OSError) as error:
                    self.tell(f"{error} It is left alone.")
                    continue
                if keys & set(saved.keys):
                    found.append(saved)
                break
        return found

    def remove(self, name: str) -> None:
        """Remove a population's checkpoints, and the folder with the last of them."""
        for number in self._numbers(name):
            self._path(name, number).unlink(missing_ok=True)
        with suppress(OSError):  # there are others, or none was ever written
            self.folder.rmdir()

    def _read(self, path: Path, name: str, number: int) -> Saved:
        """Read a file; raises DataError for one that is not ours, not whole, or of other versions."""
        text, _ = read_safetensors(str(path), _KEY, weights=False)
        check(text is not None, str(path), "must be a checkpoint of maskcl", error=DataError)
        try:
            header = json.loads(str(text))
            version, about = header["format"], header["about"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                message(str(path), f"must hold the header of a checkpoint ({type(error).__name__})")
            ) from None
        check(version == FORMAT, str(path), f"must have format {FORMAT}", version, error=DataError)
        other = [key for key in self._about | about if self._about.get(key) != about.get(key)]
        told = ", ".join(f"{key} {about.get(key)} and not {self._about.get(key)}" for key in other)
        check(not other, str(path), f"must be of these versions, and is of {told}", error=DataError)
        _, tensors = read_safetensors(str(path), _KEY)
        whole = header.get("digest") == _digest(str(header.get("text")), tensors)
        check(whole, str(path), "must be as it was written, and its digest is another", error=DataError)
        found = json.loads(header["text"])
        return Saved(name, number, tuple(found["keys"]), found["content"], tensors)

    def _path(self, name: str, number: int) -> Path:
        return self.folder / f"{name}-{number:06d}.safetensors"

    def _numbers(self, name: str) -> list[int]:
        return [int(match[2]) for match in self._matches() if match[1] == name]

    def _matches(self) -> list[re.Match[str]]:
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return [match for match in map(_NAME.match, names) if match is not None]


def population_name(keys: Sequence[str]) -> str:
    """Return 16 hex digits that are the same for the same runs, in any order."""
    return hashlib.blake2b("\n".join(sorted(keys)).encode(), digest_size=8).hexdigest()


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """Of a text, and of tensors with their names, types and shapes."""
    found = hashlib.blake2b(text.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        found.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        if tensor.numel():
            found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
