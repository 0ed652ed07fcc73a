"""A tree of anything as JSON and tensors, and back: what a checkpoint's file can hold, exactly.

    {"a": array([1., nan]), "b": (0.1,)}   ->   {"a": {"$array": "a"}, "b": {"$tuple": [0.1]}},  {"a": tensor}

Dicts with text for keys, lists, tuples, numbers, strings, None, tensors, arrays, dataclasses of the caller's choice.
Floats are exact in JSON (Python writes the shortest text that reads back as the same number); NaN stays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["pack", "unpack"]


def pack(tree: Any) -> tuple[Any, dict[str, Tensor]]:
    """Return a tree as plain values, and its tensors by dotted name, on the CPU.

    Raises:
        TypeError: Something is in it that is neither.
    """
    tensors = dict[str, Tensor]()
    return _packed(tree, "", tensors), tensors


def _packed(tree: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """A tree as plain values; its tensors go into `tensors`."""
    if isinstance(tree, Tensor):
        return {"$tensor": _kept(tree.detach().cpu().contiguous(), name, tensors)}
    if isinstance(tree, np.ndarray):
        return {"$array": _kept(torch.from_numpy(tree.copy(order="C")), name, tensors)}
    if isinstance(tree, np.generic):
        return _packed(tree.item(), name, tensors)
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        fields = {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)}
        return {f"${type(tree).__name__}": _packed(fields, name, tensors)}
    if isinstance(tree, Mapping):
        if not all(isinstance(key, str) and not key.startswith("$") for key in tree):
            raise TypeError(f"{name} has a key that is no text")
        return {key: _packed(part, _joined(name, key), tensors) for key, part in tree.items()}
    if isinstance(tree, (list, tuple)):
        listed = [_packed(part, _joined(name, i), tensors) for i, part in enumerate(tree)]
        return listed if isinstance(tree, list) else {"$tuple": listed}
    raise TypeError(f"{name} is a {type(tree).__name__}")


def unpack(plain: Any, tensors: Mapping[str, Tensor], classes: Mapping[str, type]) -> Any:
    """Return the tree of plain values and tensors.

    Args:
        plain: What `pack` gave.
        tensors: Its tensors.
        classes: Dataclasses by name; no other is made.

    Raises:
        KeyError, TypeError, ValueError: It is not what `pack` gives.
    """
    if isinstance(plain, list):
        return [unpack(part, tensors, classes) for part in plain]
    if not isinstance(plain, dict):
        return plain
    kind = next(iter(plain), "")
    if not kind.startswith("$"):
        return {key: unpack(part, tensors, classes) for key, part in plain.items()}
    (content,) = plain.values()
    if kind == "$tensor":
        return tensors[content]
    if kind == "$array":
        return tensors[content].numpy()
    if kind == "$tuple":
        return tuple(unpack(content, tensors, classes))
    return classes[kind[1:]](**unpack(content, tensors, classes))


def _joined(name: str, key: object) -> str:
    return f"{name}.{key}".removeprefix(".")


def _kept(tensor: Tensor, name: str, tensors: dict[str, Tensor]) -> str:
    """Put a tensor under a name that is its own: {"a.b": x, "a": {"b": y}} has two of one name."""
    while name in tensors:
        name += "'"
    tensors[name] = tensor
    return name
