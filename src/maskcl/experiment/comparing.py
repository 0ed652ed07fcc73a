"""Two documents of one run, held against each other number by number.

| word              | what holds                                                                  |
| ----------------- | --------------------------------------------------------------------------- |
| identical         | every number is equal to the last bit                                       |
| equal to rounding | |file - here| <= ROUNDING * max(1, |file|) for each, and pictures by a shade |
| differs           | anything else                                                               |
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ROUNDING", "Difference", "compare", "explanations"]

ROUNDING = 1e-6
"""What rounding may come to, of fractions. One prediction more moves an accuracy by one in the number of test rows."""
SHADE = 1.01 / 255
"""What it may come to in a picture of 8 bits."""
COMPARED = (
    "status", "diverged", "tasks", "metrics", "class_incremental", "task_incremental", "confidence", "newest_share",
    "level", "weight_shift", "untrained", "anytime", "confusion", "samples", "num_parameters", "memory_bytes",
)  # fmt: skip
"""Keys of a result that a repetition has to give again; the others say what was asked for, where, when and how fast."""
_PICTURES = (".pictures.x", ".pictures.made")


@dataclass(frozen=True)
class Difference:
    """One number or matrix that is not the same.

    Attributes:
        name: What, by dotted name, e.g. "metrics.final_accuracy".
        place: Where in it the difference is largest, by indices; () for a number.
        file: The value there in the first document; a text where there are no numbers to compare.
        here: The same in the second.
        largest: The absolute difference there; infinite where one has a number and the other has none.
        count: Entries that differ.
        size: Entries.
        rounds: Whether rounding may come to as much.
    """

    name: str
    place: tuple[int, ...]
    file: Any
    here: Any
    largest: float
    count: int
    size: int
    rounds: bool

    @property
    def where(self) -> str:
        """Name and place, as `class_incremental[4, 0]`."""
        return self.name + (f"[{', '.join(map(str, self.place))}]" if self.place else "")


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[list[Difference], int]:
    """Compare what came out of two runs; what the first document does not tell, being older, is not compared.

    Args:
        first: A document, as `read_result` returns it.
        second: Another, read or just made.

    Returns:
        What differs, in the order of the document, and how many numbers were compared.
    """
    there, here = (dict(_all_leaves(document)) for document in (first, second))
    found = [_difference(name, value, _found(name, here)) for name, value in there.items()]
    return [one for one in found if one.count], sum(one.size for one in found)


def explanations(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return what may explain a difference: versions, machine, executor, as (what, in the first, in the second)."""
    rows = []
    for section, names in (("environment", None), ("executor", ("name", "threads", "group_size", "device", "devices"))):
        mine, other = (document.get(section) or {} for document in (first, second))
        for name in names or dict.fromkeys((*mine, *other)):
            there, here = (str(table[name]) if name in table else "not told" for table in (mine, other))
            if there != here:
                rows.append((f"executor {name}" if names else name, there, here))
    return rows


def _found(name: str, leaves: Mapping[str, Any]) -> Any:
    """The leaf of a name; where there is none, what to call what is there."""
    if name in leaves:
        return leaves[name]
    return "a table" if any(other.startswith((f"{name}.", f"{name}[")) for other in leaves) else "nothing"


def _all_leaves(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in COMPARED:
        value = document.get(name)
        # Too large a file is written without what was evaluated within tasks; the metrics of it are there.
        if name in document and not (name == "anytime" and value is None):
            yield from _leaves(name, value)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Numbers, matrices and words, by dotted name."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(f"{name}.{key}", part)
    elif isinstance(value, (list, tuple)) and any(isinstance(part, (Mapping, list, tuple)) for part in value):
        for i, part in enumerate(value):
            yield from _leaves(f"{name}[{i}]", part)
    elif isinstance(value, str) and name.endswith(_PICTURES):
        yield name, np.frombuffer(base64.b64decode(value), np.uint8) / 255
    else:
        yield name, value


def _numbers(value: Any) -> np.ndarray | None:
    """A value as numbers, None within it being NaN; None where it is no number."""
    if value is None or isinstance(value, (str, bool)):
        return None
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _difference(name: str, file: Any, here: Any) -> Difference:
    """How far two values are apart; `count` 0 where they are the same."""
    mine, other = _numbers(file), _numbers(here)
    if mine is None and other is None:
        return Difference(name, (), file, here, np.inf, int(file != here), 1, rounds=False)
    if mine is None or other is None or mine.shape != other.shape:
        return Difference(name, (), _told(file, mine), _told(here, other), np.inf, 1, 1, rounds=False)
    if not mine.size:
        return Difference(name, (), file, here, 0.0, 0, 0, rounds=True)
    with np.errstate(invalid="ignore"):  # of two equal infinities
        far = np.abs(mine - other)
    same = (mine == other) | (np.isnan(mine) & np.isnan(other))
    far = np.where(same, 0.0, np.where(np.isnan(far), np.inf, far))
    allowed = np.full(mine.shape, SHADE) if name.endswith(_PICTURES) else ROUNDING * np.maximum(1, np.abs(mine))
    place = np.unravel_index(int(far.argmax()), far.shape)
    return Difference(
        name, tuple(int(i) for i in place), float(mine[place]), float(other[place]), float(far[place]),
        int((~same).sum()), mine.size, rounds=bool((far <= allowed).all()),
    )  # fmt: skip


def _told(value: Any, array: np.ndarray | None) -> str:
    """What to call a value that has another shape, or no numbers."""
    return str(value) if array is None or not array.shape else f"{' x '.join(map(str, array.shape))} numbers"
