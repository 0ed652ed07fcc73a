from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from maskcl.data import Dataset, from_arrays
from maskcl.data.base import as_float
from maskcl.errors import DataError

_INPUTS = np.linspace(0, 1, 24, dtype=np.float32).reshape(6, 4)
_LABELS = np.array([0, 1, 2, 0, 1, 2])
_IMAGES = np.arange(6 * 12, dtype=np.uint8).reshape(6, 3, 2, 2) + 20


def _arrays(**changes: Any) -> dict[str, Any]:
    arrays = {"train_inputs": _INPUTS, "train_labels": _LABELS, "test_inputs": _INPUTS[:3], "test_labels": _LABELS[:3]}
    return {**arrays, **changes}


def _with(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.copy()
    changed[4, ...] = value
    return changed


BAD_ARRAYS = [
    (
        {"train_inputs": (_INPUTS * 255).astype(np.uint8)},
        r"train_inputs: must be floating.*'uint8 of shape \(6, 4\)'.*images / 255, or .*\[rows, channels, height",
    ),
    ({"train_inputs": _IMAGES[:, 0]}, r"train_inputs: must be floating.*uint8 of shape \(6, 2, 2\)"),
    ({"train_inputs": _IMAGES.astype(np.int16)}, "train_inputs: must be floating.*'int16'.*largest value"),
    ({"train_inputs": _IMAGES > 40}, "train_inputs: must be floating.*'bool'"),
    (
        {"train_inputs": _IMAGES, "test_inputs": as_float(_IMAGES[:3])},
        "test_inputs: must have the type of train_inputs, uint8, got 'float32'.*both",
    ),
    (
        {"train_inputs": as_float(_IMAGES), "test_inputs": _IMAGES[:3]},
        "test_inputs: must have the type of train_inputs, float32, got 'uint8'.*both",
    ),
    (
        {"train_inputs": _IMAGES, "test_inputs": _IMAGES[:3, :1]},
        r"test_inputs: must have rows of the shape of train_inputs, \(3, 2, 2\), got \(1, 2, 2\)",
    ),
    (
        {"train_inputs": np.zeros((6, 8, 8, 3), np.uint8), "test_inputs": np.zeros((3, 8, 8, 3), np.uint8)},
        r"train_inputs: must have shape \[rows, channels, height, width\] where they are uint8, got \(6, 8, 8, 3\)\.\n"
        r"hint: images\.transpose\(0, 3, 1, 2\) puts channels first",
    ),
    ({"train_inputs": np.zeros((6, 28, 28, 1), np.uint8)}, r"train_inputs: .*\(6, 28, 28, 1\)\.\nhint: .*transpose"),
    ({"train_inputs": np.zeros((6, 32, 32, 4), np.uint8)}, r"train_inputs: .*\(6, 32, 32, 4\)\.\nhint: .*transpose"),
    ({"train_inputs": _IMAGES[:0], "train_labels": _LABELS[:0]}, "train_inputs: must not be empty"),
    (
        {"train_inputs": _IMAGES, "test_inputs": _IMAGES[:3], "input_range": (0, 255)},
        r"input_range: must be \(0.0, 1.0\) where inputs are uint8, which mean value / 255, got \(0, 255\)",
    ),
    (
        {"train_inputs": _IMAGES, "test_inputs": _IMAGES[:3], "input_range": (0.0, 0.5)},
        "input_range: must hold all training inputs, which go from 0 to 1",
    ),
    ({"train_inputs": (_INPUTS * 9).astype(int)}, "train_inputs: must be floating.*'int64'.*largest value"),
    ({"test_inputs": _INPUTS[:3].astype(complex)}, "test_inputs: must be floating.*complex"),
    ({"train_inputs": [["a"]] * 6}, "train_inputs: must be floating"),
    ({"train_inputs": [[0.5], [0.5, 0.5]]}, "train_inputs: must be an array, or nested lists of equal lengths"),
    ({"train_inputs": _INPUTS[:, 0]}, r"train_inputs: must have shape \[rows, ...\], got \(6,\)"),
    ({"train_inputs": _INPUTS[:0], "train_labels": _LABELS[:0]}, "train_inputs: must not be empty"),
    ({"train_inputs": _INPUTS[:, :0]}, "train_inputs: must not be empty"),
    ({"test_inputs": _INPUTS[:0], "test_labels": _LABELS[:0]}, "test_inputs: must not be empty"),
    ({"train_inputs": _with(_INPUTS, np.nan)}, "train_inputs: must be finite.*row 4 is not, got nan"),
    ({"train_inputs": _with(_INPUTS, -np.inf)}, "train_inputs: must be finite.*row 4 is not, got -inf"),
    ({"train_inputs": _with(_INPUTS.astype(float), 1e300)}, "train_inputs: must be finite.*row 4 is not, got inf"),
    ({"test_inputs": _with(_INPUTS, np.nan), "test_labels": _LABELS}, "test_inputs: must be finite.*row 4"),
    ({"test_inputs": _INPUTS[:3, :3]}, r"test_inputs: must have rows of the shape of train_inputs, \(4,\), got \(3,\)"),
    ({"train_labels": _LABELS[:5]}, r"train_labels: must have shape \(6,\), got \(5,\)"),
    ({"train_labels": _LABELS[:, None]}, r"train_labels: must have shape \(6,\), got \(6, 1\)"),
    ({"test_labels": _LABELS}, r"test_labels: must have shape \(3,\), got \(6,\)"),
    ({"train_labels": _LABELS.astype(float)}, r"train_labels: must be integers, got 'float64'.*astype"),
    ({"train_labels": _LABELS > 0}, "train_labels: must be integers, got 'bool'"),
    ({"train_labels": _LABELS - 1}, "train_labels: must be classes from 0 to 2, got -1"),
    ({"test_labels": _LABELS[:3] + 1, "num_classes": 3}, "test_labels: must be classes from 0 to 2, got 3"),
    ({"train_labels": _LABELS + 10**9}, "labels: must count the classes from 0.*got 1000000002.*np.unique"),
    ({"num_classes": 1}, "num_classes: must be an integer, 2 or more, got 1"),
    ({"num_classes": 10**9}, "num_classes: must be 1,000,000 or fewer, got 1000000000"),
    ({"num_classes": 3.0}, "num_classes: must be an integer, 2 or more, got 3.0"),
    ({"input_range": (1, 0)}, "input_range: must be two finite numbers, the lower first"),
    ({"input_range": (0, np.inf)}, "input_range: must be two finite numbers"),
    ({"input_range": 1.0}, "input_range: must be two finite numbers"),
    (
        {"input_range": (0.0, 0.5)},
        r"input_range: must hold all training inputs, which go from 0 to 1, got \(0.0, 0.5\)",
    ),
]


@pytest.mark.parametrize(("changes", "said"), BAD_ARRAYS)
def test_bad_arrays_are_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=re.compile(said, re.DOTALL)) as caught:
        from_arrays(**_arrays(**changes), name="mine")
    assert str(caught.value).startswith("mine ")


