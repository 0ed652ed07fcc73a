"""CIFAR-10 and CIFAR-100 from their publishers' binary files: records of label bytes and 3072 pixels, plane by plane.

    CIFAR-10:  label, 1024 red, 1024 green, 1024 blue         CIFAR-100:  coarse label, fine label, then the same

The python version of the archives is a pickle, and reading a pickle can run any code: it is refused by name.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from maskcl.data.base import Dataset
from maskcl.data.idx_set import data_root
from maskcl.errors import DataError, MissingDataError, check, message

__all__ = ["CIFAR10", "CIFAR100", "CifarSet"]

_SHAPE = (3, 32, 32)
_CHUNK_ROWS = 5000  # 15 MB: what is read beside the array that it goes to


@dataclass(frozen=True, eq=False)
class CifarSet:
    """Where the binary files of a CIFAR data set lie, and what must be in them.

    Attributes:
        name: Of the data set.
        folder: Folder of the publisher's archive, looked for below the root; or the root is that folder.
        archive: The publisher's archive of binary files.
        pickled: Folder of the publisher's other archive, which is refused by name.
        train: Rows of each training file, in the order of the rows.
        test: Rows of each test file.
        label_bytes: Bytes before the pixels of a record, the last of them the label.
        num_classes: Classes.
    """

    name: str
    folder: str
    archive: str
    pickled: str
    train: Mapping[str, int]
    test: Mapping[str, int]
    label_bytes: int
    num_classes: int

    @property
    def files(self) -> dict[str, int]:
        """Size of each file in bytes, in the order of the rows."""
        record = self.label_bytes + math.prod(_SHAPE)
        return {file: rows * record for file, rows in {**self.train, **self.test}.items()}

    def find(self, file: str, root: str | Path | None = None) -> Path | None:
        """Return where `file` ("test_batch.bin", ...) lies, or None."""
        places = (data_root(root) / self.folder / file, data_root(root) / file)
        return next((place for place in places if place.is_file()), None)

    def load(self, root: str | Path | None = None) -> Dataset:
        """Load images as uint8 [N, 3, 32, 32], which mean value / 255, and (fine) labels.

        Raises:
            MissingDataError: A file is not there; the message says which, and how to get it.
            DataError: A file has another size than it must have, or a label that is none.
        """
        train, test = self._split(self.train, root), self._split(self.test, root)
        return Dataset(self.name, *train, *test, num_classes=self.num_classes, input_range=(0.0, 1.0))

    def read(self, file: str, root: str | Path | None = None) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Read one file; returns images [N, 3, 32, 32] and labels [N]."""
        rows = {**self.train, **self.test}[file]
        images, labels = np.empty((rows, *_SHAPE), np.uint8), np.empty(rows, np.int64)
        self._fill(file, root, images, labels)
        return images, labels

    def _split(
        self, files: Mapping[str, int], root: str | Path | None
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        rows, start = sum(files.values()), 0
        images, labels = np.empty((rows, *_SHAPE), np.uint8), np.empty(rows, np.int64)
        for file, count in files.items():
            self._fill(file, root, images[start : start + count], labels[start : start + count])
            start += count
        return images, labels

    def _fill(
        self, file: str, root: str | Path | None, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]
    ) -> None:
        """Read a file to where its rows belong, a few rows at a time: memory for all of them is taken once."""
        path = self._path(file, root)
        record = self.label_bytes + math.prod(_SHAPE)
        try:
            size = path.stat().st_size
            check(
                size == self.files[file],
                str(path),
                f"must hold {len(labels)} records of {record} bytes, {self.files[file]} bytes in all",
                size,
                error=DataError,
                hint=f"get it anew with `{self._command(root)}`",
            )
            with path.open("rb") as stream:
                for at in range(0, len(labels), _CHUNK_ROWS):
                    there = slice(at, min(at + _CHUNK_ROWS, len(labels)))
                    found = np.fromfile(stream, np.uint8, record * (there.stop - at)).reshape(-1, record)
                    labels[there] = found[:, self.label_bytes - 1]
                    images[there] = found[:, self.label_bytes :].reshape(-1, *_SHAPE)
        except OSError as error:
            raise DataError(message(str(path), f"must be a readable file ({error.strerror or error})")) from error
        if labels.max() >= self.num_classes:
            row = int(np.argmax(labels >= self.num_classes))
            must = f"must have labels from 0 to {self.num_classes - 1}, record {row} has not"
            hint = f"get it anew with `{self._command(root)}`"
            raise DataError(message(str(path), must, int(labels[row]), hint=hint))

    def _path(self, file: str, root: str | Path | None) -> Path:
        path = self.find(file, root)
        if path is not None:
            return path
        folder, hint = data_root(root), f"get it with `{self._command(root)}`"
        if (folder / self.pickled).is_dir():
            must = f"must be the binary files of {self.archive}; {folder / self.pickled} is pickled, which is not read"
            raise MissingDataError(message(self.name, must, hint=hint))
        state = "" if folder.is_dir() else ", which is no folder"
        hint += ", or name the folder that has it (--data-root or MASKCL_DATA)"
        raise MissingDataError(message(self.name, f"{file} must be in {folder / self.folder}{state}", hint=hint))

    def _command(self, root: str | Path | None) -> str:
        return f"maskcl data download {self.name}" + (f" --data-root {shlex.quote(str(root))}" if root else "")


CIFAR10 = CifarSet(
    name="cifar10",
    folder="cifar-10-batches-bin",
    archive="cifar-10-binary.tar.gz",
    pickled="cifar-10-batches-py",
    train={f"data_batch_{batch}.bin": 10_000 for batch in range(1, 6)},
    test={"test_batch.bin": 10_000},
    label_bytes=1,
    num_classes=10,
)

CIFAR100 = CifarSet(
    name="cifar100",
    folder="cifar-100-binary",
    archive="cifar-100-binary.tar.gz",
    pickled="cifar-100-python",
    train={"train.bin": 50_000},
    test={"test.bin": 10_000},
    label_bytes=2,
    num_classes=100,
)
