"""What each part of a setting brings: the others that differ from it in one part alone, and what each change costs.

part: the mask, CFGM, or the numbers of method, memory, network, optimiser or training
base: has three changes or more, in two parts or more; a change is a setting that differs from it in one part and
      has others that differ in one from itself by fewer parts (in a full grid all have as many, and none is a base)
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

from maskcl.report.names import short_name, short_names, worded
from maskcl.report.studies import Study
from maskcl.results import Results, Row, Setting, Table, difference, flat_config, percent

__all__ = ["Ablation", "Change", "ablation", "ablations"]

FEWEST, FEWEST_PARTS = 3, 2
MOST = 6
"""Bases that are shown, those with the most changes."""
MOST_TOLD = 2
_SAME = ("scenario", "randomness")
"""Sections in which another value makes another comparison."""
_CAPTION = (
    "What final accuracy loses (left of the line) or gains by one change, in points, paired by seed; in brackets what "
    "was there. Dots: single runs. Bars: 95 % intervals over seeds; grey where it includes 0."
)


class Change(NamedTuple):
    """A setting that differs from the base in one part.

    Attributes:
        setting: The setting.
        to: What it has there, e.g. "no mask" or "optimizer.lr = 0.03".
        instead: What the base has there.
    """

    setting: Setting
    to: str
    instead: str


class Ablation(NamedTuple):
    """A base and all that is one change away from it.

    Attributes:
        name: Of the base, as short as tells it from the other bases.
        base: The setting.
        changes: What costs most first.
    """

    name: str
    base: Setting
    changes: tuple[Change, ...]


def ablation(results: Results, *, asked: bool) -> list[Study]:
    """Return the study of one change at a time; only if asked, since many grids have such a setting by chance."""
    from maskcl.report.figures.ablation import draw

    found = ablations(results) if asked else []
    if not found:
        return []
    return [Study("ablation", "One change at a time", _says(found), _CAPTION, _table(found), lambda: draw(found))]


def ablations(results: Results) -> list[Ablation]:
    """All bases with their changes, in the order of the settings; settings that all diverged are left out."""
    settings = [s for s in results.settings if not math.isnan(s.interval("final_accuracy").mean)]
    parts = [_parts(s) for s in settings]
    near: list[dict[int, str]] = [{} for _ in settings]
    for i, mine in enumerate(parts):
        for k, other in enumerate(parts[:i]):
            part = _changed(mine, other)
            if part is not None:
                near[i][k] = near[k][i] = part
    counts = [len(set(own.values())) for own in near]
    changed = [{k: part for k, part in own.items() if counts[k] < counts[i]} for i, own in enumerate(near)]
    bases = [i for i, own in enumerate(changed) if len(own) >= FEWEST and len(set(own.values())) >= FEWEST_PARTS]
    bases = sorted(sorted(bases, key=lambda i: -len(changed[i]))[:MOST])
    names = short_names([settings[i] for i in bases])
    return [Ablation(name, settings[i], _changes(settings[i], [(settings[k], part) for k, part in changed[i].items()]))
            for i, name in zip(bases, names, strict=True)]  # fmt: skip


def _parts(setting: Setting) -> dict[str, str]:
    """Each section of a configuration, to be compared."""
    sections = {name: part for name, part in setting.config.items() if name != "seeds"}
    return {name: json.dumps(part, sort_keys=True, default=str) for name, part in sections.items()} | {
        "method.name": setting.method
    }


def _changed(one: dict[str, str], other: dict[str, str]) -> str | None:
    """The only part in which two settings differ; None if there are none or more, or if it makes them no rivals."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return names[0] if len(names) == 1 and names[0] not in (*_SAME, "method.name") else None


def _changes(base: Setting, others: list[tuple[Setting, str]]) -> tuple[Change, ...]:
    found = [Change(s, *_words(part, s, base)) for s, part in others]
    return tuple(sorted(found, key=lambda one: float(difference(one.setting, base, "final_accuracy").mean)))


def _words(part: str, setting: Setting, base: Setting) -> tuple[str, str]:
    """What was changed to what, and what it was."""
    if part == "mask":
        return short_name(setting.dial), short_name(base.dial)
    if part == "cfgm":
        return _cfgm(setting), _cfgm(base)
    ours, theirs = (flat_config({part: s.config.get(part)}) for s in (setting, base))
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    to = [worded(key, _said(ours[key])) for key in keys if ours.get(key) is not None]
    instead = [_said(theirs[key]) for key in keys if theirs.get(key) is not None]
    return ", ".join(to) or f"no {part}", ", ".join(instead) or f"no {part}"


def _cfgm(setting: Setting) -> str:
    return setting.cfgm.replace("cfgm", "CFGM", 1) or "no CFGM"


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _says(found: list[Ablation]) -> str:
    told = []
    for one in found:
        costs = [(c, difference(c.setting, one.base, "final_accuracy")) for c in one.changes[:MOST_TOLD]]
        most = "; ".join(f"{c.to}: {percent(change, signed=True)} points" for c, change in costs)
        told.append(
            f"{one.name}: {percent(one.base.interval('final_accuracy'))} % as it is. Lowest by one change: {most}."
        )
    return " ".join(told)


def _table(found: list[Ablation]) -> Table:
    header = ("Setting", "Change", "Instead of", "Final accuracy", "Difference", "Forgetting", "Learning accuracy")
    rows = []
    for one in found:
        for i, (s, to, instead) in enumerate([Change(one.base, "as it is", ""), *one.changes]):
            change = "" if s is one.base else percent(difference(s, one.base, "final_accuracy"), signed=True)
            levels = [percent(s.interval(name)) for name in ("final_accuracy", "forgetting", "learning_accuracy")]
            rows.append(Row((one.name, to, instead, levels[0], change, *levels[1:]), i == 0))
    notes = ("In percent, mean ± 95 % interval over seeds; differences in points, paired by seed.",)
    return Table(header, tuple(rows), 3, notes)
