from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from maskcl.data import data_root, load
from maskcl.data.idx_set import FASHION_MNIST, MNIST, IdxSet
from maskcl.errors import DataError, MissingDataError


def test_root_is_argument_then_variable_then_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MASKCL_DATA", str(tmp_path / "variable"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert data_root(tmp_path / "argument") == tmp_path / "argument"
    assert data_root() == tmp_path / "variable"
    assert data_root("~/data") == tmp_path / "home" / "data"
    assert data_root("~no such user/data").parts == ("~no such user", "data")
    monkeypatch.delenv("MASKCL_DATA")
    assert data_root() == tmp_path / "cache" / "maskcl"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_root() == tmp_path / "home" / ".cache" / "maskcl"


def test_images_are_pixels_over_255_with_a_channel(tiny: IdxSet, tiny_root: Path) -> None:
    dataset = tiny.load(tiny_root)
    pixels = np.arange(0, 120, 5, dtype=np.float32).reshape(6, 1, 2, 2)
    np.testing.assert_array_equal(dataset.train_inputs, pixels / np.float32(255))
    np.testing.assert_array_equal(dataset.train_labels, [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(dataset.test_inputs, pixels[:3] / np.float32(255))
    np.testing.assert_array_equal(dataset.test_labels, [0, 1, 2])
    assert (dataset.name, dataset.num_classes, dataset.input_range) == ("tiny", 3, (0.0, 1.0))


def test_files_may_lie_in_the_root_itself_and_unzipped(tiny: IdxSet, tiny_root: Path) -> None:
    expected = tiny.load(tiny_root)
    assert tiny.load(tiny_root / "tiny").name == "tiny"
    for path in (tiny_root / "tiny").iterdir():
        (tiny_root / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    shutil.rmtree(tiny_root / "tiny")
    np.testing.assert_array_equal(tiny.load(tiny_root).train_inputs, expected.train_inputs)


def test_missing_file_names_the_exact_command(tiny: IdxSet, tiny_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKCL_DATA", str(tiny_root))
    (tiny_root / "tiny" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(MissingDataError, match=r"tiny: t10k-labels-idx1-ubyte\.gz must be in") as caught:
        tiny.load()
    assert "\nhint: get it with `maskcl data download tiny`" in str(caught.value)


def test_missing_data_under_a_root_given_by_hand_is_downloaded_there(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="which is no folder") as caught:
        load("mnist", tmp_path / "my data")
    assert f"`maskcl data download mnist --data-root '{tmp_path}/my data'`" in str(caught.value)


def test_file_of_another_set_is_refused_with_the_way_out(tiny: IdxSet, tiny_root: Path) -> None:
    path = tiny_root / "tiny" / "train-images-idx3-ubyte.gz"
    path.write_bytes((tiny_root / "tiny" / "t10k-images-idx3-ubyte.gz").read_bytes())
    with pytest.raises(DataError, match="must have the content with sha256") as caught:
        tiny.load(tiny_root)
    assert str(path) in str(caught.value)
    assert "maskcl data download tiny" in str(caught.value)


def test_mnist_is_what_its_papers_say(mnist_root: Path) -> None:
    dataset = load("mnist", mnist_root)
    assert dataset.train_inputs.shape == (60_000, 1, 28, 28)
    assert dataset.test_inputs.shape == (10_000, 1, 28, 28)
    assert np.bincount(dataset.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert dataset.train_inputs.mean() == pytest.approx(0.1307, abs=5e-5)  # the mean that everybody normalises with


def test_mnist_is_not_taken_for_fashion_mnist(mnist_root: Path) -> None:
    folder = next(path.parent for path in [MNIST.find("train-images-idx3-ubyte", mnist_root)] if path)
    with pytest.raises(MissingDataError):
        FASHION_MNIST.load(folder)


@pytest.mark.skipif("MASKCL_DATA" not in os.environ, reason="MASKCL_DATA names no folder that might have it")
def test_fashion_mnist_has_6000_rows_of_each_class() -> None:
    if FASHION_MNIST.find("train-images-idx3-ubyte") is None:
        pytest.skip("Fashion-MNIST is not below MASKCL_DATA")
    dataset = load("fashion_mnist")
    assert np.bincount(dataset.train_labels).tolist() == [6000] * 10
    assert np.bincount(dataset.test_labels).tolist() == [1000] * 10
