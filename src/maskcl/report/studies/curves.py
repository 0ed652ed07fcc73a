"""A metric against one number of the settings: what makes a line, what it is held against, who shares a panel.

A line is what is equal in all but that number; where the numbers of method and optimiser were chosen for each of its
values, they may differ along it. A number of the mask has "no mask" as its reference, and a leak from counts beside it.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from maskcl.report.names import short_name, worded
from maskcl.report.studies.axis import Axis, axis_of
from maskcl.results import Dial, Results, Setting, flat_config

__all__ = ["DIALS", "MEMORY", "Curves", "Line", "curves", "numbers_that_vary"]

DIALS = {"mask.leak": "leak", "mask.value": "value", "mask.mass": "mass"}
"""Numbers of a mask, of which each setting has one."""
SCALES = ("mask.old_scale", "mask.new_scale")
"""Factors of a gradient: no mask is leak 1 with both at 1."""
MEMORY = "memory.size"
LEAST = 3
"""Values of which one line must have as many: two are a comparison, which the table shows."""
MOST_PANELS = 6
MOST_LINES = 8
"""In a panel: there are as many colours."""
_TUNED = ("optimizer.", "method.", "training.schedule")
"""What may have been chosen anew for each value of the number; not the method itself."""
_FIRST = ("scenario.dataset", "scenario.num_tasks", MEMORY)
"""What has panels rather than lines of its own, if it varies."""
_NAMED = ("method", "mask", "cfgm")
"""Words that stand for themselves."""
_TOLD = ("method.name", "memory.policy", "memory")
_NO_AXIS = ("seeds.", "randomness.", "scenario.class_order", "scenario.tasks", "scenario.fingerprint", "network.")


class Line(NamedTuple):
    """Settings along which the number grows.

    Attributes:
        name: What tells it from the other lines of its panel.
        panel: What its panel is called; empty if there is one alone.
        points: Values of the number and their settings, ascending.
        plain: The setting without a mask that it is held against, if the number is one of the mask.
        tuned: Whether other numbers differ along it.
        auto: The setting with a leak from counts that is equal in all else, if the number is one of the mask.
    """

    name: str
    panel: str
    points: tuple[tuple[float, Setting], ...]
    plain: Setting | None
    tuned: bool
    auto: Setting | None

    @property
    def title(self) -> str:
        """Name and panel, a panel of one method first."""
        first = self.panel == self.points[0][1].title
        return ", ".join(filter(None, (self.panel, self.name) if first else (self.name, self.panel)))


class Curves(NamedTuple):
    """All lines against one number.

    Attributes:
        key: Its dotted name.
        axis: Where its values stand.
        lines: In the order of the settings.
    """

    key: str
    axis: Axis
    lines: tuple[Line, ...]

    @property
    def shown(self) -> tuple[Line, ...]:
        """What a figure has room for, of the same names in all panels: no mask, leak from counts, what gets highest."""
        of_name: dict[str, list[Line]] = defaultdict(list)
        for line in self.lines:
            of_name[line.name].append(line)

        def place(name: str) -> tuple[bool, float]:
            tops = [_top(line) for line in of_name[name]]
            return of_name[name][0].points[0][1].dial.kind not in ("none", "auto"), -sum(tops) / len(tops)

        kept = sorted(of_name, key=place)[:MOST_LINES]
        return tuple(line for line in self.lines if line.name in kept)

    @property
    def panels(self) -> tuple[str, ...]:
        """Names of the panels, in order."""
        return tuple(dict.fromkeys(line.panel for line in self.lines))


def _top(line: Line) -> float:
    means = [float(s.interval("final_accuracy").mean) for _, s in line.points]
    return max((mean for mean in means if not math.isnan(mean)), default=-1.0)


def numbers_that_vary(results: Results) -> list[str]:
    """Return the dotted names that some line could be drawn against."""
    found: dict[str, set[float]] = defaultdict(set)
    for s in results.settings:
        for key in (*flat_config(s.config), *DIALS):
            value = _value(s, key)
            if value is not None and not key.startswith(_NO_AXIS):
                found[key].add(value)
    return sorted(key for key, values in found.items() if len(values) >= LEAST)


def curves(results: Results, key: str) -> Curves | None:
    """Return the lines against a number; None unless one of them has three values or more.

    Args:
        results: The runs.
        key: Dotted name. Of "memory.size" settings without a memory have 0, alone too.
    """
    alone = key == MEMORY
    loose: dict[str, list[Setting]] = defaultdict(list)
    for s in _once(results.settings, key):
        loose[_hash(_rest(s, key), tuned=False)].append(s)
    groups: list[list[Setting]] = []
    for members in loose.values():
        if len({_value(s, key) for s in members}) == len(members):
            groups.append(members)
        else:
            strict: dict[str, list[Setting]] = defaultdict(list)
            for s in members:
                strict[_hash(_rest(s, key), tuned=True)].append(s)
            groups += strict.values()
    counts = [len({_value(s, key) for s in members}) for members in groups]
    if max(counts, default=0) < LEAST:
        return None
    # of a mask's number two values are no line: many masks share leak 1 or a scale of 1 and differ in another number
    fewest = 1 if alone else LEAST if key.startswith("mask.") else 2
    kept = [members for members, count in zip(groups, counts, strict=True) if count >= fewest]
    names, panels = _told_apart(kept, key)
    lines = []
    for members, name, panel in zip(kept, names, panels, strict=True):
        points = sorted(((float(_value(s, key) or 0.0), s) for s in members), key=lambda point: point[0])
        tuned = len({_hash(_rest(s, key), tuned=True) for s in members}) > 1
        lines.append(Line(name, panel, tuple(points), _reference(results, members, key, "none"), tuned,
                          _reference(results, members, key, "auto")))  # fmt: skip
    shown = list(dict.fromkeys(panels))[:MOST_PANELS]
    lines = [line for line in lines if line.panel in shown]
    return Curves(key, axis_of(v for line in lines for v, _ in line.points), tuple(lines))


def _value(setting: Setting, key: str) -> float | None:
    """The number of a setting; None where it has none."""
    if key in DIALS:
        dial = setting.dial
        if dial.kind == "full":
            return 0.0 if key == "mask.leak" else -math.inf
        return dial.number if dial.kind == DIALS[key] else None
    if key in SCALES and setting.dial.kind == "none" and not setting.dial.extras:
        return 1.0
    if key == MEMORY and setting.config.get("memory") is None:
        return 0.0
    value = flat_config(setting.config).get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if 1e300 < abs(value) < math.inf:  # asked first: a whole number may be too large for any float
        return None
    return None if math.isnan(value) else float(value)


def _once(settings: Iterable[Setting], key: str) -> list[Setting]:
    """Those that have the number; of leak = 0 and m = -inf, which are one mask, the one that says it."""
    found: dict[Hashable, Setting] = {}
    for s in settings:
        if _value(s, key) is None:
            continue
        full = key in DIALS and s.dial.kind == "full"
        place = _hash(_rest(s, key), tuned=True) if full else id(s)
        if place not in found or s.config["mask"].get(DIALS[key]) is not None:
            found[place] = s
    return list(found.values())


def _rest(setting: Setting, key: str) -> dict[str, Any]:
    """All of a configuration but the number, seeds, and what goes with the number."""
    flat = {name: part for name, part in flat_config(setting.config).items() if not name.startswith("seeds")}
    if key.startswith("mask."):
        flat = {name: part for name, part in flat.items() if name.split(".")[0] != "mask"}
        return flat | {"mask": _mask(setting, key)}
    if key == MEMORY:
        flat = {name: part for name, part in flat.items() if name.split(".")[0] != "memory"}
        return flat | {"memory.policy": (setting.config.get("memory") or {}).get("policy")}
    return {name: part for name, part in flat.items() if name != key}


def _mask(setting: Setting, key: str) -> str:
    """What names a mask beside one of its numbers."""
    dial = setting.dial
    if key in DIALS:
        return dial.extras
    word = key.removeprefix("mask.") + "="
    extras = " ".join(part for part in dial.extras.split() if not part.startswith(word))
    return short_name(Dial("leak", 1.0, extras) if dial.kind == "none" else dial._replace(extras=extras))


def _hash(rest: Mapping[str, Any], *, tuned: bool) -> str:
    """A rest as a key, with or without what may have been chosen for each value."""
    kept = {n: p for n, p in rest.items() if tuned or n == "method.name" or not n.startswith(_TUNED)}
    return json.dumps(kept, sort_keys=True, default=str)


def _reference(results: Results, members: Sequence[Setting], key: str, kind: str) -> Setting | None:
    """The setting without a mask, or with one from counts, that is equal to one of a line's in all else."""
    if not key.startswith("mask."):
        return None
    mine = [_rest(s, key) | {"mask": ""} for s in members]
    plains = [s for s in results.settings if s.dial.kind == kind and not s.dial.extras]
    found = [s for s in plains if any(_rest(s, key) | {"mask": ""} == rest for rest in mine)]
    return found[0] if len(found) == 1 else None


