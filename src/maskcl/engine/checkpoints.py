"""A folder of checkpoints: written whole or not at all, the last two of each population kept.

    FOLDER/<population>-<number>.safetensors

The population's name is a digest of the keys of its runs; numbers go up. What is in a file is the caller's
(`maskcl.engine.checkpoint_file`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from maskcl.engine.checkpoint_file import Head, Saved, as_bytes, read, read_head
from maskcl.errors import DataError
from maskcl.files import remove_left_over, write_whole

__all__ = ["Checkpoints", "population_name", "shared_out"]

KEPT = 2
"""Files of a population: should the newest be broken, the one before it serves."""
_NAME = re.compile(r"^([0-9a-f]{16})-([0-9]{6,})\.safetensors$")


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
        self.folder, self._about = Path(folder), json.loads(json.dumps(dict(about)))
        self._listener, self._told = tell, set[str]()
        self._bad = set[Path]()

    def tell(self, text: str) -> None:
        """Say a sentence, once."""
        if self._listener is not None and text not in self._told:
            self._listener(text)
        self._told.add(text)

    def write(self, name: str, keys: Sequence[str], content: Any) -> None:
        """Write a population's next checkpoint, and remove its own before the last two.

        Those that are of other versions, or broken, stay until the population's results are there.

        Args:
            name: Of the population: `population_name` of its runs, whichever of them are left by now.
            keys: Of the runs whose state is in it.
            content: Anything that can be packed.

        Raises:
            OSError: It cannot be written; those before it are as they were.
        """
        numbers = self._numbers(name)
        own = [number for number in numbers if self._is_own(self._path(name, number))]
        try:
            write_whole(self._path(name, max(numbers, default=0) + 1), as_bytes(keys, content, self._about))
        except OSError:
            self._remove_folder()
            raise
        for old in sorted(own)[: 1 - KEPT or None]:
            _remove(self._path(name, old))

    def newest(self, keys: frozenset[str] | set[str]) -> list[Saved]:
        """Return the newest good checkpoint of each population that has any of the given runs."""
        found = []
        for name in sorted({match[1] for match in self._matches()}):
            for number in sorted(self._numbers(name), reverse=True):
                path = self._path(name, number)
                try:
                    head = read_head(path)
                    if keys & set(head.keys):
                        found.append(read(path, head, name, number, self._about))
                except FileNotFoundError:  # another process has gone on
                    continue
                except (DataError, OSError) as error:
                    self._bad.add(path)
                    self._leave(error)
                    continue
                break
        return found

    def there(self, keys: frozenset[str] | set[str]) -> set[tuple[str, int]]:
        """Return population and number of all checkpoints that have any of the given runs, whether good or not."""
        return {place for place, head in self._heads() if keys & set(head.keys)}

    def remove(self, name: str) -> None:
        """Remove a population's checkpoints, and the folder with the last of them."""
        for number in self._numbers(name):
            _remove(self._path(name, number))
        self._remove_folder()

    def tidy(self, done: Callable[[str], bool], *, alone: bool) -> None:
        """Remove what nobody goes on from any more, and tell of what cannot be read: nobody knows whose it is.

        Args:
            done: Whether the result of a run, given by its key, is there.
            alone: Whether no other process writes here: then what a process left that was killed as it wrote goes, too.
        """
        for (name, number), head in self._heads(tell=True):
            if all(map(done, head.keys)):
                _remove(self._path(name, number))
        if alone:
            remove_left_over(self.folder)
        self._remove_folder()

    def _is_own(self, path: Path) -> bool:
        """Whether a file is of these versions, and not known to be broken."""
        try:
            return path not in self._bad and read_head(path).about == self._about
        except (DataError, OSError):
            return False

    def _heads(self, *, tell: bool = False) -> Iterator[tuple[tuple[str, int], Head]]:
        for match in self._matches():
            try:
                head = read_head(self.folder / match[0])
            except FileNotFoundError:  # another process has gone on
                continue
            except (DataError, OSError) as error:
                if tell:
                    self._leave(error)
                continue
            yield (match[1], int(match[2])), head

    def _leave(self, error: Exception) -> None:
        """Tell why a file is left alone."""
        self.tell(f"{error} It is left alone.")

    def _remove_folder(self) -> None:
        with suppress(OSError):  # there are others, or none was ever written
            self.folder.rmdir()

    def _path(self, name: str, number: int) -> Path:
        return self.folder / f"{name}-{number:06d}.safetensors"

    def _numbers(self, name: str) -> list[int]:
        return [int(match[2]) for match in self._matches() if match[1] == name]

    def _matches(self) -> list[re.Match[str]]:
        names = list[str]()
        with suppress(FileNotFoundError, NotADirectoryError):
            try:
                names = os.listdir(self.folder)
            except PermissionError as error:  # another user's
                self.tell(f"{self.folder}: no checkpoint can be looked for ({error.strerror}).")
        return [match for match in map(_NAME.match, names) if match is not None]


def _remove(path: Path) -> None:
    """Remove a file, if that can be done: one that stays costs room, and no run."""
    with suppress(OSError):
        path.unlink()


def population_name(keys: Sequence[str]) -> str:
    """Return 16 hex digits that are the same for the same runs, in any order."""
    return hashlib.blake2b("\n".join(sorted(keys)).encode(), digest_size=8).hexdigest()


def shared_out(found: Sequence[Saved], keys: Sequence[str]) -> list[tuple[Saved, list[int]]]:
    """Say which runs, by their places among `keys`, go on from which checkpoint: each from one, that which is furthest.

    A run is in several where it was begun in one population, and again in another.
    """
    place, parts = {key: i for i, key in enumerate(keys)}, []
    for saved in sorted(found, key=lambda saved: saved.steps(keys), reverse=True):
        places = [place.pop(key) for key in saved.keys if key in place]
        if places:
            parts.append((saved, places))
    return parts
