"""Data sets of four idx files: MNIST, Fashion-MNIST and whoever else uses their layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from maskcl.data.base import Dataset
from maskcl.data.idx import is_whole, read_idx, unpack_idx
from maskcl.data.source import (
    DownloadedFile,
    FileState,
    Presence,
    Progress,
    command,
    data_root,
    how_to_get,
    is_file,
    is_folder,
)
from maskcl.errors import DataError, MissingDataError, message

__all__ = ["FASHION_MNIST", "MNIST", "IdxSet"]


@dataclass(frozen=True, eq=False)
class IdxSet:
    """Where the four files of a data set lie, and what must be in them.

    Attributes:
        name: Of the data set, and of the folder below the root that downloads go to.
        folders: Folders below the root to look in, in this order; "." is the root itself.
        mirror: Address that a file's name is appended to.
        sha256: Checksum of the *uncompressed* content of train-images, train-labels, t10k-images, t10k-labels.
        num_classes: Classes.
    """

    name: str
    folders: tuple[str, ...]
    mirror: str
    sha256: Mapping[str, str]
    num_classes: int = 10

    def says_it_all(self, root: str | Path | None = None) -> bool:
        """Yes: what is loaded has these checksums."""
        return True

    def find(self, file: str, root: str | Path | None = None) -> Path | None:
        """Return where `file` ("train-images-idx3-ubyte", ...) lies, gzipped or not, or None."""
        places = [data_root(root) / folder / f"{file}{end}" for folder in self.folders for end in (".gz", "")]
        return next((place for place in places if is_file(place)), None)

    def read(self, file: str, root: str | Path | None = None) -> npt.NDArray[np.uint8]:
        """Read one file; MissingDataError where it is not there, DataError where it is not what it should be."""
        path = self.find(file, root)
        if path is None:
            folder = data_root(root)
            state = "" if is_folder(folder) else ", which is no folder"
            must = f"{file}.gz must be in {' or '.join(str(folder / name) for name in self.folders[:2])}{state}"
            raise MissingDataError(message(self.name, must, hint=how_to_get(self.name, root)))
        try:
            return read_idx(path, sha256=self.sha256[file])
        except DataError as error:
            raise DataError(f"{error}\nhint: get it anew with `{command('download', self.name, root)}`") from error

    def load(self, root: str | Path | None = None, *, on_progress: Progress | None = None) -> Dataset:
        """Load images as pixels / 255, shape [N, 1, height, width], and labels."""
        arrays = {file: self.read(file, root) for file in self.sha256}
        train, test = self._split(arrays, "train"), self._split(arrays, "t10k")
        return Dataset(self.name, *train, *test, num_classes=self.num_classes, input_range=(0.0, 1.0))

    def presence(self, root: str | Path | None = None) -> tuple[Presence, Path]:
        """Say whether all files are there, and as long as their headers say; their content is not read."""
        found = [path for path in (self.find(file, root) for file in self.sha256) if path is not None]
        if not found:
            return "missing", data_root(root) / self.folders[0]
        whole = len(found) == len(self.sha256) and all(map(is_whole, found))
        return "present" if whole else "incomplete", found[0].parent

    def verify(self, root: str | Path | None = None, *, on_progress: Progress | None = None) -> list[FileState]:
        """Check each file: readable, well-formed, the right checksum."""
        return [self._state(file, root) for file in self.sha256]

    def download(
        self, root: str | Path | None = None, *, mirror: str | None = None, on_progress: Progress | None = None
    ) -> list[DownloadedFile]:
        """Download the files that are missing or damaged; intact ones stay as they are.

        Args:
            root: Folder of data sets, as in `data_root`; files go to root/name.
            mirror: Address to append file names to, instead of the set's own.
            on_progress: Called as (file, bytes received, bytes in all or None) while a file comes in.

        Returns:
            The files, in the set's order.

        Raises:
            MissingDataError: If the mirror cannot be reached.
            DataError: If it sends something else, or the folder cannot be written.
        """
        from maskcl.data import fetch  # urllib costs more to import than all the rest of this package

        files = []
        for file, sha256 in self.sha256.items():
            path = self.find(file, root) if self._state(file, root).state == "intact" else None
            fetched = path is None
            if path is None:
                url = f"{(mirror or self.mirror).rstrip('/')}/{file}.gz"
                packed = fetch.fetch(url, file, on_progress)
                unpack_idx(packed, where=url, sha256=sha256)
                path = data_root(root) / self.folders[0] / f"{file}.gz"
                fetch.write(path, packed)
            files.append(DownloadedFile(file, path, fetched, path.stat().st_size))
        return files

    def _state(self, file: str, root: str | Path | None) -> FileState:
        path = None
        try:
            path = self.find(file, root)
            self.read(file, root)
        except MissingDataError as error:
            return FileState(file, None, "missing", str(error))
        except DataError as error:
            return FileState(file, path, "damaged", str(error))
        return FileState(file, path, "intact")

    def _split(
        self, arrays: Mapping[str, npt.NDArray[np.uint8]], split: str
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        images, labels = arrays[f"{split}-images-idx3-ubyte"], arrays[f"{split}-labels-idx1-ubyte"]
        pixels = np.divide(images[:, None], np.float32(255), dtype=np.float32)  # one pass, no copy in between
        return pixels, labels.astype(np.int64)


MNIST = IdxSet(
    name="mnist",
    folders=("mnist", ".", "MNIST/raw"),  # the last is where torchvision keeps it
    mirror="https://ossci-datasets.s3.amazonaws.com/mnist/",
    sha256={
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
)

FASHION_MNIST = IdxSet(
    name="fashion_mnist",
    folders=("fashion_mnist", "fashion-mnist", "FashionMNIST/raw"),  # not ".": its files are named like MNIST's
    mirror="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    sha256={
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
)
