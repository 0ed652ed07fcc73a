"""A data set: arrays that were checked once, so that nothing below has to check them again.

Images may stay 8 bits a value, which mean value / 255: a quarter of the memory, and scaled where they are used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from maskcl.data.checks import (
    Inputs,
    Labels,
    check_class_names,
    check_classes,
    check_inputs,
    check_labels,
    check_range,
    check_same_rows,
    count_classes,
    to_inputs,
    to_labels,
)

__all__ = ["Dataset", "as_float", "content_digest", "from_arrays"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test rows of a classification problem; `from_arrays` makes one of any arrays.

    Attributes:
        name: What messages call it.
        train_inputs: Finite, float32, C-contiguous, shape [N, ...]; images are [N, channels, height, width]. Or uint8
            images of that shape, which mean value / 255: `as_float` scales them.
        train_labels: Classes from 0 to num_classes - 1, int64, shape [N].
        test_inputs: As train_inputs, of the same type, shape [M, ...].
        test_labels: As train_labels, shape [M].
        num_classes: Outputs that a classifier needs, 2 or more.
        input_range: Lowest and highest value an input can take; no training input lies outside. (0.0, 1.0) for uint8.
        class_names: Name of each class; empty where they have none.
        known_fingerprint: `fingerprint`, where it was computed before.

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
    class_names: tuple[str, ...] = field(default=(), repr=False)
    known_fingerprint: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        bounds = check_inputs(f"{self.name} train_inputs", self.train_inputs)
        check_inputs(f"{self.name} test_inputs", self.test_inputs)
        check_same_rows(f"{self.name} test_inputs", self.test_inputs, self.train_inputs)
        check_labels(f"{self.name} train_labels", self.train_labels, len(self.train_inputs))
        check_labels(f"{self.name} test_labels", self.test_labels, len(self.test_inputs))
        check_classes(self.name, self.num_classes, self.train_labels, self.test_labels)
        check_range(f"{self.name} input_range", self.input_range, self.train_inputs, bounds)
        check_class_names(f"{self.name} class_names", self.class_names, self.num_classes)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the rows."""
        return self.train_inputs.shape[1:]

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all rows and labels, 16 digits: results on other data are not taken for results on these."""
        if self.known_fingerprint is not None:
            return self.known_fingerprint
        return content_digest([self.train_inputs, self.train_labels, self.test_inputs, self.test_labels])


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
        train_inputs: Floating, shape [N, ...], or uint8 images [N, channels, height, width], which mean value / 255;
            C-contiguous ones that are float32 or uint8 are used as they are, others are copied.
        train_labels: Integer classes from 0 on, shape [N].
        test_inputs: As train_inputs, uint8 if they are, shape [M, ...].
        test_labels: As train_labels, shape [M].
        name: What messages call it.
        num_classes: Outputs that a classifier needs; by default the largest label plus 1.
        input_range: Lowest and highest value an input can take; by default those of train_inputs, 0 and 1 for uint8.

    Returns:
        The checked data set.

    Raises:
        DataError: Integers other than uint8 images (scale them first), NaN, labels out of range, nothing in it, types
            or shapes that differ.

    >>> from_arrays([[0.0], [1.0]], [0, 1], [[0.5]], [1]).num_classes
    2
    """
    train_inputs = to_inputs(f"{name} train_inputs", train_inputs)
    test_inputs = to_inputs(f"{name} test_inputs", test_inputs)
    train_labels = to_labels(f"{name} train_labels", train_labels)
    test_labels = to_labels(f"{name} test_labels", test_labels)
    if input_range is None:
        input_range = check_inputs(f"{name} train_inputs", train_inputs)
    if num_classes is None:
        num_classes = count_classes(name, train_labels, test_labels)
    return Dataset(name, train_inputs, train_labels, test_inputs, test_labels, num_classes, input_range)


def content_digest(arrays: Iterable[Any]) -> str:
    """Return 16 digits that change with any value and any shape of some arrays."""
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def as_float(inputs: Inputs) -> npt.NDArray[np.float32]:
    """Return inputs as what they mean: value / 255 for uint8, float32 ones as they are.

    >>> as_float(np.array([0, 51, 255], dtype=np.uint8)).tolist()
    [0.0, 0.20000000298023224, 1.0]
    """
    if inputs.dtype == np.uint8:
        return np.divide(inputs, np.float32(255), dtype=np.float32)  # one pass, no copy in between
    return cast("npt.NDArray[np.float32]", inputs)
