"""The table of a set of results as plain data: header, cells, notes. `maskcl.report` renders it in every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskcl.metrics import Interval
from maskcl.results.settings import Setting, difference

if TYPE_CHECKING:
    from maskcl.results import Results

__all__ = ["DASH", "HEADLINE", "Row", "Table", "build", "counted_seeds", "divergences", "headline", "percent"]

DASH = "–"
HEADLINE = {
    "final_accuracy": "Final accuracy",
    "forgetting": "Forgetting",
    "learning_accuracy": "Learning accuracy",
}
"""The metrics of the table, class-incremental, and their names there."""
ANYTIME = {"average_anytime_accuracy": "Anytime accuracy"}
"""One more where runs were evaluated within tasks: it is what streams without clean tasks are judged by."""


@dataclass(frozen=True)
class Row:
    """One setting.

    Attributes:
        cells: Text by column.
        first: Whether a new family starts here.
        best: Whether it has the highest mean final accuracy of its family, and its gain over no mask excludes zero.
        clear: Whether the interval of its difference to no mask excludes zero.
    """

    cells: tuple[str, ...]
    first: bool = False
    best: bool = False
    clear: bool = False


@dataclass(frozen=True)
class Table:
    """Header, rows and what must be said with them.

    Attributes:
        header: Column names.
        rows: One row a setting.
        num_names: How many leading columns are text, the others being numbers.
        notes: Sentences to stand below.
    """

    header: tuple[str, ...]
    rows: tuple[Row, ...]
    num_names: int
    notes: tuple[str, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """What bold means, if any cell is bold; for formats that show it."""
        text = "Bold: the highest mean final accuracy of each method, where its gain over no mask excludes 0."
        return (text,) if any(row.best for row in self.rows) else ()

    def is_bold(self, row: Row, column: int) -> bool:
        """Whether a cell is to stand out: mask and final accuracy of the best setting."""
        return row.best and column in (1, self.num_names)

    def __str__(self) -> str:
        lines = [self.header, *(row.cells for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.header))]
        ruled = ["  ".join(self._padded(line, widths)) for line in lines]
        ruled.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([*(line.rstrip() for line in ruled), *self.notes])

    def _padded(self, line: Sequence[str], widths: Sequence[int]) -> list[str]:
        cells = zip(line, widths, strict=True)
        return [cell.ljust(w) if i < self.num_names else cell.rjust(w) for i, (cell, w) in enumerate(cells)]


def headline(results: Results) -> dict[str, str]:
    """Return the metrics of the table for some results, and their names there."""
    return HEADLINE | (ANYTIME if ANYTIME.keys() <= set(results.metrics) else {})


def build(results: Results) -> Table:
    """Lay the results out: one row a setting, the difference to its counterpart without a mask last."""
    varied = any(s.varies for s in results.settings)
    metrics = headline(results)
    header = ("Method", "Mask", *(("Varied",) if varied else ()), *metrics.values(), "vs no mask", "Seeds")
    rows = []
    for family in results.families:
        means = {id(s): float(s.interval("final_accuracy").mean) for s in family.settings}
        top = max((m for m in means.values() if not np.isnan(m)), default=np.nan)
        for i, s in enumerate(family.settings):
            against, clear = _against(s, family.plain)
            names = (s.title, s.mask, *((s.varies,) if varied else ()))
            numbers = tuple(percent(s.interval(metric)) for metric in metrics)
            best = clear and against.startswith("+") and means[id(s)] == top
            rows.append(Row((*names, *numbers, against, counted_seeds(s)), i == 0, best, clear))
    return Table(header, tuple(rows), 3 if varied else 2, tuple(_notes(results)))


def percent(found: Interval, *, signed: bool = False) -> str:
    """Word a fraction and its interval in percent.

    >>> percent(Interval(0.8123, 0.0123, 5)), percent(Interval(0.05, float("nan"), 1), signed=True)
    ('81.2 ± 1.2', '+5.0')
    """
    if np.isnan(found.mean):
        return DASH
    mean = f"{100 * found.mean:{'+' if signed else ''}.1f}".replace("-0.0", "0.0").replace("-", "−")
    return mean if np.isnan(found.half) else f"{mean} ± {100 * found.half:.1f}"


def divergences(settings: Sequence[Setting]) -> list[str]:
    """Name every run that diverged, when and why; seeds of one setting that ended alike together."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for s in settings:
        for run in s.diverged:
            detail = run["diverged"] or {}
            tasks = len(run["class_incremental"])
            when = f" in task {detail['task'] + 1} of {tasks}" if "task" in detail else ""
            why = f": {detail['reason']}" if "reason" in detail else ""
            alike.setdefault((s.name, when, why), []).append(str(run["seed"]))
    return [
        f"{name}, seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}{when}{why}"
        for (name, when, why), seeds in alike.items()
    ]


def _against(setting: Setting, plain: Setting | None) -> tuple[str, bool]:
    if setting is plain:
        return "reference", False
    if plain is None:
        return DASH, False
    found = difference(setting, plain, "final_accuracy")
    return percent(found, signed=True), bool(found.excludes_zero)


def counted_seeds(setting: Setting) -> str:
    """How many seeds a mean is over: "10", or "9 of 10" where some diverged."""
    total = len(setting.runs)
    return str(total) if setting.num_finished == total else f"{setting.num_finished} of {total}"


def _notes(results: Results) -> list[str]:
    counts = {s.num_finished for s in results.settings}
    notes = [
        "In percent, class-incremental"
        + ("; mean ± 95 % interval over seeds (Student's t)." if max(counts) > 1 else ".")
    ]
    if len(headline(results)) > len(HEADLINE):
        notes.append("Anytime accuracy: that on the classes so far, mean over evaluations within tasks.")
    if any(f.plain is not None and f.masked for f in results.families):
        notes.append("vs no mask: difference in final accuracy, in points, paired by seed.")
    if max(counts) == 1:
        notes.append("One seed: there is no interval, and differences may be chance.")
    elif 1 in counts:
        notes.append("Where one seed is left there is no interval.")
    if any(s.method == "er_ace" and s.dial.kind == "none" for s in results.settings):
        notes.append('ER-ACE without a mask is ER with reduction "sum": the mask is all that it adds.')
    named = divergences(results.settings)
    if named:
        shown = named[:10] + ([f"and {len(named) - 10} more"] if len(named) > 10 else [])
        notes.append(f"Diverged and left out of the means: {'; '.join(shown)}.")
    return notes