def _told_apart(groups: Sequence[Sequence[Setting]], key: str) -> tuple[list[str], list[str]]:
    """Names of lines, and of their panels, by what varies between them."""
    parts = [_words(members, key) for members in groups]
    varied = [name for name in dict.fromkeys(n for part in parts for n in part) if _varies(name, parts)]
    values = {name: len({str(part.get(name)) for part in parts}) for name in varied}
    rows = [n for n in varied if n not in _NAMED and not n.startswith("method.") and values[n] <= MOST_PANELS]
    rows.sort(key=lambda n: (_FIRST.index(n) if n in _FIRST else len(_FIRST), values[n]))
    panel = rows[0] if rows else ""
    if not panel and len(groups) > MOST_LINES and "method" in varied and values["method"] <= MOST_PANELS:
        panel = "method"
    lines = []
    for part in parts:
        own = [n for n in varied if n != panel and part.get(n) not in (None, "")] or ["method"]
        lines.append(", ".join(str(part[n]) if n in _NAMED else f"{n}={part[n]}" for n in own))
    panels = [str(part["method"]) if panel == "method" else _panel_name(panel, part.get(panel)) for part in parts]
    pairs = list(zip(lines, panels, strict=True))
    if len(set(pairs)) < len(pairs):
        lines = [f"{name} ({pairs[: i + 1].count(pairs[i])})" for i, name in enumerate(lines)]
    return lines, panels