def test_float32_arrays_are_used_as_they_are() -> None:
    dataset = from_arrays(**_arrays())
    assert dataset.train_inputs is _INPUTS
    assert dataset.train_labels.dtype == np.int64
    assert (dataset.name, dataset.num_classes, dataset.input_range) == ("arrays", 3, (0.0, 1.0))
    assert dataset.input_shape == (4,)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_tensors_and_arrays_make_the_same_data_set(dtype: torch.dtype) -> None:
    inputs = torch.arange(24, dtype=dtype).reshape(6, 4).requires_grad_()
    dataset = from_arrays(inputs, torch.tensor(_LABELS, dtype=torch.uint8), inputs[:3], torch.tensor(_LABELS[:3]))
    expected = np.arange(24, dtype=np.float32).reshape(6, 4)
    np.testing.assert_array_equal(dataset.train_inputs, expected)
    np.testing.assert_array_equal(dataset.train_labels, _LABELS)
    assert dataset.train_inputs.dtype == np.float32


def test_inputs_with_gaps_become_contiguous() -> None:
    dataset = from_arrays(**_arrays(train_inputs=np.asfortranarray(_INPUTS)))
    assert dataset.train_inputs.flags.c_contiguous
    np.testing.assert_array_equal(dataset.train_inputs, _INPUTS)


