"""Any map-style torch Dataset, torchvision's among them, as arrays.

Tensors and pictures are known by what they can do: importing this imports neither torch nor Pillow.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from maskcl.data.base import Dataset, from_arrays
from maskcl.errors import DataError, check, message, raised

__all__ = ["from_dataset", "read_rows"]


def from_dataset(train: Any, test: Any, *, name: str | None = None, num_classes: int | None = None) -> Dataset:
    """Make a data set of two map-style torch Datasets, each row read once.

    Args:
        train: len(train) rows; train[i] is (input, label). Inputs are tensors or arrays, floating of any shape or uint8
            [channels, height, width], or PIL pictures, as in folders (transparent ones are laid on white, 16 bits a
            channel refused), but that grey ones have one channel; all of one shape and type. Labels are integers from 0
            on.
        test: As train.
        name: What messages and results call it; by default the name of train's class.
        num_classes: Outputs that a classifier needs; by default the largest label plus 1.

    Returns:
        The checked data set. Random transforms of the Dataset are drawn once: augment with [training] augment instead.

    Raises:
        DataError: Something that is no map-style Dataset, an item that is no pair, inputs whose shapes differ.

    >>> rows = [(np.zeros((1, 2, 2), dtype=np.uint8), 0), (np.ones((1, 2, 2), dtype=np.uint8), 1)]
    >>> from_dataset(rows, rows).train_inputs.shape
    (2, 1, 2, 2)
    """
    name = name or type(train).__name__
    (train_inputs, train_labels), (test_inputs, test_labels) = (
        read_rows(data, f"{name} {split}") for split, data in (("train", train), ("test", test))
    )
    return from_arrays(train_inputs, train_labels, test_inputs, test_labels, name=name, num_classes=num_classes)


def read_rows(
    data: Any, where: str, *, as_label: Callable[[Any, str], Any] | None = None
) -> tuple[npt.NDArray[Any], list[Any]]:
    """Return all inputs and labels of a map-style Dataset, each row read once.

    Args:
        data: len(data) pairs of input and label, as for `from_dataset`.
        where: Its name in messages.
        as_label: Makes a label of what the Dataset has, and is told where; None: integers alone are labels.

    Raises:
        DataError: As `from_dataset`.
    """
    as_label = as_label or _label
    must = "must be a map-style Dataset, with a length and items by number"
    known = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    check(known, where, must, type(data).__name__, error=DataError)
    try:
        count = len(data)
    except Exception as error:  # whatever a foreign Dataset raises
        raise DataError(message(where, f"must have a length, which raised {raised(error)}")) from error
    check(count > 0, where, "must have rows", count, error=DataError)
    inputs: npt.NDArray[Any] | None = None
    labels = []
    for row in range(count):
        here = f"{where} row {row}"
        try:
            item = data[row]
        except Exception as error:  # whatever a foreign Dataset raises
            must = f"must be readable, which raised {raised(error)}"
            raise DataError(message(here, must)) from error
        pair = isinstance(item, (tuple, list)) and len(item) == 2
        check(pair, here, "must be a pair of input and label", type(item).__name__, error=DataError)
        value = _input(item[0], here, None if inputs is None else inputs.shape[1])
        if inputs is None:
            inputs = np.empty((count, *value.shape), value.dtype)  # all rows, once
        same = (value.shape, value.dtype) == (inputs.shape[1:], inputs.dtype)
        must = f"must have shape and type of row 0, {inputs.shape[1:]} {inputs.dtype}"
        check(same, here, must, f"{value.shape} {value.dtype}", error=DataError)
        inputs[row] = value
        labels.append(as_label(item[1], here))
    assert inputs is not None, "there are rows"
    return inputs, labels


def _input(value: Any, where: str, channels: int | None) -> npt.NDArray[Any]:
    if hasattr(value, "convert") and hasattr(value, "getbands"):  # a PIL picture, told without importing PIL
        from maskcl.data.pictures import in_colours

        grey, shown = value.mode in ("1", "L") and channels in (None, 1), in_colours(value, where)
        pixels = np.asarray(shown.convert("L") if grey else shown)
        return pixels[None] if grey else pixels.transpose(2, 0, 1)
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).numpy()
    must = "must be a tensor, an array or a picture"
    check(isinstance(value, np.ndarray), where, must, type(value).__name__, error=DataError)
    return value  # type: ignore[no-any-return]


def _label(value: Any, where: str) -> int:
    try:
        return operator.index(value)  # Python's integers, NumPy's, and tensors of one
    except TypeError:
        raise DataError(message(where, "must have an integer as its label", type(value).__name__)) from None
