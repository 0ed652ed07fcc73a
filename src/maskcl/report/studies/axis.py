"""Where the values of a setting stand on an axis: evenly, by their logarithm, or by it on both sides of 0.

| values                                              | kind   | at the edge, beyond a break |
| --------------------------------------------------- | ------ | --------------------------- |
| above 0, the largest 8 times the smallest or more   | log    | 0, -inf, inf                |
| of both signs, sizes 200 times apart or more        | symlog | -inf, inf                   |
| all others                                          | linear | -inf, inf                   |
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from maskcl.report.names import number

__all__ = ["Axis", "axis_of"]

WIDE, WIDER = 8.0, 200.0
GAP = 0.14
"""From the outermost value to one beyond a break, as a share of what lies between."""
CLOSE, LETTER = 0.055, 0.019
"""Ticks that are nearer to each other than a share of the axis, or than their letters are wide, would overlap: of two
one has no label. A letter is that wide where three panels stand beside each other."""


class Axis(NamedTuple):
    """Places of values.

    Attributes:
        kind: "linear", "log" or "symlog".
        values: Distinct, ascending; infinities among them.
        places: Where each stands.
        breaks: Between which places the axis is broken.
    """

    kind: str
    values: tuple[float, ...]
    places: tuple[float, ...]
    breaks: tuple[tuple[float, float], ...]

    def at(self, value: float) -> float:
        """The place of one of its values."""
        return self.places[self.values.index(value)]

    def is_edge(self, value: float) -> bool:
        """Whether a value stands beyond a break."""
        return math.isinf(value) or (value == 0 and self.kind == "log")

    @property
    def limits(self) -> tuple[float, float]:
        """Where the axis begins and ends."""
        margin = 0.04 * max(self.places[-1] - self.places[0], 1e-9)
        return self.places[0] - margin, self.places[-1] + margin

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places with their labels, none of which overlap: the ends first, then 0, then what has room."""
        span = self.places[-1] - self.places[0] or 1.0
        pairs = list(zip(self.places, map(number, self.values), strict=True))
        ends = [i for i in (0, len(pairs) - 1) if i >= 0]
        first = [i for i, value in enumerate(self.values) if self.is_edge(value)]
        kept: list[int] = []
        zero = [i for i, value in enumerate(self.values) if value == 0]
        for i in [*first, *ends, *zero, *range(len(pairs))]:
            if all(i != j and abs(pairs[i][0] - pairs[j][0]) >= _apart(pairs[i][1], pairs[j][1]) * span for j in kept):
                kept.append(i)
        return [pairs[i] for i in sorted(kept)]


def axis_of(values: Iterable[float]) -> Axis:
    """Choose an axis for values, one or more; numbers, infinities among them, no NaN.

    >>> axis = axis_of([0.0, 0.001, 0.1, 1.0])
    >>> axis.kind, [label for _, label in axis.ticks]
    ('log', ['0', '.001', '.1', '1'])
    """
    known = sorted(set(values))
    inner = [v for v in known if not math.isinf(v)]
    sizes = [abs(v) for v in inner if v]
    kind, smallest = "linear", min(sizes, default=1.0)
    if sizes and inner[0] >= 0 and max(sizes) >= WIDE * smallest:
        kind = "log"
    elif sizes and inner[0] < 0 < inner[-1] and max(sizes) >= WIDER * smallest:
        kind = "symlog"
    inner = [v for v in inner if v or kind != "log"]
    placed = {v: _place(v, kind, smallest) for v in inner}
    low, high = (min(placed.values()), max(placed.values())) if placed else (0.0, 0.0)
    step = GAP * (high - low) or 1.0
    below = [v for v in known if v not in placed and v <= 0]
    above = [v for v in known if v not in placed and v > 0]
    edges = {v: low - step * (len(below) - i) for i, v in enumerate(below)}
    edges |= {v: high + step * (i + 1) for i, v in enumerate(above)}
    breaks = ((low - step, low),) * bool(below and inner) + ((high, high + step),) * bool(above and inner)
    return Axis(kind, tuple(known), tuple((placed | edges)[v] for v in known), breaks)


def _apart(first: str, second: str) -> float:
    letters = [len(label) + 0.5 * label.startswith("−") for label in (first, second)]  # a minus is wide
    return max(CLOSE, LETTER * (sum(letters) / 2 + 0.5))


def _place(value: float, kind: str, smallest: float) -> float:
    if kind == "linear":
        return value
    if kind == "log":
        return math.log10(value)
    near = abs(value) / smallest
    return math.copysign(1 + math.log10(near) if near >= 1 else near, value)
