"""What a `ReplayMemory` takes: settings, rows, the state of another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskcl.errors import ConfigError, DataError, ShapeError, check, check_choice, message
from maskcl.machine import available_bytes
from maskcl.memory import POLICIES, MemoryState

__all__ = ["State", "check_draw", "check_rows", "check_settings", "read_state"]

_UNASKED = 2**24
"""Bytes below which nobody looks at what the machine has left: it takes longer than a draw."""
_SLOT_BYTES, _PICK_BYTES = 32, 32
"""Row number and class of a slot, before and after an `add`; position, index and chance of a drawn row."""
_LOAD = "ReplayMemory.load_state_dict"


class State(NamedTuple):
    """What `state_dict` holds, besides the settings that two memories share."""

    seed: int
    num_draws: int
    memory: MemoryState
    slots: dict[str, Tensor]


def check_settings(size: Any, policy: Any, num_classes: Any, seed: Any) -> None:
    """Refuse settings that cannot be used, before anything is allocated."""
    check(is_whole(size) and size >= 1, "ReplayMemory: size", "must be a whole number of slots, 1 or more", size)
    _check_room(_SLOT_BYTES * int(size), "ReplayMemory: size", "must be slots that fit into memory", size)
    herds = {name for name, known in POLICIES.items() if known.refills}
    if isinstance(policy, str) and policy in herds:
        must, hint = "must not need the network's features", "the engine's memory herds at task ends: maskcl.run"
        raise ConfigError(message("ReplayMemory: policy", must, policy, hint=hint))
    check_choice(policy, "ReplayMemory: policy", [name for name in POLICIES if name not in herds])
    good = num_classes is None or (is_whole(num_classes) and num_classes >= 1)
    check(good, "ReplayMemory: num_classes", "must be a whole number, 1 or more", num_classes)
    must = f"must be given with policy {policy!r}"
    check(num_classes is not None or policy == "reservoir", "ReplayMemory: num_classes", must, num_classes)
    if num_classes is not None:
        must = "must be classes that fit into memory"
        _check_room(_SLOT_BYTES * int(num_classes), "ReplayMemory: num_classes", must, num_classes)
        least = POLICIES[policy].least_size(num_classes)
        must = f"must be {least} or more with policy {policy!r}: a slot for each class"
        check(size >= least, "ReplayMemory: size", must, size)
    check(is_whole(seed), "ReplayMemory: seed", "must be a whole number", seed)


def check_draw(n: Any, num_rows: int, row_bytes: int) -> None:
    """Refuse a number of rows that cannot be drawn."""
    where = "ReplayMemory.draw: n"
    check(is_whole(n) and n >= 1, where, "must be a whole number, 1 or more", n)
    must, hint = "needs rows in the memory", "draw only if len(memory) > 0"
    check(num_rows > 0, "ReplayMemory.draw", must, num_rows, error=DataError, hint=hint)
    _check_room((_PICK_BYTES + row_bytes) * int(n), where, "must be rows that fit into memory", n)


def check_rows(rows: Mapping[str, Any], slots: Mapping[str, Tensor], size: int, num_classes: int | None) -> None:
    """Refuse rows that do not fit together, to the first call's, or into the machine."""
    for name, tensor in rows.items():
        where = f"ReplayMemory.add: {name}"
        check(isinstance(tensor, Tensor), where, "must be a tensor", type(tensor).__name__, error=ShapeError)
        check(tensor.ndim >= 1, where, "must have rows in its first dimension", (), error=ShapeError)
    inputs, labels = rows["inputs"], rows["labels"]
    good = labels.dtype == torch.int64 and labels.ndim == 1
    check(good, "ReplayMemory.add: labels", "must be int64 of shape [B]",
          (labels.dtype, tuple(labels.shape)), error=ShapeError)  # fmt: skip
    if slots:
        names, given = list(slots)[2:], list(rows)[2:]
        must = f"must be those of the first call, {names}"
        check(sorted(given) == sorted(names), "ReplayMemory.add: fields", must, given, error=ShapeError)
    for name, tensor in rows.items():
        where, must = f"ReplayMemory.add: {name}", f"must have as many rows as inputs, {len(inputs)}"
        check(len(tensor) == len(inputs), where, must, len(tensor), error=ShapeError)
        if name in slots:
            now, first = _row_kind(tensor), _row_kind(slots[name])
            must = f"must have rows like the first call's, {first}"
            check(now == first, where, must, now, error=ShapeError)
        elif tensor.device.type == "cpu":
            needed = size * tensor[:0].element_size() * int(np.prod(tensor.shape[1:], dtype=object))
            _check_room(needed, where, f"must be rows of which {size} fit into memory", _row_kind(tensor))
    if labels.numel() > 0:
        low, high = (int(label) for label in labels.aminmax())
        top = "" if num_classes is None else f" to {num_classes - 1}"
        good = low >= 0 and (num_classes is None or high < num_classes)
        check(good, "ReplayMemory.add: labels", f"must be classes from 0{top or ' on'}",
              low if low < 0 else high, error=DataError)  # fmt: skip


