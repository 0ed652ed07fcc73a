"""The other built-in data set: 5,000 + 2,000 images of MNIST, in the package, which need no download.

Files, source and licence: the folder `mnist_small` beside this module; tools/make_mnist_small.py made them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskcl.data.base import Dataset
from maskcl.data.idx import read_idx
from maskcl.errors import DataError

__all__ = ["SHA256", "load_mnist_small"]

SHA256 = {
    "train-images-idx3-ubyte": "7f2ea4c9ef8986d097eb015af6e7ac92d0220983040f6bf85e0ebdab34272774",
    "train-labels-idx1-ubyte": "3617ddc2f63a55bda5efb0ce7dfbb513cc4680c40a8ecd9a5f3a390475accf08",
    "t10k-images-idx3-ubyte": "0a2a978ac97c9ffe5524643f23f15c688c7c4b82e1ce271f4060492e4a74cae4",
    "t10k-labels-idx1-ubyte": "601a3cc86da79e5dcf5265d52b4dd14eb2e0ee0c69c9792c036ed8b98dcb05fa",
}
"""Checksums of the *uncompressed* content of its files."""

_FOLDER = Path(__file__).with_suffix("")


def load_mnist_small() -> Dataset:
    """Load 500 training and 200 test images of each digit, 8 bits a pixel, shape [N, 1, 28, 28].

    Rows are evenly spaced among those of their class, and keep MNIST's order.

    Raises:
        DataError: A file of the package is missing or damaged.
    """
    try:
        arrays = [read_idx(_FOLDER / f"{file}.gz", sha256=sha256) for file, sha256 in SHA256.items()]
    except DataError as error:
        raise DataError(f"{error}\nhint: install maskcl anew, the file is part of it") from error
    images, labels = arrays[::2], arrays[1::2]
    train, test = ((i[:, None], label.astype(np.int64)) for i, label in zip(images, labels, strict=True))
    return Dataset("mnist_small", *train, *test, num_classes=10, input_range=(0.0, 1.0))
