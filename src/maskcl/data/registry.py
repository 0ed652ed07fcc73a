"""The data sets that maskcl knows by name, and what the command line does with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from maskcl.data.base import Dataset
from maskcl.data.digits import load_digits
from maskcl.data.idx_set import FASHION_MNIST, MNIST, IdxSet, data_root
from maskcl.errors import DataError, MissingDataError, check_choice

if TYPE_CHECKING:
    from maskcl.data.mirrors import DownloadedFile, Progress

__all__ = ["DATASETS", "Availability", "DatasetInfo", "FileState", "available", "download", "load", "verify"]


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is loaded.

    Attributes:
        name: Its key in DATASETS.
        description: One line.
        num_classes: Classes.
        input_shape: Shape of one input, [channels, height, width].
        num_train: Training rows.
        num_test: Test rows.
        source: Its files; None for data that comes with an installed package.
    """

    name: str
    description: str
    num_classes: int
    input_shape: tuple[int, ...]
    num_train: int
    num_test: int
    source: IdxSet | None = None

    @property
    def built_in(self) -> bool:
        """Whether it needs no files."""
        return self.source is None

    def load(self, root: str | Path | None = None) -> Dataset:
        """Load it from the folder of data sets (see `data_root`)."""
        return load_digits() if self.source is None else self.source.load(root)


DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo("digits", "8x8 handwritten digits, from scikit-learn", 10, (1, 8, 8), 1346, 451),
        DatasetInfo("mnist", "28x28 handwritten digits", 10, (1, 28, 28), 60_000, 10_000, MNIST),
        DatasetInfo("fashion_mnist", "28x28 pictures of clothes", 10, (1, 28, 28), 60_000, 10_000, FASHION_MNIST),
    )
}


@dataclass(frozen=True)
class Availability:
    """Whether a data set can be loaded from a root.

    Attributes:
        info: The data set.
        state: "incomplete" where some files are there and others are not.
        folder: Where its files are, or would be looked for first; None for built-in data.
    """

    info: DatasetInfo
    state: Literal["built in", "present", "incomplete", "missing"]
    folder: Path | None


@dataclass(frozen=True)
class FileState:
    """What `verify` found of one file.

    Attributes:
        file: Its name, without .gz.
        path: Where it lies, None if it does not.
        state: Whether its content is what it must be.
        problem: What an error would say; None if intact.
    """

    file: str
    path: Path | None
    state: Literal["intact", "missing", "damaged"]
    problem: str | None = None


def load(name: str, root: str | Path | None = None) -> Dataset:
    """Load a data set by name, its files checked against their checksums.

    Args:
        name: A key of DATASETS.
        root: Folder of data sets; by default MASKCL_DATA, else a cache folder of the user.

    Raises:
        DataError: Unknown name, damaged file.
        MissingDataError: No such file; the message says which command gets it.
    """
    return _info(name).load(root)


def available(root: str | Path | None = None) -> list[Availability]:
    """Say of every data set whether it is there; files are looked for, not read."""
    return [_availability(info, root) for info in DATASETS.values()]


def verify(name: str, root: str | Path | None = None) -> list[FileState]:
    """Check each file of a data set: readable, well-formed, the right checksum. Built-in data has no files."""
    source = _info(name).source
    return [] if source is None else [_file_state(source, file, root) for file in source.sha256]


def download(
    name: str,
    root: str | Path | None = None,
    *,
    mirror: str | None = None,
    on_progress: Progress | None = None,
) -> list[DownloadedFile]:
    """Download what is missing or damaged of a data set; see `maskcl.data.mirrors.download_idx_set`."""
    from maskcl.data.mirrors import download_idx_set  # urllib costs more to import than all the rest of this package

    source = _info(name).source
    return [] if source is None else download_idx_set(source, root, mirror=mirror, on_progress=on_progress)


def _info(name: str) -> DatasetInfo:
    check_choice(name, "data set", DATASETS, error=DataError)
    return DATASETS[name]


def _availability(info: DatasetInfo, root: str | Path | None) -> Availability:
    if info.source is None:
        return Availability(info, "built in", None)
    paths = [info.source.find(file, root) for file in info.source.sha256]
    found = [path for path in paths if path is not None]
    if not found:
        return Availability(info, "missing", data_root(root) / info.source.folders[0])
    return Availability(info, "present" if len(found) == len(paths) else "incomplete", found[0].parent)


def _file_state(source: IdxSet, file: str, root: str | Path | None) -> FileState:
    path = source.find(file, root)
    try:
        source.read(file, root)
    except MissingDataError as error:
        return FileState(file, None, "missing", str(error))
    except DataError as error:
        return FileState(file, path, "damaged", str(error))
    return FileState(file, path, "intact")
