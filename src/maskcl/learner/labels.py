"""Labels of any hashable kind, and the numbers that the engine has for them: in the order in which they came."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcl.errors import DataError, check, message, raised

__all__ = ["Labels", "check_classes", "class_list", "to_list"]


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

    @property
    def are_distinct(self) -> bool:
        """Whether each class is there once."""
        return len(self._number) == len(self.names)

    def with_new(self, labels: Sequence[Hashable]) -> Labels:
        """Return the classes with those among `labels` that are new, sorted if they can be."""
        if all(_key(label) in self._number for label in labels):
            return self
        new = list({_key(label): label for label in labels if _key(label) not in self._number}.values())
        with suppress(TypeError):  # labels of different kinds stay in the order in which they came
            new.sort(key=lambda label: label)  # type: ignore[arg-type, return-value]
        return Labels([*self.names, *new])

    def first(self, count: int) -> Labels:
        """Return the first so many classes: those that have an output, where later ones have none yet."""
        return self if count == len(self.names) else Labels(self.names[:count])

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


def check_unmasked(values: Any, where: str) -> None:
    """Raise DataError for NumPy's array with values that it hides: they would be taken for numbers."""
    hidden = isinstance(values, np.ma.MaskedArray) and bool(np.ma.getmaskarray(values).any())
    check(not hidden, where, "must have all its values, and some are masked", error=DataError)


def to_list(labels: Any, where: str) -> list[Hashable]:
    """Return labels as a list of hashable values: Python's own numbers and strings for those of arrays and tensors.

    Args:
        labels: Array, tensor, or any sequence with one label a row, which may be a tensor or an array of one value.
        where: Their name in messages.

    Raises:
        DataError: No sequence, more than one value a row, NaN, or a label that cannot be hashed.
    """
    if _is_tensor(labels):
        try:
            labels = labels.detach().cpu().numpy()
        except (RuntimeError, TypeError) as error:  # it is sparse, or has no values
            raise DataError(message(where, f"must be labels that can be read ({raised(error)})")) from error
    check_unmasked(labels, where)
    if hasattr(labels, "__array__"):  # a column of a table, too
        labels = np.asarray(labels)
    if isinstance(labels, np.ndarray):
        column = labels.ndim == 2 and labels.shape[1] == 1
        check(labels.ndim == 1 or column, where, "must have one label a row, shape [n]", labels.shape, error=DataError)
        if column:
            from sklearn.exceptions import DataConversionWarning

            text = "A column-vector y was passed when a 1d array was expected; it is taken as one."
            warnings.warn(text, DataConversionWarning, stacklevel=3)
        kind, labels = labels.dtype.kind, labels.ravel().tolist()
        if kind in "biuSU":  # nothing in them can be wrong
            return labels  # type: ignore[no-any-return]
    check(_is_sequence(labels), where, "must be a sequence of labels, one a row", labels, error=DataError)
    found = [_plain(label, where) for label in labels]
    for label in found:
        check(_is_label(label), where, "must be hashable labels that equal themselves", label, error=DataError)
    return found


def class_list(classes: Any, where: str) -> list[Hashable]:
    """Return classes that are named in the order of the outputs, each once; None: none.

    Raises:
        DataError: No sequence, or something in it that is no label.
        ConfigError: One is named twice.
    """
    if classes is None:
        return []
    must = "must be a sequence of labels in the order of the network's outputs"
    check(_is_sequence(classes), where, must, classes, error=DataError)
    found = to_list(classes, where)
    keys = [_key(label) for label in found]
    twice = next((label for label, key in zip(found, keys, strict=True) if keys.count(key) > 1), None)
    check(len(set(keys)) == len(keys), where, "must name each class once", twice)
    return found


def check_classes(labels: Sequence[Hashable], where: str) -> None:
    """Refuse measured values, of which nearly each is its own class: DataError."""
    if all(type(label) is float for label in labels) and any(label % 1 for label in labels):  # type: ignore[operator]
        must = "must be classes, most of which come more than once; Unknown label type: continuous"
        check(len(set(labels)) <= max(2, len(labels) // 2), where, must, list(labels[:3]), error=DataError)


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "cpu")


def _is_sequence(labels: Any) -> bool:
    """Whether labels are many, in an order: a set has none, and of a table nobody knows which part is meant."""
    return isinstance(labels, Iterable) and not isinstance(labels, (str, bytes, set, frozenset, Mapping))


def _plain(label: Any, where: str) -> Any:
    """Python's own value in place of one of NumPy or PyTorch: tensors equal nothing but themselves in a dictionary."""
    if isinstance(label, tuple):
        return tuple(_plain(part, where) for part in label) if type(label) is tuple else label
    if isinstance(label, np.ndarray) or _is_tensor(label):
        one = math.prod(label.shape) == 1
        check(one, where, "must be one label a row, and a row has shape", list(label.shape), error=DataError)
    elif not isinstance(label, np.generic):
        return label
    try:
        return label.item()
    except RuntimeError as error:  # a tensor without values
        raise DataError(message(where, f"must be labels that can be read ({raised(error)})")) from error


def _is_label(label: Any) -> bool:
    """Whether a label can be told apart from others: nan and pandas' NA equal nothing, a list has no hash."""
    try:
        hash(label)
        return bool(label == label) and (not isinstance(label, tuple) or all(map(_is_label, label)))
    except Exception:  # whatever a foreign object raises when it is compared
        return False


def _key(label: Hashable) -> Hashable:
    """What makes two labels one class: 1, 1.0 and True are equal in Python, and true and false are none of the two."""
    return (type(label) is bool, label)
