"""Arrays in one .npz file: train_inputs, train_labels, test_inputs, test_labels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskcl.data.base import Dataset, from_arrays
from maskcl.data.source import Progress, expand, is_file
from maskcl.errors import DataError, MissingDataError, check, message, reason

__all__ = ["NpzData", "from_npz"]

_ARRAYS = ("train_inputs", "train_labels", "test_inputs", "test_labels")


@dataclass(frozen=True)
class NpzData:
    """Arrays in a .npz file.

    Args:
        npz: The file, with arrays train_inputs, train_labels, test_inputs, test_labels, as `maskcl.from_arrays` takes
            them. A path is relative to the working directory; ~ is your home.
        name: What results call the data; the file's name by default.
    """

    npz: str
    name: str | None = None

    def __post_init__(self) -> None:
        path = isinstance(self.npz, (str, os.PathLike)) and bool(str(self.npz))
        check(path, "npz", "must be a file, by its path", self.npz)
        named = self.name is None or (isinstance(self.name, str) and bool(self.name.strip()))
        check(named, "name", "must be a name", self.name)

    @property
    def path(self) -> Path:
        """The file, from the root of the file system."""
        return Path(os.path.abspath(expand(self.npz)))

    def load(self, root: str | Path | None = None, *, on_progress: Progress | None = None) -> Dataset:
        """Load it; raises as `from_npz` does."""
        return from_npz(self.path, name=self.name)


def _start(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(2)


def from_npz(path: str | os.PathLike[str], *, name: str | None = None) -> Dataset:
    """Make a data set of the arrays in a .npz file, as `np.savez` writes it.

    Args:
        path: The file, with arrays train_inputs, train_labels, test_inputs, test_labels.
        name: What results call the data; the file's name by default.

    Returns:
        The checked data set.

    Raises:
        DataError: No such file, not a whole .npz file, arrays missing, pickled, or of types that `from_arrays` refuses.
    """
    path = expand(os.fspath(path))
    if not is_file(path):
        raise MissingDataError(message("npz", f"must be a file of arrays, and {path} is none"))
    try:
        with path.open("rb") as stream:  # NumPy leaves a file open that it refuses
            file: Any = np.load(stream, allow_pickle=False)
            there = list(getattr(file, "files", ()))  # a .npy file has none
            lacking = [array for array in _ARRAYS if array not in there]
            must = f"must hold arrays {', '.join(_ARRAYS)}, and lacks {lacking[0] if lacking else ''}"
            check(not lacking, str(path), must, there, error=DataError)
            arrays = [file[array] for array in _ARRAYS]
    except DataError:
        raise
    except MemoryError:
        raise DataError(message(str(path), "must hold arrays that fit into memory")) from None
    except Exception as error:  # whatever a broken file leads them to: NumPy reads headers as Python's own text
        why = reason(error)
        if "pickle" in why.lower():  # which NumPy says of whatever it does not know
            why = "it holds a pickle" if _start(path).startswith((b"PK", b"\x80")) else "it is another file"
        raise DataError(message(str(path), f"must be a whole .npz file without pickles ({why})")) from error
    return from_arrays(*arrays, name=name or path.stem)
