"""Seconds against accuracy: what a result costs with CFGM, and what it costs from a memory of some size.

matched: on a line of settings that differ in memory slots, where accuracy first reaches that of another setting;
         between two sizes accuracy and seconds are taken to be straight in log(1 + slots)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from maskcl.metrics import Interval, interval
from maskcl.report.names import number, short_name, short_names
from maskcl.report.studies import Study
from maskcl.report.studies.curves import MEMORY, Line, curves
from maskcl.results import DASH, Results, Row, Setting, Table, percent

__all__ = ["Match", "Priced", "cost", "matched", "priced", "seconds_of"]

FEWEST = 3
_CAPTION = (
    "Seconds of training and planning for one run (its share, where runs are trained together) against final accuracy; "
    "evaluation is not counted. Up and left is better. Lines: one setting with a growing memory; stars: CFGM; other "
    "points: all other settings. Bars: 95 % intervals over seeds."
)
_MIXED = " Not all runs had the same executor, threads and group size: seconds of those that differ are no rivals."


class Priced(NamedTuple):
    """One setting with what it cost.

    Attributes:
        setting: Which.
        name: As short as tells it from the others.
        slots: Of its memory.
        seconds: Mean over its runs, with interval.
        accuracy: Final accuracy.
        line: The line of growing memory that it is on; empty if none.
    """

    setting: Setting
    name: str
    slots: float
    seconds: Interval
    accuracy: Interval
    line: str


class Match(NamedTuple):
    """What a memory needs for the accuracy of another setting.

    Attributes:
        line: Which line of settings.
        slots: Memory slots; the smallest size tried where that is enough, infinite where the largest is not.
        seconds: Of a run at that size; NaN where no size is enough.
        exact: Whether it lies between two sizes that were tried.
    """

    line: str
    slots: float
    seconds: float
    exact: bool


def seconds_of(setting: Setting) -> Interval:
    """Seconds of training and planning of one run; of older files all seconds."""
    found = []
    for run in setting.runs:
        parts = run.get("timings") or {}
        known = [parts[name] for name in ("training", "planning") if name in parts]
        own = sum(known) if "training" in parts else run.get("seconds", math.nan)
        found.append(own if run["status"] == "finished" else math.nan)
    return interval(found)


def priced(results: Results) -> list[Priced]:
    """All settings that finished, with seconds and accuracy; lines of growing memory in order."""
    found = curves(results, MEMORY)
    lines = [] if found is None else [line for line in found.lines if len(line.points) > 1]
    titles = _titles(lines)
    of = {id(s): title for title, line in zip(titles, lines, strict=True) for _, s in line.points}
    names = zip(results.settings, short_names(results.settings), strict=True)
    every = [_priced(s, name, of.get(id(s), "")) for s, name in names if s.num_finished]
    return [one for one in every if one.seconds.mean > 0 and not math.isnan(one.accuracy.mean)]


def matched(one: Priced, line: list[Priced]) -> Match:
    """Where a line of growing memory first reaches a setting's accuracy."""
    points = sorted(line, key=lambda other: other.slots)
    goal = float(one.accuracy.mean)
    for i, here in enumerate(points):
        if here.accuracy.mean < goal:
            continue
        if i == 0:
            return Match(here.line, here.slots, float(here.seconds.mean), exact=False)
        before = points[i - 1]
        part = (goal - float(before.accuracy.mean)) / float(here.accuracy.mean - before.accuracy.mean)
        low, high = np.log1p(before.slots), np.log1p(here.slots)
        seconds = float(before.seconds.mean) + part * float(here.seconds.mean - before.seconds.mean)
        return Match(here.line, float(np.expm1(low + part * (high - low))), seconds, exact=True)
    return Match(points[-1].line, math.inf, math.nan, exact=False)


def cost(results: Results, *, asked: bool) -> list[Study]:
    """Return the study of cost; unasked where CFGM ran beside a memory of several sizes."""
    from maskcl.report.figures.cost import draw

    found = priced(results)
    generates = any(one.setting.cfgm for one in found)
    if len(found) < FEWEST or not (asked or (generates and any(one.line for one in found))):
        return []
    kinds = {tuple((run.get("executor") or {}).get(key) for key in ("name", "threads", "group_size", "device"))
             for one in found for run in one.setting.runs}  # fmt: skip
    caption = f"{_CAPTION}{_MIXED if len(kinds) > 1 else ''}"
    return [Study("cost", "What accuracy costs", _says(found), caption, _table(found), lambda: draw(found))]


def _priced(setting: Setting, name: str, line: str) -> Priced:
    slots = float((setting.config.get("memory") or {}).get("size") or 0)
    return Priced(setting, name, slots, seconds_of(setting), setting.interval("final_accuracy"), line)