def _panel_name(name: str, value: Any) -> str:
    if not name:
        return ""
    return f"no {name.split('.')[0]}" if value is None else worded(name, value)


def _varies(name: str, parts: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a word tells lines apart; of most settings those of one method alone, as each has its own."""
    if name in _NAMED or name.split(".")[0] in ("scenario", "network"):
        return len({str(part.get(name)) for part in parts}) > 1
    of_method: dict[str, set[str]] = defaultdict(set)
    for part in parts:
        of_method[part["method"]].add(str(part.get(name)))
    return any(len(values) > 1 for values in of_method.values())


def _words(members: Sequence[Setting], key: str) -> dict[str, Any]:
    """What a line may be told from others by; not by what was chosen for each of its values."""
    setting = members[0]
    every = [_rest(s, key) for s in members]
    rest = {n: p for n, p in every[0].items() if all(other.get(n) == p for other in every)}
    mask = _mask(setting, key) if key.startswith("mask.") else short_name(setting.dial)
    words: dict[str, Any] = {"method": setting.title, "mask": mask, "cfgm": setting.cfgm}
    own = {n: p for n, p in sorted(rest.items()) if n.split(".")[0] not in ("mask", "cfgm") and n not in _TOLD}
    return words | {n: _plain(p) for n, p in own.items()}


def _plain(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def reached(points: Iterable[tuple[float, Setting]], metric: str) -> list[tuple[float, Setting]]:
    """The points that have the metric."""
    return [(value, s) for value, s in points if not math.isnan(s.interval(metric).mean)]