def read_state(given: Any, own: Mapping[str, Any]) -> State:
    """Check the state of another memory, and copy what is in it.

    Args:
        given: What was passed to `load_state_dict`.
        own: What `state_dict` returns of this memory, "slots" aside.
    """
    check(isinstance(given, Mapping), _LOAD, "must be given what state_dict returned", given)
    missing = sorted({*own, "slots"} - given.keys())
    check(not missing, _LOAD, f"must be given what state_dict returned; missing: {', '.join(missing)}")
    for name in ("size", "policy", "num_classes"):
        same = isinstance(given[name], (int, str, type(None), np.integer)) and given[name] == own[name]
        check(same, f"{_LOAD}: {name}", f"must be that of this memory, {own[name]!r}", given[name])
    for name, least in (("seed", None), ("num_seen", 0), ("num_draws", 0)):
        good = is_whole(given[name]) and (least is None or given[name] >= least)
        check(good, f"{_LOAD}: {name}", f"must be a whole number{'' if least is None else ', 0 or more'}", given[name])
    arrays = {}
    for name in ("rows", "row_labels", "class_counts"):
        _check_kind(given[name], own[name], name)
        arrays[name] = given[name].cpu().numpy().copy()
    rows, labels, counts = arrays["rows"], arrays["row_labels"], arrays["class_counts"]
    num_seen, num_classes = int(given["num_seen"]), len(counts)
    _check_range(rows, -1, num_seen - 1, "rows", "num_seen - 1")
    _check_range(labels, -1, num_classes - 1, "row_labels", "the last class")
    must = "must be -1 where there is no row, and nowhere else"
    check(bool(((rows < 0) == (labels < 0)).all()), f"{_LOAD}: row_labels", must, labels.tolist()[:10])
    must = f"must be 0 or more each, and {num_seen} together"
    check(bool((counts >= 0).all()) and int(counts.sum()) == num_seen, f"{_LOAD}: class_counts", must, counts.tolist())
    memory = MemoryState(rows, labels, num_seen, counts)
    slots = _read_slots(given["slots"], own["size"], empty=memory.filled == 0)
    return State(int(given["seed"]), int(given["num_draws"]), memory, slots)


def _read_slots(given: Any, size: int, *, empty: bool) -> dict[str, Tensor]:
    where = f"{_LOAD}: slots"
    good = isinstance(given, Mapping) and all(isinstance(name, str) for name in given)
    check(good, where, "must be tensors by name", type(given).__name__)
    if not given and empty:
        return {}
    missing = [name for name in ("inputs", "labels") if name not in given]
    check(not missing, where, f"must hold inputs and labels; missing: {', '.join(missing)}")
    for name, tensor in given.items():
        good = isinstance(tensor, Tensor) and tensor.ndim >= 1 and len(tensor) == size
        got = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        check(good, f"{where}: {name}", f"must be a tensor of {size} rows", got)
    labels = given["labels"]
    good = labels.dtype == torch.int64 and labels.ndim == 1
    check(good, f"{where}: labels", f"must be int64 of shape [{size}]", _row_kind(labels))
    names = ["inputs", "labels", *(name for name in given if name not in ("inputs", "labels"))]
    return {name: given[name].clone() for name in names}


def _check_kind(given: Any, own: Tensor, name: str) -> None:
    good = isinstance(given, Tensor) and given.dtype == own.dtype and given.shape == own.shape
    got = (given.dtype, tuple(given.shape)) if isinstance(given, Tensor) else type(given).__name__
    check(good, f"{_LOAD}: {name}", f"must be int64 of shape {tuple(own.shape)}", got)


def _check_range(values: Any, low: int, high: int, name: str, top: str) -> None:
    bad = values[(values < low) | (values > high)]
    check(len(bad) == 0, f"{_LOAD}: {name}", f"must be from {low} to {high}, {top}", *bad[:1].tolist())


def _check_room(num_bytes: int, where: str, must: str, got: object) -> None:
    if num_bytes > _UNASKED:
        left = available_bytes()
        check(num_bytes <= left, where, f"{must}, of which {left / 2**30:.1f} GiB are free", got)


def _row_kind(tensor: Tensor) -> str:
    return f"{list(tensor.shape[1:])} {str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"


def is_whole(value: object) -> bool:
    """Whether a value is a whole number, Python's or NumPy's."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
