"""A folder of pictures of one's own, a folder for each class: train/CLASS/*, and test/CLASS/* or a share held out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskcl.data.base import Dataset
from maskcl.data.cache import load_pictures
from maskcl.data.picture_set import Entry, PictureSet, files_below, folders_in
from maskcl.data.source import Progress, expand, is_folder
from maskcl.data.split import held_out_rows, rows_by_class
from maskcl.errors import DataError, MissingDataError, check, is_number, is_whole, message

__all__ = ["MOST_IMAGE_SIZE", "FolderData", "check_pixels", "from_folder"]

MOST_IMAGE_SIZE = 4096


def check_pixels(where: str, size: Any) -> None:
    """Refuse what is no height or width of pictures, in pixels; None is one that is not said."""
    good = size is None or (is_whole(size) and 1 <= size <= MOST_IMAGE_SIZE)
    check(good, where, f"must be a whole number from 1 to {MOST_IMAGE_SIZE}", size)


@dataclass(frozen=True)
class FolderData:
    """Pictures in folders, one for each class.

    Args:
        folder: Where they lie: train/CLASS/* and test/CLASS/* or val/CLASS/* (test where both are there). A path is
            relative to the working directory; ~ is your home.
        image_size: Width and height to bring all pictures to; must be given where their sizes differ.
        held_out: Share of each class to judge by, 0 < held_out < 1; only where there is neither test nor val.
        split_seed: Chooses which pictures are held out, 0 or more; only with held_out.
        skip_unreadable: Leave out, with a warning, what is no usable picture; else the first one is refused.
        name: What results call the data; the folder's name by default.
    """

    folder: str
    image_size: int | None = None
    held_out: float | None = None
    split_seed: int = 0
    skip_unreadable: bool = False
    name: str | None = None

    def __post_init__(self) -> None:
        path = isinstance(self.folder, (str, os.PathLike)) and bool(str(self.folder))
        check(path, "folder", "must be a folder, by its path", self.folder)
        check_pixels("image_size", self.image_size)
        share = self.held_out is None or (is_number(self.held_out) and 0 < self.held_out < 1)
        check(share, "held_out", "must be above 0 and below 1", self.held_out)
        seed = is_whole(self.split_seed) and 0 <= self.split_seed < 2**128
        check(seed, "split_seed", "must be a whole number, 0 or more", self.split_seed)
        alone = self.held_out is None and self.split_seed != 0
        check(not alone, "split_seed", "must be left out without held_out", self.split_seed)
        check(isinstance(self.skip_unreadable, bool), "skip_unreadable", "must be true or false", self.skip_unreadable)
        named = self.name is None or (isinstance(self.name, str) and bool(self.name.strip()))
        check(named, "name", "must be a name", self.name)

    @property
    def path(self) -> Path:
        """The folder, from the root of the file system."""
        return Path(os.path.abspath(expand(self.folder)))

    def load(self, root: str | Path | None = None, *, on_progress: Progress | None = None) -> Dataset:
        """Load it, its decoded pictures kept below the folder of data sets; raises as `from_folder` does."""
        return load_pictures(self.find(), root, on_progress=on_progress)

    def find(self) -> PictureSet:
        """Return which pictures there are.

        Raises:
            DataError: No such folder; or not laid out as above; a class lacks pictures in one of the splits.
        """
        folder = self.path
        if not is_folder(folder):
            raise MissingDataError(message("folder", f"must be a folder of pictures, and {folder} is none"))
        if not is_folder(folder / "train"):
            hint = f"put each class's folder of pictures in {folder / 'train'}"
            raise DataError(message(str(folder), "must have a folder 'train' with a folder for each class", hint=hint))
        classes = tuple(path.name for path in folders_in(folder / "train"))
        train = _entries(folder, "train", classes)
        judges = next((split for split in ("test", "val") if is_folder(folder / split)), None)
        if judges is None:
            train, test = self._hold_out(folder, train, len(classes))
        else:
            must = f"must be left out where there is a folder {judges!r}"
            check(self.held_out is None, "held_out", must, self.held_out)
            test = _entries(folder, judges, classes)
        name = self.name or folder.name or "pictures"
        return PictureSet(name, folder, classes, train, test, self.image_size, self.skip_unreadable)

    def _hold_out(
        self, folder: Path, train: tuple[Entry, ...], num_classes: int
    ) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        if self.held_out is None:
            must = "must have a folder 'test' or 'val' with a folder for each class"
            raise DataError(message(str(folder), must, hint="held_out = 0.2 judges by a fifth of each class instead"))
        rows = rows_by_class(np.array([entry.label for entry in train], dtype=np.int64), num_classes)
        chosen = held_out_rows(rows, self.held_out, purpose="folder/test", seed=self.split_seed)
        held = set(np.concatenate(chosen).tolist()) if chosen else set()
        kept = tuple(entry for row, entry in enumerate(train) if row not in held)
        return kept, tuple(train[row] for row in sorted(held))


def _entries(folder: Path, split: str, classes: tuple[str, ...]) -> tuple[Entry, ...]:
    """The pictures of a split, class by class."""
    there = {path.name: path for path in folders_in(folder / split)}
    odd = sorted(set(there) ^ set(classes))
    must = f"must have the same classes in 'train' and {split!r}, and {odd[0] if odd else ''!r} is in one of them only"
    check(not odd, str(folder), must, error=DataError)
    found: list[Entry] = []
    for label, name in enumerate(classes):
        entries = files_below(there[name], label, folder)
        check(bool(entries), str(there[name]), "must hold pictures, and holds none", error=DataError)
        found += entries
    return tuple(found)


def from_folder(
    folder: str | os.PathLike[str],
    *,
    image_size: int | None = None,
    held_out: float | None = None,
    split_seed: int = 0,
    skip_unreadable: bool = False,
    name: str | None = None,
    root: str | Path | None = None,
    on_progress: Progress | None = None,
) -> Dataset:
    """Make a data set of a folder of pictures, train/CLASS/* and test/CLASS/* (or val/CLASS/*).

    Classes are sorted by name. Pictures are decoded once, to 8 bits of red, green and blue, and kept below the folder
    of data sets; later loads map them into memory (docs/design/data-cache.md). Grey and palette pictures become
    coloured, transparent ones are laid on white, EXIF rotation is undone; animated and 16-bit pictures are refused.

    Args:
        folder: Where the pictures lie.
        image_size: Width and height to bring all of them to (shorter side scaled, middle cut out); must be given where
            sizes differ.
        held_out: Share of each class to judge by, 0 < held_out < 1, where there is neither test nor val.
        split_seed: Chooses which are held out, 0 or more.
        skip_unreadable: Leave out, with a warning, what is no usable picture.
        name: What results call the data; the folder's name by default.
        root: Folder of data sets, for the decoded pictures; by default MASKCL_DATA, else a cache folder of the user.
        on_progress: Called as (name, pictures done, pictures in all) while they are decoded.

    Returns:
        Images as uint8 [N, 3, height, width], mapped into memory.

    Raises:
        ConfigError: A setting out of its range.
        DataError: Another layout, a class without pictures, a picture that cannot be used; the message names it.
    """
    settings = FolderData(os.fspath(folder), image_size, held_out, split_seed, skip_unreadable, name)
    return settings.load(root, on_progress=on_progress)
