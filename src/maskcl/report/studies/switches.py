"""What happens to old classes around a switch of tasks: confidence and accuracy, a mean over all switches of a run.

Places on the axis are shares of a task: 0 is the switch, 1 the new task's end. Old at a switch to task t are the
classes of the tasks before t.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from maskcl.metrics import interval
from maskcl.report.names import apart, short_name
from maskcl.report.studies import Study
from maskcl.results import DASH, Family, Results, Row, Setting, Table, difference, percent

__all__ = ["Course", "collapse", "courses", "old_classes"]

BEFORE = 0.35
"""Share of the task before a switch that is shown."""
MOST_FAMILIES = 4
NAMES = {"confidence": "Confidence in old classes, %", "class_incremental": "Accuracy on old classes, %"}
_CAPTION = (
    "A mean over all switches of each run, then over seeds with 95 % bands. How far the upper lines fall from just "
    "before the switch is the confidence collapse; how far the lower ones fall is the stability gap."
)


class Course(NamedTuple):
    """One setting around its switches.

    Attributes:
        setting: Which.
        family: Which family it is of.
        places: Shares of a task, from -BEFORE to 1, [P].
        values: Confidence and accuracy of every run by name, [N, P] each.
    """

    setting: Setting
    family: Family
    places: Any
    values: dict[str, Any]


def collapse(results: Results, *, asked: bool) -> list[Study]:
    """Return the study of what happens at switches; there has to be an evaluation within tasks."""
    from maskcl.report.figures.switches import draw

    found = courses(results)
    if not found:
        return []
    more = len({id(c.family) for c in courses(results, most=10**6)}) - MOST_FAMILIES
    caption = f"{_CAPTION} The first {MOST_FAMILIES} of {MOST_FAMILIES + more} combinations." if more > 0 else _CAPTION
    return [Study("collapse", "Old classes around a switch of tasks", _says(found), caption, _table(results),
                  lambda: draw(found))]  # fmt: skip


def courses(results: Results, most: int = MOST_FAMILIES) -> list[Course]:
    """Of each family no mask, the best mask and m = -inf, as far as they were evaluated within tasks."""
    found: list[Course] = []
    families = 0
    for family in results.families:
        full = next((s for s in family.masked if s.dial.kind == "full"), None)
        settings = dict.fromkeys(s for s in (family.plain, family.best, full) if s is not None)
        own = [course for s in settings if (course := _course(s, family)) is not None]
        families += bool(own)
        if own and families <= most:
            found += own
    return found


def old_classes(run: Mapping[str, Any], name: str) -> Iterator[tuple[int, Any, Any]]:
    """Each switch t of a run: places, and the mean over old tasks there of a matrix that was evaluated within tasks.

    Places [P] ascend from -1 or later to 1, values [P] belong to them.
    """
    matrix, anytime = np.asarray(run[name]), run["anytime"]
    for t in range(1, len(matrix)):
        places, values = [0.0, 1.0], [matrix[t - 1, :t].mean(), matrix[t, :t].mean()]
        for task, shift in ((t - 1, -1.0), (t, 0.0)):
            at = np.flatnonzero(anytime["task"] == task)
            places += (_shares(anytime, task) + shift).tolist()
            values += np.asarray(anytime[name])[at, :t].mean(1).tolist()
        order = np.argsort(places, kind="stable")
        x, y = np.array(places)[order], np.array(values)[order]
        yield t, x, y


def _shares(anytime: Mapping[str, Any], task: int) -> Any:
    """Where a task's evaluations lie between its start, 0, and its end, 1.

    Of evaluations every k steps a task ends up to k steps after its last one: half of that is taken.
    """
    steps, tasks = np.asarray(anytime["step"], float), np.asarray(anytime["task"])
    mine = steps[tasks == task]
    if not len(mine):
        return np.zeros(0)
    every = float(np.median(np.diff(steps))) if len(steps) > 1 else 1.0
    earlier = steps[tasks < task]
    start = float(earlier.max()) + every / 2 if len(earlier) else 0.0
    return (mine - start) / max(float(mine.max()) + every / 2 - start, 1e-9)


def _course(setting: Setting, family: Family) -> Course | None:
    runs = [run for run in setting.runs if run["status"] == "finished"]
    known = [run for run in runs if run.get("anytime") and run.get("confidence") is not None]
    if not runs or len(known) < len(runs) or len(runs[0]["confidence"]) < 2:
        return None
    lines = {name: [list(old_classes(run, name)) for run in known] for name in NAMES}
    if any(len(np.asarray(run["anytime"]["step"])) < 2 for run in known):
        return None
    every = np.unique(np.round(np.concatenate([x for line in lines["confidence"] for _, x, _ in line]), 6))
    every = every[(every >= -BEFORE) & (every <= 1)]
    places = every if len(every) <= 400 else np.unique([*np.linspace(every[0], 1, 400), 0.0])
    values = {
        name: np.array([np.mean([np.interp(places, x, y) for _, x, y in line], axis=0) for line in each])
        for name, each in lines.items()
    }
    return None if any(np.isnan(part).any() for part in values.values()) else Course(setting, family, places, values)


def course_name(course: Course) -> str:
    """What tells a setting from the others of its family."""
    return ", ".join(filter(None, (short_name(course.setting.dial), apart(course.setting, course.family))))


def _says(found: list[Course]) -> str:
    told = []
    for course in found[:4]:
        s = course.setting
        told.append(f"{s.name}: confidence falls by {percent(s.interval('confidence_collapse'))}, "
                    f"accuracy by {percent(s.interval('stability_gap'))} points")  # fmt: skip
    more = [f"{len(found) - 4} more in the table"] if len(found) > 4 else []
    return f"At a switch, on old classes: {'; '.join(told + more)}."


def _table(results: Results) -> Table:
    header = (
        "Setting",
        "Confidence before",
        "Confidence collapse",
        "vs no mask",
        "Stability gap",
        "Forgetting",
        "Seeds",
    )
    rows = []
    for family in results.families:
        for i, s in enumerate(family.settings):
            course = _course(s, family)
            if course is None:
                continue
            before = interval(course.values["confidence"][:, int(np.argmin(np.abs(course.places)))])
            change = DASH
            if family.plain is not None:
                against = difference(s, family.plain, "confidence_collapse")
                change = "reference" if s is family.plain else percent(against, signed=True)
            cells = (percent(s.interval(m)) for m in ("stability_gap", "forgetting"))
            rows.append(Row((s.name, percent(before), percent(s.interval("confidence_collapse")), change, *cells,
                             str(s.num_finished)), i == 0))  # fmt: skip
    notes = ("In percent and points, mean ± 95 % interval over seeds; old classes, a mean over switches.",
             "vs no mask: difference in confidence collapse, paired by seed.")  # fmt: skip
    return Table(header, tuple(rows), 1, notes)
