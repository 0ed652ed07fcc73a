"""Make the files of `mnist_small` from MNIST's own: 500 training and 200 test images of each digit.

    python tools/make_mnist_small.py ROOT

ROOT is a folder of data sets that holds MNIST (`maskcl data download mnist --data-root ROOT`), whose checksums are
checked. Of the n rows of a class, ascending, the k that are taken are numbers floor(i n / k), i = 0, ..., k - 1; all
rows that are taken keep MNIST's order. No chance is involved: the same content comes out everywhere, and is held
against the checksums in src/maskcl/data/mnist_small.py (the gzip files may differ where zlib does).
"""

from __future__ import annotations

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np

from maskcl.data.idx_set import MNIST
from maskcl.data.mnist_small import SHA256
from maskcl.data.split import rows_by_class

FOLDER = Path(__file__).parents[1] / "src" / "maskcl" / "data" / "mnist_small"
ROWS_OF_A_CLASS = {"train": 500, "t10k": 200}


def contents(root: str | Path) -> dict[str, bytes]:
    """The uncompressed content of each file, by name."""
    made = {}
    for split, count in ROWS_OF_A_CLASS.items():
        images, labels = (MNIST.read(f"{split}-{kind}-ubyte", root) for kind in ("images-idx3", "labels-idx1"))
        spread = (rows[np.arange(count) * len(rows) // count] for rows in rows_by_class(labels.astype(np.int64), 10))
        chosen = np.sort(np.concatenate(list(spread)))
        for kind, values in (("images-idx3", images[chosen]), ("labels-idx1", labels[chosen])):
            header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
            made[f"{split}-{kind}-ubyte"] = header + values.tobytes()
    return made


def main(root: str) -> None:
    """Write the files, and say which are what the package expects."""
    FOLDER.mkdir(exist_ok=True)
    for file, content in contents(root).items():
        sha256 = hashlib.sha256(content).hexdigest()
        (FOLDER / f"{file}.gz").write_bytes(gzip.compress(content, 9, mtime=0))
        print(file, sha256, "as expected" if SHA256[file] == sha256 else "UNEXPECTED")


if __name__ == "__main__":
    main(sys.argv[1])
