"""Grids: one file, many settings."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from maskcl.errors import ConfigError, message

__all__ = ["Point", "expand", "set_key", "short_labels"]

Point = tuple[dict[str, Any], dict[str, Any]]
"""A setting's raw sections, and what the grid set in it, by dotted key."""


def expand(raw: Mapping[str, Any], where: str) -> list[Point]:
    """Return the settings of a file: every combination of the grid's axes.

    Args:
        raw: The file, with or without a "grid".
        where: The file's name, for messages.
    """
    base = {name: section for name, section in raw.items() if name != "grid"}
    grid = raw.get("grid", {})
    if not isinstance(grid, Mapping):
        raise ConfigError(message(f"{where}: [grid]", "must be a table", grid))
    axes: list[list[dict[str, Any]]] = []
    for key, values in _flatten_grid(grid).items():
        if key == "zip":
            axes.append(_zipped(values, where))
            continue
        if not isinstance(values, list) or not values:
            raise ConfigError(message(f"{where}: [grid] {key}", "must be a list of one or more values", values,
                                      hint="what does not vary belongs in its own section"))  # fmt: skip
        axes.append([{key: value} for value in values])
    points = []
    for combination in itertools.product(*axes):
        changes: dict[str, Any] = {}
        for part in combination:
            for key in part:
                if key in changes:
                    raise ConfigError(message(f"{where}: [grid] {key}", "must be set by one axis, and is set by two"))
            changes.update(part)
        point = copy.deepcopy(base)
        # whole sections first, so that dotted keys of another axis go into them
        for key in sorted(changes, key=lambda k: k.count(".")):
            set_key(point, key, copy.deepcopy(changes[key]), f"{where}: [grid]")
        points.append((point, changes))
    return points


def set_key(raw: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set a dotted key in place; "method" = "er" is short for method.name."""
    *path, last = key.split(".")
    for part in path:
        if isinstance(raw.get(part), str):  # mask = "none", then mask.leak = .1
            raw[part] = {}
        raw = raw.setdefault(part, {})
        if not isinstance(raw, dict):
            raise ConfigError(message(f"{where} {key}", f"cannot be set: {part!r} is not a section"))
    if last == "method" and not path and isinstance(value, str):
        value = {"name": value}
    raw[last] = value


def _flatten_grid(grid: Mapping[str, Any]) -> dict[str, Any]:
    """Axes by dotted key: [grid.memory] size = [..] is the same as [grid] "memory.size" = [..]."""
    found: dict[str, Any] = {}
    for key, value in grid.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{inner}": axis for inner, axis in _flatten_grid(value).items()}
        else:
            found[key] = value
    return found


def _zipped(rows: Any, where: str) -> list[dict[str, Any]]:
    """The rows of a zipped axis, each by dotted key down to one level of sections."""
    if not isinstance(rows, list) or not rows or not all(isinstance(row, Mapping) and row for row in rows):
        raise ConfigError(message(f"{where}: [[grid.zip]]", "must be tables, each setting one or more keys", rows))
    first = set(rows[0])
    for row in rows:
        if set(row) != first:
            odd = sorted(first ^ set(row))[0]
            raise ConfigError(
                message(f"{where}: [[grid.zip]]", f"must set the same keys in every table; {odd!r} is not in all")
            )
    return [dict(row) for row in rows]


def short_labels(names: Sequence[str], changes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Add to each name what else the grid set in it, as far as that tells settings apart.

    >>> short_labels(["er m=0", "er m=0"], [{"memory.size": 200, "optimizer.lr": 0.1}, {"memory.size": 500, "optimizer.lr": 0.1}])
    ['er m=0 memory.size=200', 'er m=0 memory.size=500']
    """
    labels = list(names)
    for key in dict.fromkeys(key for change in changes for key in change):
        for label in set(labels):
            same = [i for i, other in enumerate(labels) if other == label]
            values = [_text(changes[i].get(key)) for i in same]
            if len(set(values)) > 1:
                for i, value in zip(same, values, strict=True):
                    labels[i] = f"{label} {key}={value}"
    return labels


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ",".join(f"{k}={_text(v)}" for k, v in value.items())
    return str(value)
