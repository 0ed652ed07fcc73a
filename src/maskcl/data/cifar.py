"""CIFAR-10 and CIFAR-100 from their publishers' binary files: records of label bytes and 3072 pixels, plane by plane.

    CIFAR-10:  label, 1024 red, 1024 green, 1024 blue         CIFAR-100:  coarse label, fine label, then the same

The python version of the archives is a pickle, and reading a pickle can run any code: it is refused by name.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from maskcl.data.base import Dataset
from maskcl.data.publisher import Archive
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
from maskcl.errors import DataError, MissingDataError, check, message
from maskcl.files import file_digest, write_atomically

__all__ = ["CIFAR10", "CIFAR100", "CifarSet"]

_SHAPE = (3, 32, 32)
_SUMS = ".maskcl-sha256.json"
_CHUNK_ROWS = 5000  # 15 MB: what is read beside the array that it goes to


@dataclass(frozen=True, eq=False)
class CifarSet:
    """Where the binary files of a CIFAR data set lie, and what must be in them.

    Attributes:
        name: Of the data set.
        archive: The publisher's archive of binary files; its folder is looked for below the root, or is the root.
        pickled: Folder of the publisher's other archive, which is refused by name.
        train: Rows of each training file, in the order of the rows.
        test: Rows of each test file.
        label_bytes: Bytes before the pixels of a record, the last of them the label.
        num_classes: Classes.
    """

    name: str
    archive: Archive
    pickled: str
    train: Mapping[str, int]
    test: Mapping[str, int]
    label_bytes: int
    num_classes: int

    @property
    def folder(self) -> str:
        """Folder of the files below the root."""
        return self.archive.folder

    def says_it_all(self, root: str | Path | None = None) -> bool:
        """Whether the files are those of the publisher's archive: `download` has noted their checksums."""
        try:
            return all(self._is_published(file, root) for file in self.files)
        except OSError:  # loading says more
            return False

    @property
    def files(self) -> dict[str, int]:
        """Size of each file in bytes, in the order of the rows."""
        record = self.label_bytes + math.prod(_SHAPE)
        return {file: rows * record for file, rows in {**self.train, **self.test}.items()}

    def find(self, file: str, root: str | Path | None = None) -> Path | None:
        """Return where `file` ("test_batch.bin", ...) lies, or None."""
        places = (data_root(root) / self.folder / file, data_root(root) / file)
        return next((place for place in places if is_file(place)), None)

    def load(self, root: str | Path | None = None, *, on_progress: Progress | None = None) -> Dataset:
        """Load images as uint8 [N, 3, 32, 32], which mean value / 255, and (fine) labels.

        Raises:
            MissingDataError: A file is not there; the message says which, and how to get it.
            DataError: A file has another size than it must have, or a label that is none.
        """
        train, test = self._split(self.train, root), self._split(self.test, root)
        return Dataset(self.name, *train, *test, num_classes=self.num_classes, input_range=(0.0, 1.0))

    def presence(self, root: str | Path | None = None) -> tuple[Presence, Path]:
        """Say whether all files are there and have their sizes."""
        found = {file: path for file in self.files if (path := self.find(file, root)) is not None}
        if not found:
            return "missing", data_root(root) / self.folder
        whole = all(file in found and found[file].stat().st_size == size for file, size in self.files.items())
        return "present" if whole else "incomplete", next(iter(found.values())).parent

    def verify(self, root: str | Path | None = None, *, on_progress: Progress | None = None) -> list[FileState]:
        """Check each file; against checksums where it was downloaded, else its size and labels ("unchecked")."""
        return [self._state(file, root) for file in self.files]

    def download(
        self, root: str | Path | None = None, *, mirror: str | None = None, on_progress: Progress | None = None
    ) -> list[DownloadedFile]:
        """Download and unpack the binary archive, unless all files are there; see `download_archive`."""
        from maskcl.data.archive import download_archive  # urllib costs more to import than the rest of this package

        states = self.verify(root)
        if all(state.state in ("intact", "unchecked") for state in states):
            return [DownloadedFile(s.file, s.path, False, self.files[s.file]) for s in states if s.path is not None]
        found = download_archive(self.archive, data_root(root), mirror=mirror, on_progress=on_progress)
        sums = {file: _sha256(found.path / file) for file in self.files if is_file(found.path / file)}
        write_atomically(found.path / _SUMS, json.dumps(sums, indent=1).encode())
        return [found]

    def _is_published(self, file: str, root: str | Path | None) -> bool:
        path = self.find(file, root)
        noted = None if path is None else _published_sums(path.parent).get(file)
        return path is not None and noted is not None and _sha256(path) == noted

    def _state(self, file: str, root: str | Path | None) -> FileState:
        path, rows = None, {**self.train, **self.test}[file]
        try:
            path = self.find(file, root)
            self._fill(file, root, np.empty((rows, *_SHAPE), np.uint8), np.empty(rows, np.int64))
        except MissingDataError as error:
            return FileState(file, None, "missing", str(error))
        except DataError as error:
            return FileState(file, path, "damaged", str(error))
        assert path is not None
        expected = _published_sums(path.parent).get(file)
        if expected is None:
            return FileState(file, path, "unchecked")
        digest = _sha256(path)
        if digest != expected:
            problem = message(str(path), f"must have the sha256 {expected}", digest, hint=self._anew(root))
            return FileState(file, path, "damaged", problem)
        return FileState(file, path, "intact")

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
                hint=self._anew(root),
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
            raise DataError(message(str(path), must, int(labels[row]), hint=self._anew(root)))

    def _path(self, file: str, root: str | Path | None) -> Path:
        path = self.find(file, root)
        if path is not None:
            return path
        folder, hint = data_root(root), f"get it with `{command('download', self.name, root)}`"
        if is_folder(folder / self.pickled):
            must = f"must be the binary files of {self.archive.file}"
            must += f"; {folder / self.pickled} is pickled, and pickles are not read"
            raise MissingDataError(message(self.name, must, hint=hint))
        state = "" if is_folder(folder) else ", which is no folder"
        must = f"{file} must be in {folder / self.folder}{state}"
        raise MissingDataError(message(self.name, must, hint=how_to_get(self.name, root)))

    def _anew(self, root: str | Path | None) -> str:
        return f"get it anew with `{command('download', self.name, root)}`"


def _sha256(path: Path) -> str:
    return file_digest(path, hashlib.sha256())


def _published_sums(folder: Path) -> dict[str, str]:
    """What `download` found in an archive whose own checksum was right; the publisher states none of single files."""
    try:
        found = json.loads((folder / _SUMS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


CIFAR10 = CifarSet(
    name="cifar10",
    archive=Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
        "cifar-10-batches-bin",
    ),
    pickled="cifar-10-batches-py",
    train={f"data_batch_{batch}.bin": 10_000 for batch in range(1, 6)},
    test={"test_batch.bin": 10_000},
    label_bytes=1,
    num_classes=10,
)

CIFAR100 = CifarSet(
    name="cifar100",
    archive=Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        "03b5dce01913d631647c71ecec9e9cb8",
        "cifar-100-binary",
    ),
    pickled="cifar-100-python",
    train={"train.bin": 50_000},
    test={"test.bin": 10_000},
    label_bytes=2,
    num_classes=100,
)