def test_eight_bit_images_are_used_as_they_are() -> None:
    dataset = from_arrays(**_arrays(train_inputs=_IMAGES, test_inputs=_IMAGES[:3]))
    assert dataset.train_inputs is _IMAGES
    assert dataset.test_inputs.dtype == np.uint8
    assert (dataset.input_shape, dataset.input_range) == ((3, 2, 2), (0.0, 1.0))
    assert from_arrays(**_arrays(train_inputs=_IMAGES, test_inputs=_IMAGES, test_labels=_LABELS, input_range=(0, 1)))


def test_eight_bit_images_with_gaps_become_contiguous() -> None:
    channels_last = torch.from_numpy(_IMAGES).to(memory_format=torch.channels_last)
    dataset = from_arrays(**_arrays(train_inputs=channels_last, test_inputs=_IMAGES[:3]))
    assert dataset.train_inputs.flags.c_contiguous
    np.testing.assert_array_equal(dataset.train_inputs, _IMAGES)


def test_as_float_divides_eight_bit_images_by_255_and_leaves_floats_alone() -> None:
    values = np.arange(256, dtype=np.uint8)
    scaled = as_float(values)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, torch.from_numpy(values).float() / 255)  # to the bit what the engine does
    np.testing.assert_array_equal(np.rint(scaled * 255), values)
    assert as_float(_INPUTS) is _INPUTS


def test_num_classes_counts_labels_that_only_the_test_data_have() -> None:
    assert from_arrays(**_arrays(test_labels=np.array([0, 1, 5]))).num_classes == 6


def test_dataset_converts_nothing() -> None:
    arrays = _arrays()
    must = "train_inputs: must be a C-contiguous float32 or uint8 array, got 'float64 array'"
    with pytest.raises(DataError, match=must):
        Dataset("raw", _INPUTS.astype(float), *list(arrays.values())[1:], num_classes=3, input_range=(0.0, 1.0))  # type: ignore[misc]
    must = r"train_inputs: must have shape \[rows, channels, height, width\] where they are uint8, got \(6, 2, 2\)"
    with pytest.raises(DataError, match=must):
        Dataset("raw", **{**arrays, "train_inputs": _IMAGES[:, 0].copy()}, num_classes=3, input_range=(0.0, 1.0))
    images = {"train_inputs": _IMAGES, "test_inputs": _IMAGES[:3].transpose(0, 2, 3, 1)}
    with pytest.raises(DataError, match=r"test_inputs: must be a C-contiguous.*got 'uint8 array with gaps'"):
        Dataset("raw", **{**arrays, **images}, num_classes=3, input_range=(0.0, 1.0))
    with pytest.raises(DataError, match="train_labels: must be an int64 array, got 'int32 array'"):
        Dataset("raw", **{**arrays, "train_labels": _LABELS.astype(np.int32)}, num_classes=3, input_range=(0.0, 1.0))
    with pytest.raises(DataError, match="test_labels: must be an int64 array, got 'list'"):
        Dataset("raw", **{**arrays, "test_labels": [0, 1, 2]}, num_classes=3, input_range=(0.0, 1.0))


def test_repr_shows_no_arrays() -> None:
    assert repr(from_arrays(**_arrays())) == "Dataset(name='arrays', num_classes=3, input_range=(0.0, 1.0))"


@pytest.mark.parametrize("shape", [(3, 5, 3), (1, 7, 1), (4, 9, 4), (2, 6, 2), (1, 1, 3), (3, 4, 4), (2, 8, 8)])
def test_small_images_that_have_channels_first_are_taken(shape: tuple[int, ...]) -> None:
    images = np.zeros((6, *shape), np.uint8)
    assert from_arrays(images, _LABELS, images[:3], _LABELS[:3]).input_shape == shape
