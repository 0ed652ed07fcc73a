"""What `fit` and `predict` take: arrays, tensors, torch Datasets, DataLoaders, our data sets, folders of pictures."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskcl.data import Dataset
from maskcl.data.checks import Inputs, check_inputs, to_inputs
from maskcl.data.torch_dataset import read_rows
from maskcl.errors import DataError, check, message, raised
from maskcl.learner.labels import check_classes, check_unmasked, to_list
from maskcl.learner.pictures import pictures_in, read_folder, read_pictures

__all__ = ["Rows", "check_kind", "check_weights", "read_inputs", "read_labelled"]


class Rows(NamedTuple):
    """Inputs [n, ...], float32 or uint8 images, and the label of each."""

    inputs: Inputs
    labels: list[Hashable]


def read_labelled(inputs: Any, labels: Any, where: str, *, image_size: int | None, judges: bool = False) -> Rows:
    """Return what is to be learnt, or judged by, as arrays.

    Args:
        inputs: Array, tensor or nested lists [n, ...]; or, with `labels` left out, something that has both: a map-style
            torch Dataset or a DataLoader of pairs, a `maskcl.data.Dataset`, or a folder with a folder of pictures for
            each class.
        labels: One a row.
        where: The call, for messages.
        image_size: Pictures of a folder are brought to this height and width; None: all have one size.
        judges: Whether the test rows of a `maskcl.data.Dataset` are meant, and not the training rows.

    Raises:
        DataError: Anything that cannot be learnt from.
    """
    if labels is not None:
        found = Rows(_numbers(inputs, where), to_list(labels, f"{where}: labels"))
    elif isinstance(inputs, (str, os.PathLike)):
        pictures, named = read_folder(inputs, where, image_size)
        found = Rows(pictures, list(named))
    elif isinstance(inputs, Dataset):
        names: Sequence[Hashable] = inputs.class_names or range(inputs.num_classes)
        test = (inputs.test_inputs, inputs.test_labels)
        chosen, numbers = test if judges else (inputs.train_inputs, inputs.train_labels)
        found = Rows(chosen, [names[label] for label in numbers.tolist()])
    elif hasattr(inputs, "__len__") and hasattr(inputs, "__getitem__") and not _is_rows(inputs):
        found = Rows(*read_rows(inputs, where, as_label=lambda label, here: to_list([label], here)[0]))
    elif hasattr(inputs, "__iter__") and not _is_rows(inputs):
        found = _loader(inputs, where)
    else:
        must = f"must be given with an array: {where} requires y to be passed, but the target y is None"
        raise DataError(message(f"{where}: labels", must))  # the words that scikit-learn looks for
    _check_rows(found.inputs, where)
    if len(found.inputs) != len(found.labels):
        must = f"must be one for each of the {len(found.inputs)} rows"
        raise DataError(message(f"{where}: labels", must, len(found.labels)))
    check_classes(found.labels, f"{where}: labels")
    return found


def read_inputs(inputs: Any, where: str, *, image_size: int | None) -> Inputs:
    """Return rows without labels as an array; a folder's pictures are all below it, in the order of their paths."""
    if isinstance(inputs, (str, os.PathLike)):
        return read_pictures(*pictures_in(inputs, where), image_size)
    if isinstance(inputs, Dataset):
        return inputs.test_inputs
    found = _numbers(inputs, where)
    _check_rows(found, where)
    return found


