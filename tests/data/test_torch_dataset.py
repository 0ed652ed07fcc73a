# ruff: noqa: E501  (one case a line reads better)

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn import pixels
from PIL import Image
from torch.utils.data import TensorDataset

from maskcl.data import from_dataset
from maskcl.data.pictures import decode
from maskcl.errors import DataError


def test_tensors_are_taken_as_they_are() -> None:
    inputs, labels = torch.rand(6, 3, 4, 4), torch.arange(6) % 3
    dataset = from_dataset(TensorDataset(inputs, labels), TensorDataset(inputs[:3], labels[:3]))
    np.testing.assert_array_equal(dataset.train_inputs, inputs.numpy())
    assert dataset.train_labels.tolist() == labels.tolist()
    assert (dataset.name, dataset.num_classes, len(dataset.test_labels)) == ("TensorDataset", 3, 3)
    raw = (inputs * 255).to(torch.uint8)
    images = from_dataset(TensorDataset(raw, labels), TensorDataset(raw, labels), name="raw", num_classes=5)
    assert (images.train_inputs.dtype, images.num_classes, images.name) == (np.uint8, 5, "raw")
    half = from_dataset(TensorDataset(inputs.bfloat16(), labels), TensorDataset(inputs.bfloat16(), labels))
    assert half.train_inputs.dtype == np.float32


def test_pictures_are_colours_or_one_channel_of_grey() -> None:
    coloured = [(Image.fromarray(pixels(seed)), seed) for seed in range(3)]
    dataset = from_dataset(coloured, coloured[:2])
    np.testing.assert_array_equal(dataset.train_inputs[2], pixels(2).transpose(2, 0, 1))
    grey = [(Image.fromarray(pixels(seed)[:, :, 0]), np.int64(seed)) for seed in range(3)]
    np.testing.assert_array_equal(from_dataset(grey, grey).train_inputs[1, 0], pixels(1)[:, :, 0])
    mixed = from_dataset(coloured[:1] + grey[1:], coloured)
    np.testing.assert_array_equal(mixed.train_inputs[1], np.broadcast_to(pixels(1)[:, :, 0], (3, 8, 8)))


def test_pictures_are_what_they_are_in_a_folder(tmp_path: Path) -> None:
    """Laid on white where they are transparent; a palette, CMYK, two colours."""
    clear = np.dstack([pixels(0), np.full((8, 8), 0, np.uint8)])
    clear[0, 0, 3] = 255
    palette = Image.fromarray(pixels(1)).convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    given = [Image.fromarray(clear), palette, Image.fromarray(clear[..., 2:], "LA")]
    for picture in given:
        picture.save(tmp_path / "a.png")
        (found,) = from_dataset([(picture, 0), (picture, 1)], [(picture, 0)]).test_inputs
        np.testing.assert_array_equal(found, decode(tmp_path / "a.png"))
    inputs = from_dataset([(given[0], 0), (given[0], 1)], [(given[0], 0)]).train_inputs
    assert (inputs[0, :, 0, 0].tolist(), inputs[0, :, 5, 5].tolist()) == (pixels(0)[0, 0].tolist(), [255] * 3)


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "LAB"])
def test_pictures_that_have_no_such_meaning_are_refused_with_their_row(mode: str) -> None:
    wide = Image.new(mode, (4, 4))
    with pytest.raises(
        DataError, match=r"d train row 1: must (have 8 bits a channel, and has more|be a picture in grey)"
    ):
        from_dataset([(Image.new("L", (4, 4)), 0), (wide, 1)], [(wide, 0)], name="d")


class Endless:
    def __iter__(self) -> Any:
        return iter(())


class Broken:
    def __len__(self) -> int:
        return 2

    def __getitem__(self, row: int) -> Any:
        raise KeyError("no such\nfile")


ROW = np.zeros((1, 2, 2), np.uint8)
GOOD = [(ROW, 0), (ROW, 1)]
WRONG: dict[str, tuple[Any, str]] = {
    "an iterable one": (Endless(), "d train: must be a map-style Dataset, with a length and items by number, got 'Endless'"),
    "empty": ([], "d train: must have rows, got 0"),
    "raising": (Broken(), "d train row 0: must be readable, which raised KeyError: 'no such"),
    "inputs alone": ([ROW, ROW], "d train row 0: must be a pair of input and label, got 'ndarray'"),
    "other shape": ([(ROW, 0), (ROW[:, :1], 1)], r"d train row 1: must have shape and type of row 0, \(1, 2, 2\) uint8, got '\(1, 1, 2\) uint8'"),
    "other type": ([(ROW, 0), (ROW / 2, 1)], "d train row 1: must have shape and type of row 0"),
    "a word as input": ([("x", 0)], "d train row 0: must be a tensor, an array or a picture, got 'str'"),
    "a word as label": ([(ROW, "cat")], "d train row 0: must have an integer as its label, got 'str'"),
    "half a label": ([(ROW, 0.5)], "d train row 0: must have an integer as its label, got 'float'"),
    "negative label": ([(ROW, -1), (ROW, 1)], "d train_labels: must be classes from 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_other_things_are_one_sentence(case: str) -> None:
    given, must = WRONG[case]
    with pytest.raises(DataError, match=must) as caught:
        from_dataset(given, GOOD, name="d")
    assert len(str(caught.value).splitlines()) == 1
