from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from maskcl.data.idx_set import IdxSet

_SIZES = {"train": 6, "t10k": 3}


def _content(file: str) -> bytes:
    """Images of 2x2 pixels that count up to 255 in steps of 5, labels 0, 1, 2, 0, ..."""
    num_rows = _SIZES[file.split("-")[0]]
    if "labels" in file:
        return bytes([0, 0, 8, 1, 0, 0, 0, num_rows]) + bytes(row % 3 for row in range(num_rows))
    return bytes([0, 0, 8, 3, 0, 0, 0, num_rows, 0, 0, 0, 2, 0, 0, 0, 2]) + bytes(range(0, 20 * num_rows, 5))


_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture
def tiny() -> IdxSet:
    """A data set in MNIST's layout: 6 training and 3 test images of 2x2 pixels, 3 classes."""
    sha256 = {file: hashlib.sha256(_content(file)).hexdigest() for file in _FILES}
    return IdxSet("tiny", ("tiny", "."), "http://nowhere.invalid/", sha256, num_classes=3)


@pytest.fixture
def tiny_root(tmp_path: Path) -> Path:
    """A root that holds the intact files of `tiny`, gzipped, in its folder."""
    folder = tmp_path / "root" / "tiny"
    folder.mkdir(parents=True)
    for file in _FILES:
        (folder / f"{file}.gz").write_bytes(gzip.compress(_content(file)))
    return folder.parent