def check_weights(weights: Any, count: int, where: str) -> NDArray[np.float64] | None:
    """Return weights of rows as an array [n]; None: all rows count alike.

    Raises:
        DataError: Not one a row, negative, NaN, or nothing but zeros.
    """
    if weights is None:
        return None
    try:
        found = np.asarray(weights, np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(message(where, f"must be {count} numbers, one a row", weights)) from error
    check(found.shape == (count,), where, f"must be one number for each of the {count} rows, shape [{count}]",
          list(found.shape), error=DataError)  # fmt: skip
    good = bool(np.isfinite(found).all() and (found >= 0).all() and found.any())
    check(good, where, "must be finite, 0 or more, and not all 0", error=DataError)
    return found


def _numbers(values: Any, where: str) -> Inputs:
    """Values as float32 rows, or 8-bit images as they are; columns of whole numbers are numbers as well."""
    name = f"{where}: inputs"
    if type(values) is np.ndarray and values.dtype == np.float32:  # as a stream has them, row by row
        return np.ascontiguousarray(values)
    check(not hasattr(values, "toarray"), name, "must not be sparse", type(values).__name__, error=DataError,
          hint="inputs.toarray()")  # fmt: skip
    pairs = type(values).__module__.startswith("torch.utils.data")
    hint = "rows alone are wanted here: torch.cat([inputs for inputs, labels in loader])" if pairs else None
    kind = "None" if values is None else type(values).__name__
    check(values is not None and not pairs, name, "must be an array, a tensor or nested lists of numbers, got " + kind,
          error=DataError, hint=hint)  # fmt: skip
    check_unmasked(values, name)
    if hasattr(values, "to_numpy"):  # a table
        values = values.to_numpy()
    if not hasattr(values, "detach"):
        try:
            values = np.asarray(values)
            _check_no_paths(values, name)
            if values.dtype.kind == "O" or (values.dtype.kind in "iub" and values.ndim == 2):
                values = values.astype(np.float64)
        except DataError:
            raise
        except (TypeError, ValueError, RuntimeError) as error:
            raise DataError(message(name, f"must be numbers ({raised(error)})")) from error
        check(values.dtype.kind != "c", name, "must be real numbers: Complex data not supported", error=DataError)
    return to_inputs(name, values)


def _check_no_paths(values: NDArray[Any], name: str) -> None:
    paths = values.dtype.kind in "US" or (values.size > 0 and isinstance(values.flat[0], (str, os.PathLike)))
    hint = "pictures come as folders: fit(FOLDER), predict(FOLDER), or predict(PATH) of one"
    check(not paths, name, "must be numbers, and are strings or paths", error=DataError, hint=hint)


def _check_rows(inputs: Inputs, where: str) -> None:
    """Refuse rows that are none, in the words that scikit-learn's tests look for."""
    name, shape = f"{where}: inputs", inputs.shape
    if len(shape) < 2 or inputs.size == 0:  # words only where they are needed: single rows come fast
        hint = "one row has shape [1, ...]: Reshape your data with inputs[None]"
        check(len(shape) > 1, name, "must have shape [rows, ...]", shape, error=DataError, hint=hint)
        check(shape[0] > 0, name, "must have rows, and has 0", error=DataError)
        few = f"must have values in a row, and has 0 feature(s) (shape={shape}) while a minimum of 1 is required"
        raise DataError(message(name, few))
    if inputs.dtype == np.uint8:  # nothing but their layout can be wrong
        check_inputs(name, inputs)
    if inputs.dtype == np.float32 and not _squares_finite(inputs):  # one fast pass; then which row it is, if any
        bad = ~np.isfinite(inputs.reshape(shape[0], -1)).all(1)
        check(not bad.any(), name, f"must be finite in float32, and row {int(bad.argmax())} has NaN or inf",
              error=DataError)  # fmt: skip


def _squares_finite(inputs: Inputs) -> bool:
    """Whether the sum of squares is finite: then all numbers are."""
    flat = inputs.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(flat.dot(flat))


def check_kind(inputs: Inputs, before: Inputs, where: str) -> None:
    """Refuse rows of another shape or type than those before."""
    now, was = inputs.shape[1:], before.shape[1:]
    if now == was and inputs.dtype == before.dtype:
        return
    if len(now) == len(was) == 1 and now != was:  # scikit-learn's own words
        text = f"X has {now[0]} features, but Learner is expecting {was[0]} features as input"
        raise DataError(f"{where}: {text}.")
    name = f"{where}: inputs"
    check(now == was, name, f"must have the shape of the first fit's rows, {list(was)}", list(now), error=DataError)
    must = f"must have the type of the first fit's rows, {before.dtype}"
    check(inputs.dtype == before.dtype, name, must, str(inputs.dtype), error=DataError)


def _is_rows(inputs: Any) -> bool:
    """Whether inputs are numbers, and no pairs of a row and a label."""
    if hasattr(inputs, "dtype") or hasattr(inputs, "iloc"):
        return True
    first = inputs[0] if isinstance(inputs, (list, tuple)) and inputs else None
    return isinstance(inputs, (list, tuple)) and not (isinstance(first, (tuple, list)) and _is_pair(first))


def _is_pair(item: Any) -> bool:
    return len(item) == 2 and (hasattr(item[0], "shape") or hasattr(item[0], "getbands"))


def _loader(loader: Any, where: str) -> Rows:
    """All batches of a DataLoader, read once."""
    inputs, labels = [], []
    for number, batch in enumerate(_read(loader, where)):
        here = f"{where}: batch {number}"
        pair = isinstance(batch, (tuple, list)) and len(batch) == 2
        check(pair, here, "must be a pair of inputs and labels", type(batch).__name__, error=DataError)
        inputs.append(to_inputs(f"{here} inputs", batch[0]))
        labels += to_list(batch[1], f"{here} labels")
        same = inputs[-1].shape[1:] == inputs[0].shape[1:] and inputs[-1].dtype == inputs[0].dtype
        must = f"must have rows like the first batch's, {list(inputs[0].shape[1:])} {inputs[0].dtype}"
        check(same, f"{here} inputs", must, f"{list(inputs[-1].shape[1:])} {inputs[-1].dtype}", error=DataError)
    check(bool(labels), where, "must have rows", 0, error=DataError)
    return Rows(np.concatenate(inputs), labels)  # type: ignore[arg-type]


def _read(loader: Any, where: str) -> Iterator[Any]:
    """The batches of a DataLoader; whatever its Dataset raises is told in a sentence."""
    read = 0
    try:
        for batch in loader:
            yield batch
            read += 1
    except Exception as error:
        must = f"must be readable, which raised {raised(error)}"
        raise DataError(message(f"{where}: batch {read}", must)) from error
