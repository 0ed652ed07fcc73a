"""Labels of any hashable kind, and the numbers that the engine has for them: in the order in which they came."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcl.errors import DataError, check, message

__all__ = ["Labels", "to_list"]


class Labels:
    """The classes so far.

    Attributes:
        names: Each class's label, in the order of the network's outputs.
    """

    def __init__(self, names: Iterable[Hashable] = ()) -> None:
        self.names: list[Hashable] = list(names)
        self._number = {_key(name): number for number, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def with_new(self, labels: Sequence[Hashable]) -> Labels:
        """Return the classes with those among `labels` that are new, sorted if they can be."""
        if all(_key(label) in self._number for label in labels):
            return self
        new = list({_key(label): label for label in labels if _key(label) not in self._number}.values())
        with suppress(TypeError):  # labels of different kinds stay in the order in which they came
            new.sort(key=lambda label: label)  # type: ignore[arg-type, return-value]
        return Labels([*self.names, *new])

    def numbers(self, labels: Sequence[Hashable], where: str) -> NDArray[np.int64]:
        """Return the class of each label, int64 [n].

        Raises:
            DataError: One is not known.
        """
        try:
            return np.array([self._number[_key(label)] for label in labels], np.int64)
        except KeyError:
            odd = next(label for label in labels if _key(label) not in self._number)
            raise DataError(message(where, "must be classes that were fitted", odd)) from None

    def array(self) -> NDArray[Any]:
        """The labels as an array: of numbers or strings if they all are, of objects otherwise."""
        kinds = {type(name) for name in self.names}
        if len(kinds) == 1 and kinds <= {int, float, str, bool}:
            return np.array(self.names)
        found = np.empty(len(self.names), dtype=object)
        found[:] = self.names
        return found


def to_list(labels: Any, where: str) -> list[Hashable]:
    """Return labels as a list of hashable values: Python's own numbers and strings for those of arrays and tensors.

    Args:
        labels: Array, tensor, or any sequence with one label a row.
        where: Their name in messages.

    Raises:
        DataError: No sequence, more than one value a row, NaN, or a label that cannot be hashed.
    """
    if hasattr(labels, "detach") and hasattr(labels, "cpu"):
        labels = labels.detach().cpu().numpy()
    if hasattr(labels, "__array__"):  # a column of a table, too
        labels = np.asarray(labels)
    if isinstance(labels, np.ndarray):
        column = labels.ndim == 2 and labels.shape[1] == 1
        check(labels.ndim == 1 or column, where, "must have one label a row, shape [n]", labels.shape, error=DataError)
        if column:
            from sklearn.exceptions import DataConversionWarning

            text = "A column-vector y was passed when a 1d array was expected; it is taken as one."
            warnings.warn(text, DataConversionWarning, stacklevel=3)
        found = labels.ravel().tolist()
        if labels.dtype.kind in "biuSU":  # nothing in them can be wrong
            return found
    else:
        single = isinstance(labels, (str, bytes)) or not isinstance(labels, Iterable)
        check(not single, where, "must be a sequence of labels, one a row", labels, error=DataError)
        found = [label.item() if isinstance(label, np.generic) else label for label in labels]
    for label in found:
        good = isinstance(label, Hashable) and label == label  # nan equals nothing
        check(good, where, "must be hashable labels that equal themselves", label, error=DataError)
    measured = all(type(label) is float for label in found) and any(label % 1 for label in found)
    few = len(set(found)) <= max(2, len(found) // 2)
    must = "must be classes, most of which come more than once; Unknown label type: continuous"
    check(few or not measured, where, must, found[:3], error=DataError)
    return found


def _key(label: Hashable) -> Hashable:
    """What makes two labels one class: 1, 1.0 and True are equal in Python, and true and false are none of the two."""
    return (type(label) is bool, label)
