"""Pictures as rows: a folder with a folder for each class, or any pictures without labels."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskcl.data.build import decoded, other_size
from maskcl.data.picture_set import Entry, UnusablePictureError, entry_of, files_below, folders_in
from maskcl.data.source import Progress, expand, is_file, is_folder
from maskcl.devices import find_device, free_bytes
from maskcl.errors import DataError, MaskclWarning, MissingDataError, check, counted
from maskcl.files import as_path

__all__ = ["pictures_in", "pictures_in_parts", "read_folder", "read_pictures"]

Pictures = NDArray[np.uint8]

_SPLITS = {"train", "test", "val"}
_TOLD_EVERY = 32


def read_folder(
    folder: str | os.PathLike[str],
    where: str,
    image_size: int | None,
    *,
    skip_unreadable: bool = False,
    on_progress: Progress | None = None,
) -> tuple[Pictures, list[str]]:
    """Return the pictures of a folder that has a folder for each class, and the name of each one's class.

    Args:
        folder: The folder; ~ is your home.
        where: The call, for messages.
        image_size: Height and width that pictures are brought to; None: all have one size.
        skip_unreadable: Leave out, with a warning, what is no usable picture; else the first one is refused.
        on_progress: Called as (name, pictures done, pictures in all).

    Returns:
        Pictures, uint8 [n, 3, height, width], class by class in the order of their names, and n names.

    Raises:
        DataError: No such folder, no classes, a class without pictures, a picture that cannot be used.
    """
    path = _based(folder)
    check(is_folder(path), where, "must be a folder of pictures", str(path), error=MissingDataError)
    classes = [inner.name for inner in folders_in(path)]
    check(bool(classes), where, "must have a folder of pictures for each class", str(path), error=DataError)
    parts = "train" in classes and len(classes) > 1 and set(classes) <= _SPLITS  # as `maskcl run` wants them
    must = f"must have a folder of pictures for each class, and has {' and '.join(map(repr, classes))}"
    check(not parts, str(path), must, error=DataError, hint=f"the classes are in {path / 'train'}")
    entries: list[Entry] = []
    for label, name in enumerate(classes):
        own = files_below(path / name, label, path)
        check(bool(own), str(path / name), "must hold pictures, and holds none", error=DataError)
        entries += own
    rows, kept = _decoded(path, entries, image_size, skip_unreadable, on_progress)
    left = {entry.label for entry in kept}
    lost = [name for label, name in enumerate(classes) if label not in left]
    must = "must hold pictures that can be used, and holds none"
    check(not lost, str(path / lost[0]) if lost else "", must, error=DataError)
    return rows, [classes[entry.label] for entry in kept]


def pictures_in(path: str | os.PathLike[str], where: str) -> tuple[Path, list[Entry]]:
    """Return a folder, and all pictures below it in the order of their paths; or the one picture that `path` is."""
    path = _based(path)
    whole = is_folder(path)
    there = whole or is_file(path)
    check(there, where, "must be a picture, or a folder of pictures", str(path), error=MissingDataError)
    home = path if whole else _based(path.parent)
    entries = files_below(path, 0, path) if whole else [entry_of(home / path.name, 0, home)]
    check(bool(entries), where, "must hold pictures, and holds none", str(path), error=DataError)
    return home, entries


def read_pictures(folder: Path, entries: Sequence[Entry], image_size: int | None) -> Pictures:
    """Return pictures of one size, uint8 [n, 3, height, width]; the first that cannot be used is refused."""
    return _decoded(folder, entries, image_size)[0]


def pictures_in_parts(
    paths: Sequence[str | os.PathLike[str]],
    where: str,
    image_size: int | None,
    *,
    skip_unreadable: bool = False,
    on_progress: Progress | None = None,
    part: int = 256,
) -> Iterator[tuple[list[str], Pictures]]:
    """Yield the paths of some pictures and the pictures, part by part, so that memory holds few at a time.

    Args:
        paths: Pictures, and folders of which all pictures below are taken in the order of their paths.
        where: The call, for messages.
        image_size: Height and width that pictures are brought to; None: all have one size.
        skip_unreadable: Leave out, with a warning, what is no usable picture; else the first one is refused.
        on_progress: Called as (name, pictures done, pictures in all).
        part: Pictures in a part, 1 or more.

    Raises:
        DataError: Nothing there, a folder without pictures, or a picture that cannot be used.
    """
    found = [(str(path), *pictures_in(path, where)) for path in paths]  # what is missing is told at once
    total, before, yielded = sum(len(entries) for *_, entries in found), 0, False
    for path, home, entries in found:
        for start in range(0, len(entries), part):
            some = entries[start : start + part]
            rows, kept = _kept(home, some, image_size, skip_unreadable, None)
            before += len(some)
            if on_progress is not None:
                on_progress("pictures", before, total)
            if kept:
                yielded = True
                below = is_folder(expand(path))
                yield [os.path.join(path, entry.path) if below else path for entry in kept], np.stack(rows)
    check(yielded, where, "must have a picture that can be used, and all were left out", error=DataError)


def _based(path: str | os.PathLike[str]) -> Path:
    """A path that the paths below it begin with, which "." is not."""
    found = as_path(path, "path")
    return Path(os.path.abspath(found)) if str(found) == "." else found


def _decoded(
    folder: Path,
    entries: Sequence[Entry],
    image_size: int | None,
    skip_unreadable: bool = False,
    on_progress: Progress | None = None,
) -> tuple[Pictures, list[Entry]]:
    """Pictures of one size, and the entries of those that were not left out."""
    if image_size is not None:
        takes, free = 6 * len(entries) * image_size**2, free_bytes(find_device("cpu"))  # each, and all in one array
        must = f"must fit into the {free / 1e9:.3g} GB that are free, and {counted(len(entries), 'picture')} of"
        must += f" {image_size} x {image_size} take {takes / 1e9:.3g} GB"
        check(takes <= free, "image_size", must, error=DataError)
    found, kept = _kept(folder, entries, image_size, skip_unreadable, on_progress)
    check(bool(kept), str(folder), "must hold pictures that can be used, and holds none", error=DataError)
    return np.stack(found), kept


def _kept(
    folder: Path, entries: Sequence[Entry], image_size: int | None, skip: bool, on_progress: Progress | None
) -> tuple[list[Pictures], list[Entry]]:
    found: list[Pictures] = []
    kept: list[Entry] = []
    skipped: list[str] = []
    with closing(decoded(folder, entries, image_size)) as pairs:
        for done, (entry, picture) in enumerate(pairs, 1):
            if isinstance(picture, DataError):
                if not (skip and isinstance(picture, UnusablePictureError)):
                    raise picture
                skipped.append(str(picture).splitlines()[0])
            else:
                if found and picture.shape != found[0].shape:
                    raise other_size(folder, entry, picture.shape, kept[0], found[0].shape)
                found.append(picture)
                kept.append(entry)
            if on_progress is not None and (done % _TOLD_EVERY == 0 or done == len(entries)):
                on_progress(folder.name or "pictures", done, len(entries))
    if skipped:
        text = f"{folder}: {counted(len(skipped), 'picture')} left out as unusable, the first: {skipped[0]}"
        warnings.warn(text, MaskclWarning, stacklevel=4)
    return found, kept
