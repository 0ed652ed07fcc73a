"""Curves in one line each: where the best is, how wide, where no mask is better, what another panel's best would cost.

| of a number                                  | of memory slots        |
| -------------------------------------------- | ---------------------- |
| best value, its accuracy, what is as good    | accuracy at every size |
| accuracy without a mask and with leak = auto |                        |
| values that are better or worse than no mask |                        |
| loss at the best of each other panel         |                        |
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from maskcl.report.names import number
from maskcl.report.studies.curves import MEMORY, Curves, Line, reached
from maskcl.results import DASH, Row, Setting, Table, difference, percent

__all__ = ["as_good", "best_of", "in_short", "ranges"]


def best_of(line: Line) -> tuple[float, Setting] | None:
    """The value of the highest mean final accuracy; None if nothing finished."""
    known = reached(line.points, "final_accuracy")
    return max(known, key=lambda point: float(point[1].interval("final_accuracy").mean), default=None)


def as_good(line: Line) -> tuple[float, float] | None:
    """The first and last value around the best whose paired difference to it includes 0; None without intervals."""
    best = best_of(line)
    if best is None or best[1].num_finished < 2:
        return None
    place = [value for value, _ in line.points].index(best[0])
    ends = [place, place]
    for side, step in ((0, -1), (1, 1)):
        while 0 <= ends[side] + step < len(line.points) and _level_with(line.points[ends[side] + step][1], best[1]):
            ends[side] += step
    return line.points[ends[0]][0], line.points[ends[1]][0]


def in_short(found: Curves) -> Table:
    """Return the table with one row a line."""
    return _by_size(found) if found.key == MEMORY else _by_best(found)


def ranges(flags: Sequence[bool], values: Sequence[float]) -> str:
    """Word the values that have a flag, neighbours together.

    >>> ranges([True, True, True, False, True], [-math.inf, -2, 0, 2, 20])
    '−∞ to 0, 20'
    >>> ranges([True, True], [1, 2]), ranges([False, False], [1, 2])
    ('all', 'none')
    """
    if all(flags) or not any(flags):
        return "all" if all(flags) else "none"
    told, start = [], 0
    for i, flag in enumerate(flags):
        start = start if flag and i and flags[i - 1] else i
        if flag and not (i + 1 < len(flags) and flags[i + 1]):
            told.append(_span(values[start], values[i]))
    return ", ".join(told)


def _span(first: float, last: float) -> str:
    return number(first) if first == last else f"{number(first)} to {number(last)}"


def _level_with(setting: Setting, best: Setting) -> bool:
    change = difference(setting, best, "final_accuracy")
    return not math.isnan(change.half) and not bool(change.excludes_zero)


def _by_size(found: Curves) -> Table:
    sizes = found.axis.values
    rows: list[Row] = []
    for i, line in enumerate(found.lines):
        known = dict(line.points)
        cells = [percent(known[size].interval("final_accuracy")) if size in known else DASH for size in sizes]
        rows.append(Row((line.title, *cells), _begins(found.lines, i)))
    note = "Final accuracy in percent by memory slots, mean ± 95 % interval over seeds."
    return Table(("Line", *map(number, sizes)), tuple(rows), 1, (note,))


def _by_best(found: Curves) -> Table:
    plain, auto = (any(getattr(line, name) is not None for line in found.lines) for name in ("plain", "auto"))
    others = {panel: [_other(line, panel, found) for line in found.lines] for panel in found.panels}
    panels = [panel for panel, lines in others.items() if any(lines)]
    header = ["Line", "Best", "Final accuracy", "As good", *["No mask", "Better than it", "Worse than it"] * plain,
              *["Leak auto"] * auto, *(f"Best of {panel}" for panel in panels)]  # fmt: skip
    rows: list[Row] = []
    for i, line in enumerate(found.lines):
        best = best_of(line)
        cells = [line.title, *([DASH] * 2 if best is None else [number(best[0]), _accuracy(best[1])]), _wide(line)]
        cells += [_accuracy(line.plain), *_beside(line)] * plain
        cells += [_accuracy(line.auto)] * auto
        cells += [_loss(line, best, others[panel][i]) for panel in panels]
        rows.append(Row(tuple(cells), _begins(found.lines, i)))
    notes = [
        "Final accuracy in percent, mean ± 95 % interval over seeds.",
        "As good: neighbours of the best whose difference to it, paired by seed, has an interval that includes 0.",
    ]
    if plain:
        notes.append("Better, worse than no mask: the difference to it excludes 0; worse too where every run diverged.")
    if panels:
        notes.append(
            "Best of ...: what the value that is best there costs here, in points, paired by seed; 0: the same."
        )
    return Table(tuple(header), tuple(rows), 1, tuple(notes))


def _begins(lines: Sequence[Line], i: int) -> bool:
    """Whether a line is the first, or has neither name nor panel of the one before."""
    return i == 0 or (lines[i].name != lines[i - 1].name and lines[i].panel != lines[i - 1].panel)


def _accuracy(setting: Setting | None) -> str:
    return DASH if setting is None else percent(setting.interval("final_accuracy"))


def _wide(line: Line) -> str:
    wide = as_good(line)
    return DASH if wide is None else _span(*wide)


def _beside(line: Line) -> tuple[str, str]:
    """Values that are clearly better than no mask, and that are clearly worse."""
    if line.plain is None or line.plain.num_finished < 2:
        return DASH, DASH
    better, worse = [], []
    for _, s in line.points:
        change = difference(s, line.plain, "final_accuracy")
        better.append(bool(change.excludes_zero) and float(change.mean) > 0)
        worse.append((bool(change.excludes_zero) and float(change.mean) < 0) or not s.num_finished)
    values = [value for value, _ in line.points]
    return ranges(better, values), ranges(worse, values)


def _other(line: Line, panel: str, found: Curves) -> Line | None:
    """The line of the same name in another panel; a method's best is none of another method's."""
    if panel == line.panel or line.panel == line.points[0][1].title:
        return None
    return next((one for one in found.lines if one.name == line.name and one.panel == panel), None)


def _loss(line: Line, best: tuple[float, Setting] | None, other: Line | None) -> str:
    there = None if other is None else best_of(other)
    here = None if there is None else dict(line.points).get(there[0])
    if best is None or here is None:
        return DASH
    return "0" if here is best[1] else percent(difference(here, best[1], "final_accuracy"), signed=True)
