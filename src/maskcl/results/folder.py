"""All results of a folder: foreign files are left out, broken ones are named, the rest is read."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from maskcl.errors import DataError, MissingDataError, counted, message
from maskcl.results.reading import ForeignFileError, read_result
from maskcl.results.text import showable

__all__ = ["LeftOut", "load_results", "read_folder"]

_OURS = re.compile(r"-[0-9a-f]{8}/seed-[0-9]+\.json$")
"""Where results are written: what lies there is a result, a broken one if need be."""
_FIRST = 3
"""Foreign files that are named; the rest are counted."""
_LONG = 200
"""Letters of a path from which its end stands for it."""
_HINT = "maskcl run FILE --out DIR writes results"


class LeftOut(NamedTuple):
    """What a folder holds besides results that can be read.

    Attributes:
        broken: Why a result could not be read, or a folder not be looked into: one sentence each, which names it.
        foreign: Paths in the folder of JSON files that are no results.
    """

    broken: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    def sentences(self, most: int = 5) -> list[str]:
        """Return what to say after "left out": a sentence for each broken file, up to `most`, one for all foreign ones.

        >>> LeftOut(foreign=("package.json",)).sentences()
        ['1 JSON file that is no result of maskcl: package.json.']
        """
        told = list(self.broken[:most])
        if len(self.broken) > most:
            told.append(f"{counted(len(self.broken) - most, 'more file')} that cannot be read.")
        if self.foreign:
            what = "that is no result" if len(self.foreign) == 1 else "that are no results"
            rest = len(self.foreign) - _FIRST
            names = ", ".join(self.foreign[:_FIRST]) + (f" and {rest} more" if rest > 0 else "")
            told.append(f"{counted(len(self.foreign), 'JSON file')} {what} of maskcl: {names}.")
        return told


def load_results(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read every result file in a folder and below that can be read; arguments and errors as for `read_folder`."""
    return read_folder(folder)[0]


def read_folder(folder: str | os.PathLike[str]) -> tuple[list[dict[str, Any]], LeftOut]:
    """Read every result file (*.json) in a folder and below, without following links to folders.

    Names that begin with a dot are not looked at; a file that goes away meanwhile was not there.

    Returns:
        The documents, sorted by folder and seed, one at least; and what was left out.

    Raises:
        MissingDataError: If the folder is not there.
        DataError: If it is none, holds no result that can be read, or one run twice.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):  # unlike Path.is_dir, it raises for no path: too long, or in a folder that is closed
        raise _no_folder(folder)
    found: list[tuple[str, dict[str, Any]]] = []
    broken: list[str] = []
    foreign: list[str] = []
    for name in _names(folder, broken):
        try:
            found.append((name, read_result(folder / name, where=_called(name))))
        except MissingDataError:
            if (folder / name).is_symlink():
                foreign.append(_called(name))
        except DataError as error:
            if isinstance(error, ForeignFileError) and not _OURS.search(f"/{name}"):
                foreign.append(_called(name))
            else:
                broken.append(str(error).splitlines()[0])
    left_out = LeftOut(tuple(sorted(broken)), tuple(sorted(foreign)))
    if not found:
        raise _nothing(folder, left_out)
    found.sort(key=lambda pair: (str(Path(pair[0]).parent), pair[1]["seed"], pair[0]))
    _check_once_each(folder, found)
    return [result for _, result in found], left_out


def _no_folder(folder: Path) -> DataError:
    """What lies in place of a folder: for a result within a folder of results, where that is."""
    if not os.path.lexists(folder):
        return MissingDataError(message(str(folder), "must be a folder of results, and is not there", hint=_HINT))
    if not os.path.isfile(folder):
        return DataError(message(str(folder), "must be a folder of results, and is none"))
    home = folder.parent.parent if _OURS.search(folder.absolute().as_posix()) else folder.parent
    other = "maskcl run FILE runs an experiment file, and reports"
    hint = other if folder.suffix == ".toml" else f"maskcl report {shlex.quote(str(home))} reports all that lies there"
    return DataError(message(str(folder), "must be a folder of results, and is a file", hint=hint))


def _names(folder: Path, broken: list[str]) -> Iterator[str]:
    """Paths of JSON files in a folder, relative to it; folders that cannot be looked into are told to `broken`."""
    waiting = [""]
    while waiting:  # not by recursion: folders may lie deeper within each other than Python's calls may
        below = waiting.pop()
        try:
            with os.scandir(folder / below) as entries:
                there = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        except FileNotFoundError:
            continue
        except OSError as error:
            must = f"must be a folder that can be looked into ({error.strerror or error})"
            broken.append(message(_called(below) or str(folder), must))
            continue
        for own, is_folder in there:
            name = f"{below}/{own}" if below else own
            if own.startswith("."):
                continue
            if is_folder:
                waiting.append(name)
            elif own.endswith(".json"):
                yield name


def _called(name: str) -> str:
    """A path for sentences: as it can be shown, and in one line."""
    name = showable(name)
    return name if len(name) <= _LONG else f"...{name[-_LONG:]}"


def _nothing(folder: Path, left_out: LeftOut) -> DataError:
    """Why there is nothing to report: the first broken file tells most."""
    if left_out.broken:
        more = len(left_out.broken) - 1
        rest = f" ({more} more cannot be read either)" if more else ""
        must = f"must hold results that can be read, and holds none{rest}; {left_out.broken[0].rstrip('.')}"
        return DataError(message(str(folder), must, hint="delete the broken files and run again"))
    if left_out.foreign:
        must = f"must hold result files (*.json), and holds {left_out.sentences()[-1].rstrip('.')}"
        return DataError(message(str(folder), must, hint=_HINT))
    return DataError(message(str(folder), "must hold result files (*.json), and holds none", hint=_HINT))


def _check_once_each(folder: Path, found: list[tuple[str, dict[str, Any]]]) -> None:
    homes: dict[tuple[str, str, int], str] = {}
    for name, result in found:
        run = (result["label"], result["config_hash"], result["seed"])
        if run in homes:
            must = f"must hold each run once, and has {run[0]!r} seed {run[2]} in {homes[run]} and {name}"
            raise DataError(message(str(folder), must, hint="report on one of the folders"))
        homes[run] = name
