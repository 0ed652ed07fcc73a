"""Which pictures a data set has, and of which class: found by names, sizes and times, not yet looked into."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from maskcl.errors import DataError, check, message

__all__ = ["Entry", "PictureSet", "UnusablePictureError", "entry_of", "files_below", "folders_in"]

CACHE_VERSION = 1
"""Of the cache's layout and of how pictures are decoded: a change of either makes other keys."""

_NOT_DATA = ("Thumbs.db", "desktop.ini", "__MACOSX")


class UnusablePictureError(DataError):
    """What a file holds is no picture that can be used, on any machine and at any time: it may be left out."""


class Entry(NamedTuple):
    """One picture: its path below the set's folder, its class, and what tells that it has changed."""

    path: str
    label: int
    num_bytes: int
    mtime_ns: int


@dataclass(frozen=True, eq=False)
class PictureSet:
    """A data set that is still pictures.

    Attributes:
        name: What messages call it.
        folder: Where the paths of its entries begin.
        classes: Names of its classes, in the order of their labels; two or more.
        train: Training pictures, one or more of each class.
        test: Test pictures, one or more of each class.
        image_size: Width and height to bring them to; None: they must all have the same.
        skip_unreadable: Leave out what is no usable picture, instead of refusing it.
    """

    name: str
    folder: Path
    classes: tuple[str, ...]
    train: tuple[Entry, ...] = field(repr=False)
    test: tuple[Entry, ...] = field(repr=False)
    image_size: int | None = None
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        check(len(self.classes) > 1, str(self.folder), "must have two classes or more", list(self.classes),
              error=DataError)  # fmt: skip
        for split, entries in (("training", self.train), ("test", self.test)):
            there = {entry.label for entry in entries}
            lacking = [name for label, name in enumerate(self.classes) if label not in there]
            must = f"must have {split} pictures of each class, and has none of {lacking[0] if lacking else ''!r}"
            check(not lacking, str(self.folder), must, error=DataError)

    @property
    def key(self) -> str:
        """Changes with any file's name, class, size or time, with the settings, and with the version; 16 digits."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (CACHE_VERSION, self.image_size, self.skip_unreadable, *self.classes):
            digest.update(f"{part!r}\n".encode("utf-8", "surrogateescape"))
        for entry in (*self.train, None, *self.test):
            digest.update(f"{entry and tuple(entry)!r}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name; anything else in it, but what systems leave there, is refused."""
    found = []
    for item in _scan(folder):
        must = f"must hold nothing but folders, one for each class, and holds the file {item.name!r}"
        check(item.is_dir(), str(folder), must, error=DataError)
        found.append(Path(item.path))
    return sorted(found, key=lambda path: path.name)


def files_below(folder: Path, label: int, base: Path) -> list[Entry]:
    """Return all files of a folder and the folders in it, sorted by their paths below `base`.

    Raises:
        DataError: Something cannot be read, or a link leads to a folder that holds this one, and other classes with it.
    """
    return sorted(entry_of(item, label, base) for item in _walk(folder, set(), folder))


def entry_of(item: os.DirEntry[str] | Path, label: int, base: Path) -> Entry:
    """Return the entry of one file; a pipe, or a link to nowhere, is refused."""
    path = item.path if isinstance(item, os.DirEntry) else str(item)
    try:
        good, stat = item.is_file(), item.stat()
    except FileNotFoundError:
        good = False
    except OSError as error:
        raise DataError(message(path, f"must be a readable file ({error.strerror or error})")) from error
    if not good:
        raise DataError(message(path, "must be a file that holds a picture"))
    inner = path[len(str(base)) + 1 :].replace(os.sep, "/")  # it lies below; relpath costs half a load of the cache
    return Entry(inner, label, stat.st_size, stat.st_mtime_ns)


def _walk(folder: Path, seen: set[tuple[int, int]], top: Path) -> Iterator[os.DirEntry[str]]:
    try:
        stat = folder.stat()
    except OSError as error:
        raise _unreadable(folder, error) from error
    if (stat.st_dev, stat.st_ino) in seen:  # links may lead in circles
        return
    seen.add((stat.st_dev, stat.st_ino))
    for item in _scan(folder):
        if item.is_dir():
            if item.is_symlink():
                _check_link(Path(item.path), top)
            yield from _walk(Path(item.path), seen, top)
        else:
            yield item


def _check_link(link: Path, top: Path) -> None:
    """Refuse a link to a folder above `top`: the pictures of all classes would come in as one class's."""
    target = os.path.realpath(link)
    above = {*map(str, Path(os.path.realpath(top)).parents), *map(os.path.realpath, top.parents)}  # top may be a link
    must = f"must not lead to {target}, which holds {top} and what is beside it"
    check(target not in above, str(link), must, error=DataError)


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, but hidden files and what systems leave there."""
    try:
        with os.scandir(folder) as items:
            return [item for item in items if not item.name.startswith(".") and item.name not in _NOT_DATA]
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: OSError) -> DataError:
    return DataError(message(str(folder), f"must be a readable folder ({error.strerror or error})"))
