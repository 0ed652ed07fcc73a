"""The data sets that are known by name, and what the command line does with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from maskcl.data.base import Dataset
from maskcl.data.cifar import CIFAR10, CIFAR100
from maskcl.data.digits import load_digits
from maskcl.data.idx_set import FASHION_MNIST, MNIST
from maskcl.data.mnist_small import load_mnist_small
from maskcl.data.source import DownloadedFile, FileState, Presence, Progress, Source, data_root
from maskcl.data.tiny_imagenet import TINY_IMAGENET, TinyImageNet
from maskcl.errors import DataError, MaskclError, check, check_choice, message, raised
from maskcl.registry import Registry

__all__ = [
    "DATASETS",
    "Availability",
    "DatasetInfo",
    "FileState",
    "Loader",
    "available",
    "download",
    "load",
    "register",
    "verify",
]

Loader: TypeAlias = Callable[[Path], Dataset]
"""Gets the folder of data sets (see `data_root`), and may leave it alone."""


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is loaded.

    Attributes:
        name: Its key in DATASETS.
        description: One line.
        num_classes: Classes; None: not known before it is loaded, as all that follows.
        input_shape: Shape of one input, [channels, height, width].
        num_train: Training rows.
        num_test: Test rows.
        source: Its files; None for data without files that maskcl knows.
        inside: Loads what comes with an installed package and needs no files; None for all other data.
        own: What was registered, a data set or a function that loads one; None for those that come with maskcl.
    """

    name: str
    description: str
    num_classes: int | None = None
    input_shape: tuple[int, ...] | None = None
    num_train: int | None = None
    num_test: int | None = None
    source: Source | None = None
    inside: Callable[[], Dataset] | None = field(default=None, repr=False)
    own: Dataset | Loader | None = field(default=None, repr=False)

    @property
    def built_in(self) -> bool:
        """Whether it comes with an installed package and needs no files."""
        return self.inside is not None

    def says_it_all(self, root: str | Path | None = None) -> bool:
        """Whether the name stands for the content that lies there, so that results need no fingerprint of it."""
        return self.built_in or (self.source is not None and self.source.says_it_all(root))

    def load(self, root: str | Path | None = None, *, on_progress: Progress | None = None) -> Dataset:
        """Load it from the folder of data sets (see `data_root`)."""
        if self.source is not None:
            return self.source.load(root, on_progress=on_progress)
        if self.inside is not None:
            return self.inside()
        assert self.own is not None, "data come from files, from a package, or are someone's own"
        return self.own if isinstance(self.own, Dataset) else _loaded(self.name, self.own, data_root(root))


def register(name: str, load: Dataset | Loader, *, description: str = "") -> None:
    """Make a data set known by name to experiment files, to `load` and to the command line.

    Installed packages announce theirs as entry points of the group "maskcl.data".

    Args:
        name: Its name in experiment files.
        load: The data set, or a function of the folder of data sets (a Path) that loads it when it is needed.
        description: One line, for `maskcl data list`.

    Raises:
        ConfigError: The name is none, or another data set has it.

    >>> from maskcl.data import from_arrays
    >>> register("two_rows", from_arrays([[0.0], [1.0]], [0, 1], [[0.5]], [1]), description="0 and 1")
    >>> DATASETS["two_rows"].load().num_classes, DATASETS["two_rows"].num_train
    (2, 2)
    >>> DATASETS.remove("two_rows")
    """
    hint = "maskcl.from_arrays(...) makes one"
    must = "must be a data set, or a function of a folder that loads one"
    check(isinstance(load, Dataset) or callable(load), f"data set {name!r}", must, type(load).__name__, hint=hint)
    check(isinstance(description, str), f"data set {name!r}", "must have one line as its description", description)
    info = DatasetInfo(name, description, own=load)
    if isinstance(load, Dataset):
        rows = len(load.train_inputs), len(load.test_inputs)
        info = DatasetInfo(name, description, load.num_classes, load.input_shape, *rows, own=load)
    DATASETS.add(name, info)


def _loaded(name: str, loader: Loader, root: Path) -> Dataset:
    """What a registered function loads."""
    try:
        found: Any = loader(root)
    except MaskclError:
        raise
    except Exception as error:  # whatever a foreign loader raises
        must = f"must be loaded from {root}, which raised {raised(error)}"
        raise DataError(message(f"data set {name!r}", must)) from error
    where, hint = f"data set {name!r}", "maskcl.from_arrays(...) makes one"
    check(
        isinstance(found, Dataset),
        where,
        "must be loaded as a data set",
        type(found).__name__,
        error=DataError,
        hint=hint,
    )
    return found