def _titles(lines: list[Line]) -> list[str]:
    """Names of lines without their slots; what was tuned for each size is in them only where nothing else differs."""
    firsts = [line.points[0][1] for line in lines]
    return short_names(firsts, without=[MEMORY])


def _matches(one: Priced, found: list[Priced]) -> list[Match]:
    """Where each line of replay alone reaches a setting's accuracy."""
    lines = (other.line for other in found if not other.setting.cfgm)
    names = dict.fromkeys(line for line in lines if line not in ("", one.line))
    return [matched(one, [other for other in found if other.line == name]) for name in names]


def _smallest(one: Priced, found: list[Priced]) -> Match | None:
    """The line of memory that reaches a setting's accuracy with the fewest slots; None if none does.

    Not in the fewest seconds: they hardly go by slots, and a few per cent of noise would decide.
    """
    known = [match for match in _matches(one, found) if not math.isnan(match.seconds)]
    return min(known, key=lambda match: (match.slots, match.seconds), default=None)


def _says(found: list[Priced]) -> str:
    told = []
    for one in found:
        if not one.setting.cfgm:
            continue
        match = _smallest(one, found)
        level = f"{one.name} takes {seconds(one.seconds)} s for {percent(one.accuracy)} %"
        told.append(f"{level}; {_told(match, one)}" if _matches(one, found) else level)
    if told:
        return ". ".join(told[:3]) + "."
    cheap, best = min(found, key=lambda o: o.seconds.mean), max(found, key=lambda o: o.accuracy.mean)
    ends = [f"{one.name}, {seconds(one.seconds)} s for {percent(one.accuracy)} %" for one in (cheap, best)]
    return f"Cheapest: {ends[0]}; most accurate: {ends[1]}."


def _told(match: Match | None, one: Priced) -> str:
    if match is None:
        return "no memory that was tried reaches that"
    about = "about " if match.exact else "at most "
    ratio = float(one.seconds.mean) / match.seconds if match.seconds > 0 else math.nan
    return (f"{match.line} reaches that with {about}{number(float(round(match.slots)))} slots in "
            f"{match.seconds:.3g} s, {ratio:.2g} times as fast")  # fmt: skip


def seconds(found: Interval) -> str:
    """Seconds of a run with their interval, to three digits; runs of one group have equal shares, and so none.

    >>> seconds(Interval(12.3456, 0.5, 3)), seconds(Interval(0.1234, float("nan"), 1))
    ('12.3 ± 0.5', '0.123')
    """
    half = (
        "" if math.isnan(found.half) or float(found.half) < 1e-9 * float(found.mean) else f" ± {float(found.half):.2g}"
    )
    return f"{float(found.mean):.3g}{half}"


def _table(found: list[Priced]) -> Table:
    header = ("Setting", "Slots", "Seconds a run", "Final accuracy", "Memory, kB", "Same from a memory", "Its seconds")
    rows: list[Row] = []
    groups, before = list(dict.fromkeys(one.line or one.name for one in found)), None
    for one in sorted(found, key=lambda one: (groups.index(one.line or one.name), one.slots)):
        match = None if one.line else _smallest(one, found)
        size = max((run.get("memory_bytes") or 0 for run in one.setting.runs), default=0)
        same, its = DASH, DASH
        if match is not None:
            same = f"{match.line}: {'' if match.exact else '≤ '}{number(float(round(match.slots)))}"
            its = f"{match.seconds:.3g}"
        rows.append(Row((one.line or one.name, number(one.slots), seconds(one.seconds), percent(one.accuracy),
                         f"{size / 1000:.1f}", same, its), one.line != before))  # fmt: skip
        before = one.line
    notes = (
        "Seconds of training and planning, a run's share of its group; accuracy in percent; mean ± 95 % interval.",
        "Memory: ids, labels and stored logits, without the images. Same from a memory: the fewest slots with which "
        "another setting reaches this accuracy, between sizes that were tried by interpolation.",
        "Names are short; all that differs between settings is in the report's table of settings.",
    )
    return Table(header, tuple(rows), 1, notes)


def labels_of(found: Sequence[Priced]) -> list[str]:
    """Settings as labels in the figure: a line's points by their slots, CFGM by its mask where there are more of it."""
    loose = [one for one in found if not one.line and one.setting.cfgm]
    masks = {one.setting.dial for one in loose}

    def label(one: Priced) -> str:
        if one.line:
            return number(one.slots)
        if one.setting.cfgm and len(loose) in (1, len(masks)):
            return "CFGM" if len(loose) == 1 else f"CFGM, {short_name(one.setting.dial)}"
        return one.name

    return [label(one) for one in found]
