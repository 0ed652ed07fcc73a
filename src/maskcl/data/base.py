"""A data set: arrays that were checked once, so that nothing below has to check them again."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from maskcl.errors import DataError, check, message

__all__ = ["Dataset", "from_arrays"]

Inputs = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test rows of a classification problem; `from_arrays` makes one of any arrays.

    Attributes:
        name: What messages call it.
        train_inputs: Finite, float32, C-contiguous, shape [N, ...]; images are [N, channels, height, width].
        train_labels: Classes from 0 to num_classes - 1, int64, shape [N].
        test_inputs: As train_inputs, shape [M, ...].
        test_labels: As train_labels, shape [M].
        num_classes: Outputs that a classifier needs, 2 or more.
        input_range: Lowest and highest value an input can take; no training input lies outside.

    Raises:
        DataError: If any of this does not hold.
    """

    name: str
    train_inputs: Inputs = field(repr=False)
    train_labels: Labels = field(repr=False)
    test_inputs: Inputs = field(repr=False)
    test_labels: Labels = field(repr=False)
    num_classes: int
    input_range: tuple[float, float]

    def __post_init__(self) -> None:
        bounds = _check_inputs(f"{self.name} train_inputs", self.train_inputs)
        _check_inputs(f"{self.name} test_inputs", self.test_inputs)
        check(
            self.test_inputs.shape[1:] == self.train_inputs.shape[1:],
            f"{self.name} test_inputs",
            f"must have rows of the shape of train_inputs, {self.train_inputs.shape[1:]}",
            self.test_inputs.shape[1:],
            error=DataError,
        )
        _check_labels(f"{self.name} train_labels", self.train_labels, len(self.train_inputs))
        _check_labels(f"{self.name} test_labels", self.test_labels, len(self.test_inputs))
        _check_classes(self.name, self.num_classes, self.train_labels, self.test_labels)
        _check_range(f"{self.name} input_range", self.input_range, bounds)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the rows."""
        return self.train_inputs.shape[1:]


def from_arrays(
    train_inputs: Any,
    train_labels: Any,
    test_inputs: Any,
    test_labels: Any,
    *,
    name: str = "arrays",
    num_classes: int | None = None,
    input_range: tuple[float, float] | None = None,
) -> Dataset:
    """Make a data set of one's own NumPy arrays, torch tensors or nested lists.

    Args:
        train_inputs: Floating, shape [N, ...]; float32 C-contiguous ones are used as they are, others are copied.
        train_labels: Integer classes from 0 on, shape [N].
        test_inputs: As train_inputs, shape [M, ...].
        test_labels: As train_labels, shape [M].
        name: What messages call it.
        num_classes: Outputs that a classifier needs; by default the largest label plus 1.
        input_range: Lowest and highest value an input can take; by default those of train_inputs.

    Returns:
        The checked data set.

    Raises:
        DataError: Integer images (scale them first), NaN, labels out of range, nothing in it, shapes that differ.

    >>> from_arrays([[0.0], [1.0]], [0, 1], [[0.5]], [1]).num_classes
    2
    """
    train_inputs = _floats(f"{name} train_inputs", train_inputs)
    test_inputs = _floats(f"{name} test_inputs", test_inputs)
    train_labels = _integers(f"{name} train_labels", train_labels)
    test_labels = _integers(f"{name} test_labels", test_labels)
    if input_range is None:
        input_range = _check_inputs(f"{name} train_inputs", train_inputs)
    if num_classes is None:
        num_classes = _count_classes(name, train_labels, test_labels)
    return Dataset(name, train_inputs, train_labels, test_inputs, test_labels, num_classes, input_range)


def _to_numpy(where: str, values: Any) -> npt.NDArray[Any]:
    if hasattr(values, "detach") and hasattr(values, "cpu"):  # a torch tensor, told without importing torch
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values  # NumPy knows no bfloat16
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        must = "must be an array, or nested lists of equal lengths"
        raise DataError(message(where, must, type(values).__name__)) from error


def _floats(where: str, values: Any) -> Inputs:
    array = _to_numpy(where, values)
    hint = None
    if array.dtype.kind in "iub":
        hint = f"scale images first, e.g. images / {255 if array.dtype == np.uint8 else 'their largest value'}"
    check(
        array.dtype.kind == "f", where, "must be floating-point numbers", str(array.dtype), error=DataError, hint=hint
    )
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which the check for finite inputs reports
        return np.ascontiguousarray(array, dtype=np.float32)


def _integers(where: str, values: Any) -> Labels:
    array = _to_numpy(where, values)
    hint = "convert labels, e.g. labels.astype('int64')" if array.dtype.kind == "f" else None
    check(array.dtype.kind in "iu", where, "must be integers", str(array.dtype), error=DataError, hint=hint)
    return np.ascontiguousarray(array, dtype=np.int64)


def _count_classes(name: str, train_labels: Labels, test_labels: Labels) -> int:
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


def _check_inputs(where: str, inputs: Inputs) -> tuple[float, float]:
    """Return the lowest and highest value of inputs that are as Dataset wants them."""
    usable = isinstance(inputs, np.ndarray) and inputs.dtype == np.float32 and inputs.flags.c_contiguous
    check(usable, where, "must be a C-contiguous float32 array", _kind(inputs), error=DataError)
    check(inputs.ndim >= 2, where, "must have shape [rows, ...]", inputs.shape, error=DataError)
    check(inputs.size > 0, where, "must not be empty", inputs.shape, error=DataError)
    low, high = float(inputs.min()), float(inputs.max())  # both are nan if one input is: no array of flags needed
    if not (np.isfinite(low) and np.isfinite(high)):
        flat = inputs.reshape(len(inputs), -1)
        row = int(np.argmin(np.isfinite(flat).all(axis=1)))
        value = float(flat[row][~np.isfinite(flat[row])][0])
        check(False, where, f"must be finite numbers in float32, row {row} is not", value, error=DataError)
    return low, high


def _check_labels(where: str, labels: Labels, num_rows: int) -> None:
    usable = isinstance(labels, np.ndarray) and labels.dtype == np.int64
    check(usable, where, "must be an int64 array", _kind(labels), error=DataError)
    check(labels.shape == (num_rows,), where, f"must have shape {(num_rows,)}", labels.shape, error=DataError)


def _check_classes(name: str, num_classes: int, train_labels: Labels, test_labels: Labels) -> None:
    try:
        enough = operator.index(num_classes) >= 2
    except TypeError:
        enough = False
    check(enough, f"{name} num_classes", "must be an integer, 2 or more", num_classes, error=DataError)
    for split, labels in (("train", train_labels), ("test", test_labels)):
        outside = labels[(labels < 0) | (labels >= num_classes)]
        where, must = f"{name} {split}_labels", f"must be classes from 0 to {num_classes - 1}"
        check(outside.size == 0, where, must, int(outside[0]) if outside.size else None, error=DataError)


def _check_range(where: str, input_range: tuple[float, float], bounds: tuple[float, float]) -> None:
    try:
        low, high = (float(value) for value in input_range)
    except (TypeError, ValueError):
        low = high = float("nan")
    holds = bool(np.isfinite([low, high]).all()) and low <= high
    check(holds, where, "must be two finite numbers, the lower first", input_range, error=DataError)
    must = f"must hold all training inputs, which go from {bounds[0]:.6g} to {bounds[1]:.6g}"
    check(low <= bounds[0] and bounds[1] <= high, where, must, input_range, error=DataError)


def _kind(value: object) -> str:
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    return f"{value.dtype} array" + ("" if value.flags.c_contiguous else " with gaps")
