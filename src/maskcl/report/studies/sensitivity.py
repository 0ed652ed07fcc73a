"""Accuracy and forgetting against one number of the settings: where the best is, how wide, and where it fails."""

from __future__ import annotations

from maskcl.report.names import joined, number
from maskcl.report.studies import Study
from maskcl.report.studies.curves import DIALS, MEMORY, Curves, curves, numbers_that_vary, reached
from maskcl.report.studies.short import as_good, best_of, in_short
from maskcl.results import DASH, Results, Row, Setting, Table, difference, percent
from maskcl.results.table import counted_seeds

__all__ = ["LABELS", "memory_size", "sensitivity"]

LABELS = {
    "mask.leak": "leak",
    "mask.value": "m",
    "mask.mass": "mass",
    "mask.old_scale": "gradient scale of inactive logits",
    "mask.new_scale": "gradient scale of active logits",
    "optimizer.lr": "learning rate",
    MEMORY: "memory slots",
    "scenario.num_tasks": "number of tasks",
}
"""What axes are called; other numbers by their dotted name."""
UNASKED = ("mask.old_scale", "mask.new_scale", "optimizer.lr", "scenario.num_tasks", "cfgm.step", "cfgm.weight")
"""Numbers that are drawn against unasked, where three values or more were tried."""
MANY = 8
"""Values of a mask's number from which it is drawn unasked: of fewer the dial has each."""
MOST_TOLD = 4
LONG = 24
"""Rows of the table above which it is shown in short first."""
_CAPTION = "Mean and 95 % interval over seeds."
_PLAIN = " Dotted: the level of no mask."
_AUTO = ' Dashes and dots: that of leak from counts (leak = "auto"), which has no number.'
_EDGES = " Beyond a break of the axis stand 0 and infinities."
_CROSSES = " Crosses: every run diverged."
_TUNED = " Other numbers of method and optimiser differ along a line where the experiment chose them for each value."


def sensitivity(results: Results, *, asked: bool) -> list[Study]:
    """Return a study for each number that was varied enough; of memory slots `memory_size` is in charge."""
    found = [curves(results, key) for key in numbers_that_vary(results) if key != MEMORY]
    return [_study(one, "sensitivity_" + one.key.replace(".", "_")) for one in found
            if one is not None and (asked or _speaks_for_itself(one))]  # fmt: skip


def memory_size(results: Results, *, asked: bool) -> list[Study]:
    """Return the study of memory slots; settings without a memory have 0."""
    found = curves(results, MEMORY)
    return [] if found is None else [_study(found, "memory_size")]


def _speaks_for_itself(found: Curves) -> bool:
    if found.key in DIALS:
        return max(len(line.points) for line in found.lines) >= MANY
    return found.key in UNASKED


def _study(found: Curves, name: str) -> Study:
    from maskcl.report.figures.curves import draw

    label = LABELS.get(found.key, found.key)
    drawn = found.shown
    points = [point for line in drawn for point in line.points]
    told = {
        _PLAIN: any(line.plain is not None for line in drawn),
        _AUTO: any(line.auto is not None for line in drawn),
        _EDGES: any(found.axis.is_edge(value) for value, _ in points),
        _CROSSES: any(not s.num_finished for _, s in points),
        _TUNED: any(line.tuned for line in found.lines),
    }
    caption = _CAPTION + "".join(text for text, holds in told.items() if holds)
    if len(drawn) < len(found.lines):
        caption += f" Of {len(found.lines)} lines no mask and the best are drawn; the table has all."
    title = f"Accuracy and forgetting against {label}"
    table = _table(found, label)
    short = in_short(found) if len(table.rows) > LONG else None
    return Study(name, title, _says(found, label), caption, table, lambda: draw(found, label), short)


def _says(found: Curves, label: str) -> str:
    told = []
    for line in found.lines:
        best = best_of(line)
        if best is None or len(line.points) < 2:
            continue
        level = percent(best[1].interval("final_accuracy"))
        if found.key == MEMORY:  # more is hardly ever worse: what counts is how much
            ends = [(v, percent(s.interval("final_accuracy"))) for v, s in reached(line.points, "final_accuracy")]
            (least, low), (most, high) = ends[0], ends[-1]
            told.append(f"{line.title}: {low} % with {number(least)}, {high} % with {number(most)}")
            continue
        wide = as_good(line)
        also = f", as good from {number(wide[0])} to {number(wide[1])}" if wide and wide[0] != wide[1] else ""
        told.append(f"{line.title}: {number(best[0])} ({level} %{also})")
    more = [f"{len(told) - MOST_TOLD} more lines in the table"] if len(told) > MOST_TOLD else []
    start = "Final accuracy by memory slots" if found.key == MEMORY else f"Best {label} by final accuracy"
    return f"{start}: {'; '.join(told[:MOST_TOLD] + more)}." if told else ""


def _table(found: Curves, label: str) -> Table:
    header = ("Line", label.capitalize() if label != "m" else "m", "Final accuracy", "Forgetting", "Against its best",
              "Seeds")  # fmt: skip
    rows = []
    for line in found.lines:
        best = best_of(line)
        each = [(number(value), s) for value, s in line.points]
        own = [s for _, s in line.points]  # no mask is a point of its own where it is a value of the number
        each += [("no mask", line.plain)] if line.plain is not None and line.plain not in own else []
        each += [("leak auto", line.auto)] if line.auto is not None else []
        for i, (value, s) in enumerate(each):
            rows.append(
                Row(
                    (line.title, value, *_cells(s), _against(s, best, alone=len(line.points) < 2), counted_seeds(s)),
                    i == 0,
                )
            )
    against = "Against its best: difference in final accuracy to the line's best value, in points, paired by seed."
    notes = ["In percent, mean ± 95 % interval over seeds.", against]
    lost = sorted({number(v) for line in found.lines for v, s in line.points if s.diverged})
    notes += [f"Runs diverged at {joined(lost)}."] if lost else []
    return Table(header, tuple(rows), 2, tuple(notes))


def _cells(setting: Setting) -> tuple[str, str]:
    return percent(setting.interval("final_accuracy")), percent(setting.interval("forgetting"))


def _against(setting: Setting, best: tuple[float, Setting] | None, *, alone: bool) -> str:
    if best is None or (alone and setting is best[1]):
        return DASH
    return "best" if setting is best[1] else percent(difference(setting, best[1], "final_accuracy"), signed=True)
