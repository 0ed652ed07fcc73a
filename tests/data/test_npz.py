# ruff: noqa: E501  (one case a line reads better)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from maskcl.data import from_npz
from maskcl.data.npz import NpzData
from maskcl.errors import ConfigError, DataError, MissingDataError

ARRAYS = {
    "train_inputs": np.arange(4 * 12, dtype=np.uint8).reshape(4, 3, 2, 2),
    "train_labels": np.array([0, 1, 0, 1]),
    "test_inputs": np.arange(2 * 12, dtype=np.uint8).reshape(2, 3, 2, 2),
    "test_labels": np.array([1, 0]),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_those_of_the_file(tmp_path: Path, save: Callable[..., None]) -> None:
    save(tmp_path / "own.npz", **ARRAYS, notes=np.array("left alone"))
    dataset = from_npz(tmp_path / "own.npz")
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(getattr(dataset, name), array)
    assert (dataset.name, dataset.num_classes) == ("own", 2)
    assert NpzData(str(tmp_path / "own.npz"), name="mine").load().name == "mine"


def _without(path: Path) -> None:
    np.savez(path, **{name: array for name, array in ARRAYS.items() if name != "test_labels"})


def _pickled(path: Path) -> None:
    np.savez(path, **ARRAYS | {"train_labels": np.array([{}, 1, 0, 1], dtype=object)})


def _one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, ARRAYS["train_inputs"])


def _cut(path: Path) -> None:
    np.savez(path, **ARRAYS)
    path.write_bytes(path.read_bytes()[:-60])


def _damaged(path: Path) -> None:
    np.savez_compressed(path, **ARRAYS)
    content = bytearray(path.read_bytes())
    content[120:180] = bytes(60)
    path.write_bytes(content)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "array missing": (_without, r"must hold arrays train_inputs, .*, and lacks test_labels, got \['train_inputs'"),
    "a pickle within": (_pickled, r"must be a whole \.npz file without pickles \(it holds a pickle\)"),
    "a pickle": (lambda p: p.write_bytes(b"\x80\x04N."), r"without pickles \(it holds a pickle\)"),
    "text": (lambda p: p.write_bytes(b"[scenario]\ndataset = 1\n"), r"must be a whole \.npz file without pickles \(it is another file\)"),
    "one array": (_one_array, "and lacks train_inputs, got "),
    "cut": (_cut, r"must be a whole \.npz file"),
    "damaged": (_damaged, r"must be a whole \.npz file"),
    "empty": (lambda p: p.write_bytes(b""), r"must be a whole \.npz file"),
    "labels and rows differ": (lambda p: np.savez(p, **ARRAYS | {"test_labels": np.array([1])}), "test_labels: must have shape"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_such_file_is_one_sentence(tmp_path: Path, case: str) -> None:
    write, must = WRONG[case]
    write(tmp_path / "own.npz")
    with pytest.raises(DataError, match=must) as caught:
        from_npz(tmp_path / "own.npz")
    assert len(str(caught.value).splitlines()) <= 2


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"npz: must be a file of arrays, and .*own\.npz is none\."):
        from_npz(tmp_path / "own.npz")
    with pytest.raises(ConfigError, match="npz: must be a file, by its path, got ''"):
        NpzData("")
