"""Where a data set comes from: what every kind of source can do, and the words in which it tells how that went."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from maskcl.data.base import Dataset
from maskcl.errors import DataError, message

__all__ = [
    "DownloadedFile",
    "FileState",
    "Presence",
    "Progress",
    "Source",
    "command",
    "data_root",
    "expand",
    "how_to_get",
    "is_file",
    "is_folder",
]

Presence: TypeAlias = Literal["present", "incomplete", "missing"]
"""Whether files are all there and whole as far as sizes tell, some of them, or none."""

Progress: TypeAlias = Callable[[str, int, "int | None"], None]
"""Told what is being worked on, how much of it is done, and how much there is in all, where that is known."""


@dataclass(frozen=True)
class FileState:
    """What `verify` found of one file.

    Attributes:
        file: Its name, without .gz.
        path: Where it lies, None if it does not.
        state: Whether its content is what it must be; "unchecked": well-formed, and no checksum is known for it.
        problem: What an error would say; None if nothing is wrong.
    """

    file: str
    path: Path | None
    state: Literal["intact", "unchecked", "missing", "damaged"]
    problem: str | None = None


@dataclass(frozen=True)
class DownloadedFile:
    """One file after a download.

    Attributes:
        file: Its name, without .gz.
        path: Where it lies.
        fetched: False where an intact file was there already.
        num_bytes: Its size as stored.
    """

    file: str
    path: Path
    fetched: bool
    num_bytes: int


class Source(Protocol):
    """Files of a data set in their publisher's layout, below the folder of data sets (see `data_root`)."""

    @property
    def name(self) -> str:
        """Of the data set."""

    def says_it_all(self, root: str | Path | None = None) -> bool:
        """Whether the name stands for the content that lies there, so that results need no fingerprint of it."""

    def load(self, root: str | Path | None = None, *, on_progress: Progress | None = None) -> Dataset:
        """Load it; MissingDataError where a file is not there, DataError where one is not what it must be."""

    def presence(self, root: str | Path | None = None) -> tuple[Presence, Path]:
        """Say whether it is there, by names and sizes, and in which folder it is or would be looked for."""

    def verify(self, root: str | Path | None = None, *, on_progress: Progress | None = None) -> list[FileState]:
        """Read every file, and say which are whole."""

    def download(
        self, root: str | Path | None = None, *, mirror: str | None = None, on_progress: Progress | None = None
    ) -> list[DownloadedFile]:
        """Get what is missing or damaged from the publisher, or from another address."""


def data_root(root: str | Path | None = None) -> Path:
    """Return the folder of data sets: the argument, else MASKCL_DATA, else a cache folder of the user.

    The first of them that is given counts, also where it does not hold the data: what was asked for by name is
    never replaced silently. Downloads go there too.
    """
    chosen = root or os.environ.get("MASKCL_DATA")
    if chosen:
        return expand(chosen)
    return expand(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "maskcl"


def expand(path: str | Path) -> Path:
    """Return a path with the user's folder in place of ~, or as it is where there is no such user."""
    return Path(os.path.expanduser(path))  # Path.expanduser raises where a user is unknown


def is_file(path: Path) -> bool:
    """Whether a file is there; DataError where one may not look."""
    return _mode(path, stat.S_ISREG)


def is_folder(path: Path) -> bool:
    """Whether a folder is there; DataError where one may not look."""
    return _mode(path, stat.S_ISDIR)


def _mode(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:  # the latter for a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise DataError(message(str(path), f"must be in a folder that can be read ({reason})")) from error


def command(verb: str, name: str, root: str | Path | None) -> str:
    """Return the command that does something with a data set of this root.

    >>> command("download", "mnist", "my data")
    "maskcl data download mnist --data-root 'my data'"
    """
    return f"maskcl data {verb} {shlex.quote(name)}" + (f" --data-root {shlex.quote(str(root))}" if root else "")


def how_to_get(name: str, root: str | Path | None) -> str:
    """Return the hint for a data set whose files are not there."""
    return (
        f"get it with `{command('download', name, root)}`, or name the folder that has it (--data-root or MASKCL_DATA)"
    )