DATASETS: Registry[DatasetInfo] = Registry(
    "data set",
    where="data set",
    group="maskcl.data",
    add=lambda name, thing: register(name, thing),  # type: ignore[arg-type]
    origin=lambda info: info if info.own is None else info.own,
)
"""Data sets by name."""

for _info in (
    DatasetInfo("digits", "8x8 handwritten digits, from scikit-learn", 10, (1, 8, 8), 1346, 451, inside=load_digits),
    DatasetInfo("mnist_small", "7,000 of MNIST's images", 10, (1, 28, 28), 5_000, 2_000, inside=load_mnist_small),
    DatasetInfo("mnist", "28x28 handwritten digits", 10, (1, 28, 28), 60_000, 10_000, MNIST),
    DatasetInfo("fashion_mnist", "28x28 pictures of clothes", 10, (1, 28, 28), 60_000, 10_000, FASHION_MNIST),
    DatasetInfo("cifar10", "32x32 photographs of 10 things", 10, (3, 32, 32), 50_000, 10_000, CIFAR10),
    DatasetInfo("cifar100", "32x32 photographs of 100 things", 100, (3, 32, 32), 50_000, 10_000, CIFAR100),
    DatasetInfo(
        "tiny_imagenet", "64x64 pictures of up to 200 things", 200, (3, 64, 64), 100_000, 10_000, TINY_IMAGENET
    ),
):
    DATASETS.add(_info.name, _info)


@dataclass(frozen=True)
class Availability:
    """Whether a data set can be loaded from a root.

    Attributes:
        info: The data set.
        state: "incomplete" where files are lacking or cut short; "registered" where only its loader knows.
        folder: Where its files are, or would be looked for first; None for data without files that maskcl knows.
        sizes: Classes, training rows and test rows that are there, where that may be fewer than `info` says; else None.
    """

    info: DatasetInfo
    state: Presence | Literal["built in", "registered"]
    folder: Path | None
    sizes: tuple[int, int, int] | None = None


def load(name: str, root: str | Path | None = None, *, on_progress: Progress | None = None) -> Dataset:
    """Load a data set by name; files of a known checksum are held against it, all others against their structure.

    Args:
        name: A key of DATASETS.
        root: Folder of data sets; by default MASKCL_DATA, else a cache folder of the user.
        on_progress: Called as (name, pictures done, pictures in all) while pictures are decoded, which is done once.

    Raises:
        DataError: Unknown name, damaged file.
        MissingDataError: No such file; the message says which command gets it.
    """
    return _find(name).load(root, on_progress=on_progress)


def available(root: str | Path | None = None) -> list[Availability]:
    """Say of every data set whether it is there; names and sizes of files are looked at, their content is not."""
    return [_availability(info, root) for info in DATASETS.values()]


def verify(name: str, root: str | Path | None = None, *, on_progress: Progress | None = None) -> list[FileState]:
    """Check each file of a data set: readable, well-formed, the right checksum; none where there are no files."""
    source = _find(name).source
    return [] if source is None else source.verify(root, on_progress=on_progress)


def download(
    name: str,
    root: str | Path | None = None,
    *,
    mirror: str | None = None,
    on_progress: Progress | None = None,
) -> list[DownloadedFile]:
    """Download what is missing or damaged of a data set.

    Args:
        name: A key of DATASETS.
        root: Folder of data sets, as in `load`.
        mirror: Address to append file names to, instead of the publisher's.
        on_progress: Called as (file, bytes received, bytes in all or None) while a file comes in.

    Returns:
        What lies there now; nothing for data without files.

    Raises:
        MissingDataError: An address cannot be reached.
        DataError: It sends something else, or the folder cannot be written.
    """
    source = _find(name).source
    return [] if source is None else source.download(root, mirror=mirror, on_progress=on_progress)


def _find(name: str) -> DatasetInfo:
    check_choice(name, "data set", DATASETS, error=DataError)
    return DATASETS[name]


def _availability(info: DatasetInfo, root: str | Path | None) -> Availability:
    source = info.source
    if source is None:
        return Availability(info, "built in" if info.built_in else "registered", None)
    state, folder = source.presence(root)
    if state == "present" and isinstance(source, TinyImageNet):  # whose wnids.txt may list fewer classes
        return Availability(info, state, folder, source.sizes(root))
    return Availability(info, state, folder)
