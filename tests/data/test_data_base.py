from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from maskcl.data import Dataset, from_arrays
from maskcl.errors import DataError

_INPUTS = np.linspace(0, 1, 24, dtype=np.float32).reshape(6, 4)
_LABELS = np.array([0, 1, 2, 0, 1, 2])


def _arrays(**changes: Any) -> dict[str, Any]:
    arrays = {"train_inputs": _INPUTS, "train_labels": _LABELS, "test_inputs": _INPUTS[:3], "test_labels": _LABELS[:3]}
    return {**arrays, **changes}


def _with(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.copy()
    changed[4, ...] = value
    return changed


BAD_ARRAYS = [
    ({"train_inputs": (_INPUTS * 255).astype(np.uint8)}, "train_inputs: must be floating.*'uint8'.*images / 255"),
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


def test_num_classes_counts_labels_that_only_the_test_data_have() -> None:
    assert from_arrays(**_arrays(test_labels=np.array([0, 1, 5]))).num_classes == 6


def test_dataset_converts_nothing() -> None:
    arrays = _arrays()
    with pytest.raises(DataError, match="train_inputs: must be a C-contiguous float32 array, got 'float64 array'"):
        Dataset("raw", _INPUTS.astype(float), *list(arrays.values())[1:], num_classes=3, input_range=(0.0, 1.0))  # type: ignore[misc]
    with pytest.raises(DataError, match="train_labels: must be an int64 array, got 'int32 array'"):
        Dataset("raw", **{**arrays, "train_labels": _LABELS.astype(np.int32)}, num_classes=3, input_range=(0.0, 1.0))
    with pytest.raises(DataError, match="test_labels: must be an int64 array, got 'list'"):
        Dataset("raw", **{**arrays, "test_labels": [0, 1, 2]}, num_classes=3, input_range=(0.0, 1.0))


def test_repr_shows_no_arrays() -> None:
    assert repr(from_arrays(**_arrays())) == "Dataset(name='arrays', num_classes=3, input_range=(0.0, 1.0))"
