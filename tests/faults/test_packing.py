"""Trees come back from a checkpoint's file as they were: types, shapes, every bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from maskcl.engine.checkpoint_file import as_bytes, read, read_head
from maskcl.engine.packing import pack, unpack

DTYPES = [np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64]


@dataclass(frozen=True)
class Pair:
    first: Any
    second: Any


ARRAYS = st.sampled_from(DTYPES).flatmap(lambda kind: arrays(kind, array_shapes(min_dims=0, max_dims=3, min_side=0)))
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | ARRAYS | ARRAYS.map(np.transpose) | ARRAYS.map(torch.from_numpy)
    | ARRAYS.map(lambda a: torch.from_numpy(a).to(torch.bfloat16))
)  # fmt: skip
NAMES = st.text(max_size=3).filter(lambda name: not name.startswith("$")) | st.sampled_from(["a", "a.b", "b", ".", ""])
TREES = st.recursive(
    LEAVES,
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.lists(parts, max_size=3).map(tuple)
        | st.dictionaries(NAMES, parts, max_size=3)
        | st.builds(Pair, parts, parts)
    ),
    max_leaves=8,
)


def same(mine: Any, other: Any) -> bool:
    """Whether two trees are the same, to the type and the bit."""
    if type(mine) is not type(other):
        return False
    if isinstance(mine, torch.Tensor):
        flat = [t.contiguous().reshape(-1).view(torch.uint8) for t in (mine, other)] if mine.numel() else []
        return mine.dtype == other.dtype and mine.shape == other.shape and (not flat or torch.equal(*flat))
    if isinstance(mine, np.ndarray):
        return mine.dtype == other.dtype and mine.shape == other.shape and mine.tobytes() == other.tobytes()
    if isinstance(mine, Pair):
        return same(mine.first, other.first) and same(mine.second, other.second)
    if isinstance(mine, dict):
        return list(mine) == list(other) and all(same(mine[key], other[key]) for key in mine)
    if isinstance(mine, (list, tuple)):
        return len(mine) == len(other) and all(map(same, mine, other))
    return repr(mine) == repr(other)  # NaN is NaN, -0.0 is not 0.0


@settings(max_examples=100, deadline=None)
@given(TREES)
def test_what_is_packed_is_unpacked_as_it_was_from_a_file_too(tree: Any) -> None:
    assert same(unpack(*pack(tree), {"Pair": Pair}), tree)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(as_bytes(["a-0"], {"tree": tree}, {"version": 1}))
        saved = read(path, read_head(path), "name", 1, {"version": 1})
    assert saved.keys == ("a-0",)
    assert same(unpack(saved.content, saved.tensors, {"Pair": Pair})["tree"], tree)


def test_arrays_that_are_not_to_be_written_to_are_packed() -> None:
    array = np.arange(3)
    array.flags.writeable = False
    assert same(unpack(*pack([array]), {}), [array])


def test_numbers_of_numpy_become_pythons() -> None:
    tree = {"a": np.float32(0.1), "b": np.int64(3), "c": np.bool_(True)}
    assert same(unpack(*pack(tree), {}), {"a": float(np.float32(0.1)), "b": 3, "c": True})


@pytest.mark.parametrize("tree", [{1: 2}, {"$tensor": 1}, {"a": object()}, [{3}]])
def test_what_cannot_come_back_is_refused(tree: Any) -> None:
    with pytest.raises(TypeError):
        pack(tree)


def test_no_class_is_made_but_those_that_are_given() -> None:
    with pytest.raises(KeyError):
        unpack({"$Popen": {"args": "true"}}, {}, {"Pair": Pair})
