from __future__ import annotations

import gzip
import hashlib
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest

from maskcl import data
from maskcl.data import mnist_small
from maskcl.data.idx_set import MNIST
from maskcl.errors import DataError

ROOT = Path(__file__).parents[2]


def test_it_has_500_training_and_200_test_images_of_each_digit_in_8_bits() -> None:
    found, info = data.load("mnist_small"), data.DATASETS["mnist_small"]
    assert np.bincount(found.train_labels).tolist() == [500] * 10
    assert np.bincount(found.test_labels).tolist() == [200] * 10
    assert found.train_inputs.dtype == found.test_inputs.dtype == np.uint8
    assert (found.num_classes, found.input_shape) == (info.num_classes, info.input_shape) == (10, (1, 28, 28))
    assert (len(found.train_inputs), len(found.test_inputs)) == (info.num_train, info.num_test)


def test_its_content_is_the_one_that_published_tables_used() -> None:
    found = data.load("mnist_small")
    content = b"".join(
        array.tobytes() for array in (found.train_inputs, found.train_labels, found.test_inputs, found.test_labels)
    )
    assert hashlib.sha256(content).hexdigest() == "80417547691ef27f791a23061e19dda68f46bd6500848b21ac12f689a5df8b7d"


def test_no_image_is_there_twice() -> None:
    found = data.load("mnist_small")
    assert len({image.tobytes() for images in (found.train_inputs, found.test_inputs) for image in images}) == 7000


def test_it_is_built_in_and_its_name_says_it_all() -> None:
    info = data.DATASETS["mnist_small"]
    assert info.built_in
    assert info.says_it_all
    assert data.verify("mnist_small") == data.download("mnist_small") == []


def test_images_are_those_of_mnist_in_its_order(mnist_root: Path) -> None:
    found = data.load("mnist_small")
    whole = MNIST.read("t10k-images-idx3-ubyte", mnist_root), MNIST.read("t10k-labels-idx1-ubyte", mnist_root)
    rows = {image.tobytes(): row for row, image in enumerate(whole[0])}
    places = [rows[image.tobytes()] for image in found.test_inputs]
    assert places == sorted(places)
    np.testing.assert_array_equal(whole[1][places], found.test_labels)
    assert places[-1] > 9_900, "evenly spaced: the last writers are there too"


def test_the_script_makes_the_files_again(mnist_root: Path) -> None:
    script = runpy.run_path(str(ROOT / "tools" / "make_mnist_small.py"))
    made = script["contents"](mnist_root)
    assert {file: hashlib.sha256(content).hexdigest() for file, content in made.items()} == mnist_small.SHA256
    for file, content in made.items():
        assert gzip.decompress((script["FOLDER"] / f"{file}.gz").read_bytes()) == content


@pytest.mark.parametrize("damage", ["missing", "other content"])
def test_a_damaged_installation_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    folder = shutil.copytree(mnist_small._FOLDER, tmp_path / "mnist_small")
    file = folder / "t10k-labels-idx1-ubyte.gz"
    file.unlink()
    if damage == "other content":
        file.write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 1, 7])))
    monkeypatch.setattr(mnist_small, "_FOLDER", folder)
    must = "must be a readable file" if damage == "missing" else "must have the content with sha256 601a3cc8"
    with pytest.raises(DataError, match=rf"t10k-labels-idx1-ubyte.gz: {must}[^\n]*\nhint: install maskcl anew"):
        data.load("mnist_small")


def test_source_and_licence_are_named_beside_the_files() -> None:
    notice = (mnist_small._FOLDER / "NOTICE.md").read_text(encoding="utf-8")
    assert "Yann LeCun and Corinna Cortes" in notice
    assert "https://creativecommons.org/licenses/by-sa/3.0/" in notice
    assert "tools/make_mnist_small.py" in notice
