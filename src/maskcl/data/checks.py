"""What a data set's arrays must be: conversions on the way in, and checks that convert nothing."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from maskcl.errors import DataError, check, message, raised

__all__ = [
    "Inputs",
    "Labels",
    "check_class_names",
    "check_classes",
    "check_inputs",
    "check_labels",
    "check_range",
    "check_same_rows",
    "count_classes",
    "to_inputs",
    "to_labels",
]

Inputs = npt.NDArray[np.float32] | npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

_CHANNELS = (1, 3, 4)
"""Of pictures: grey, colours, colours and transparency."""
MOST_CLASSES = 1_000_000
"""More are ids that were taken for labels, and would fill the memory before anything can say so."""


def to_inputs(where: str, values: Any) -> Inputs:
    """Return values as float32 C-contiguous inputs, or 8-bit images as they are."""
    array = _to_numpy(where, values)
    if array.dtype == np.uint8 and array.ndim == 4:
        return np.ascontiguousarray(array)
    if array.dtype == np.float32:  # the usual case in a stream of single rows, where words cost more than the check
        return np.ascontiguousarray(array)
    hint = None
    if array.dtype == np.uint8:
        hint = "scale images first, e.g. images / 255, or give them the shape [rows, channels, height, width]"
    elif array.dtype.kind in "iub":
        hint = "scale images first, e.g. images / their largest value"
    must = "must be floating-point numbers, or images of type uint8"
    got = f"{array.dtype} of shape {array.shape}" if array.dtype == np.uint8 else str(array.dtype)
    check(array.dtype.kind == "f", where, must, got, error=DataError, hint=hint)
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which the check for finite inputs reports
        return np.ascontiguousarray(array, dtype=np.float32)


def to_labels(where: str, values: Any) -> Labels:
    """Return integers as int64 C-contiguous labels."""
    array = _to_numpy(where, values)
    hint = "convert labels, e.g. labels.astype('int64')" if array.dtype.kind == "f" else None
    check(array.dtype.kind in "iu", where, "must be integers", str(array.dtype), error=DataError, hint=hint)
    return np.ascontiguousarray(array, dtype=np.int64)


def count_classes(name: str, train_labels: Labels, test_labels: Labels) -> int:
    """Return the largest label plus 1, unless the rows cannot hold so many classes."""
    num_classes = 1 + max(int(labels.max(initial=0)) for labels in (train_labels, test_labels))
    check(
        num_classes <= max(2, train_labels.size),  # else ids were given as labels, and the head would be enormous
        f"{name} labels",
        f"must count the classes from 0 on, {train_labels.size} rows cannot hold as many",
        num_classes - 1,
        error=DataError,
        hint="renumber them with np.unique(labels, return_inverse=True), or give num_classes",
    )
    return num_classes


def check_inputs(where: str, inputs: Inputs) -> tuple[float, float]:
    """Return the lowest and highest value of inputs that are as Dataset wants them; of 8-bit images 0 and 1."""
    usable = isinstance(inputs, np.ndarray) and inputs.dtype in (np.float32, np.uint8) and inputs.flags.c_contiguous
    check(usable, where, "must be a C-contiguous float32 or uint8 array", _kind(inputs), error=DataError)
    if inputs.dtype == np.uint8:
        must = "must have shape [rows, channels, height, width] where they are uint8"
        check(inputs.ndim == 4, where, must, inputs.shape, error=DataError)
        # Most other libraries put channels last, and 32 rows of 32 x 3 would train without a word.
        last = inputs.shape[3] in _CHANNELS and inputs.shape[1] not in _CHANNELS
        hint = "images.transpose(0, 3, 1, 2) puts channels first"
        check(not last, where, must, inputs.shape, error=DataError, hint=hint)
    check(inputs.ndim >= 2, where, "must have shape [rows, ...]", inputs.shape, error=DataError)
    check(inputs.size > 0, where, "must not be empty", inputs.shape, error=DataError)
    if inputs.dtype == np.uint8:  # nothing in them can be wrong, so they are not read
        return 0.0, 1.0
    low, high = float(inputs.min()), float(inputs.max())  # both are nan if one input is: no array of flags needed
    if not (np.isfinite(low) and np.isfinite(high)):
        flat = inputs.reshape(len(inputs), -1)
        row = int(np.argmin(np.isfinite(flat).all(axis=1)))
        value = float(flat[row][~np.isfinite(flat[row])][0])
        check(False, where, f"must be finite numbers in float32, row {row} is not", value, error=DataError)
    return low, high


def check_same_rows(where: str, test_inputs: Inputs, train_inputs: Inputs) -> None:
    """Raise unless test rows have the type and shape of training rows."""
    must = f"must have the type of train_inputs, {train_inputs.dtype}"
    check(test_inputs.dtype == train_inputs.dtype, where, must, str(test_inputs.dtype), error=DataError,
          hint="give both as uint8 images, or scale both, e.g. images / 255")  # fmt: skip
    must = f"must have rows of the shape of train_inputs, {train_inputs.shape[1:]}"
    same = test_inputs.shape[1:] == train_inputs.shape[1:]
    check(same, where, must, test_inputs.shape[1:], error=DataError)


def check_labels(where: str, labels: Labels, num_rows: int) -> None:
    """Raise unless labels are int64, one a row."""
    usable = isinstance(labels, np.ndarray) and labels.dtype == np.int64
    check(usable, where, "must be an int64 array", _kind(labels), error=DataError)
    check(labels.shape == (num_rows,), where, f"must have shape {(num_rows,)}", labels.shape, error=DataError)


def check_classes(name: str, num_classes: int, train_labels: Labels, test_labels: Labels) -> None:
    """Raise unless there are two classes or more, and all labels are among them."""
    try:
        enough = operator.index(num_classes) >= 2
    except TypeError:
        enough = False
    check(enough, f"{name} num_classes", "must be an integer, 2 or more", num_classes, error=DataError)
    must = f"must be {MOST_CLASSES:,} or fewer"
    check(num_classes <= MOST_CLASSES, f"{name} num_classes", must, num_classes, error=DataError)
    for split, labels in (("train", train_labels), ("test", test_labels)):
        outside = labels[(labels < 0) | (labels >= num_classes)]
        where, must = f"{name} {split}_labels", f"must be classes from 0 to {num_classes - 1}"
        check(outside.size == 0, where, must, int(outside[0]) if outside.size else None, error=DataError)


def check_class_names(where: str, names: tuple[str, ...], num_classes: int) -> None:
    """Raise unless there are no names, or one a class."""
    good = isinstance(names, tuple) and all(isinstance(name, str) for name in names)
    check(good, where, "must be a tuple of strings", names, error=DataError)
    check(len(names) in (0, num_classes), where, f"must be {num_classes} names, or none", len(names), error=DataError)


def check_range(where: str, input_range: tuple[float, float], inputs: Inputs, bounds: tuple[float, float]) -> None:
    """Raise unless the range holds what `check_inputs` found of the inputs; of 8-bit images it is 0 to 1."""
    try:
        low, high = (float(value) for value in input_range)
    except (TypeError, ValueError):
        low = high = float("nan")
    holds = bool(np.isfinite([low, high]).all()) and low <= high
    check(holds, where, "must be two finite numbers, the lower first", input_range, error=DataError)
    must = f"must hold all training inputs, which go from {bounds[0]:.6g} to {bounds[1]:.6g}"
    check(low <= bounds[0] and bounds[1] <= high, where, must, input_range, error=DataError)
    exact = inputs.dtype != np.uint8 or (low, high) == (0.0, 1.0)
    check(exact, where, "must be (0.0, 1.0) where inputs are uint8, which mean value / 255", input_range,
          error=DataError)  # fmt: skip


def _to_numpy(where: str, values: Any) -> npt.NDArray[Any]:
    try:
        if hasattr(values, "detach") and hasattr(values, "cpu"):  # a torch tensor, told without importing torch
            values = values.detach().cpu()
            values = values.float() if values.is_floating_point() else values  # NumPy knows no bfloat16
            return values.numpy()  # type: ignore[no-any-return]
        return np.asarray(values)
    except RuntimeError as error:  # a tensor that NumPy cannot have: sparse, quantised, or without values
        raise DataError(message(where, f"must be a plain tensor ({raised(error)})")) from error
    except (TypeError, ValueError) as error:
        must = "must be an array, or nested lists of equal lengths"
        raise DataError(message(where, must, type(values).__name__)) from error


def _kind(value: object) -> str:
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    return f"{value.dtype} array" + ("" if value.flags.c_contiguous else " with gaps")
