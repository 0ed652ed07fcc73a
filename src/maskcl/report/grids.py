"""The page's tables: what varies in columns of its own, and for every cell a value to sort by."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from maskcl.metrics import Interval
from maskcl.report.names import said
from maskcl.results import DASH, Results, Setting, Table, difference, headline, percent
from maskcl.results.varying import own_words

__all__ = ["further", "of_table", "settings"]

FURTHER = {
    "average_incremental_accuracy": "Average incremental accuracy",
    "backward_transfer": "Backward transfer",
    "stability": "Stability",
    "confidence_collapse": "Confidence collapse",
    "newest_task_bias": "Bias to the newest task",
    "stability_gap": "Stability gap",
    "final_accuracy_task_incremental": "Final accuracy, task-incremental",
    "forgetting_task_incremental": "Forgetting, task-incremental",
}
"""Metrics of the second table, as far as the results have them."""
NAMES = 2
"""Leading columns of every table: method and mask."""

Grid = dict[str, Any]
"""A label, columns (name, whether it is text), rows (whether a family starts, cells), notes."""


def settings(results: Results) -> Grid:
    """Return the table of all settings, the same numbers and the same order as in every other format."""
    table, in_order = results.table(), _in_order(results)
    compares = any(family.plain is not None and family.masked for family in results.families)
    rows = []
    for row, (s, plain) in zip(table.rows, in_order, strict=True):
        *numbers, against, count = row.cells[table.num_names :]
        change = difference(s, plain, "final_accuracy") if plain is not None else None
        cells = _names(results, s)
        cells[1]["bold"] = row.best
        for metric, text in zip(headline(results), numbers, strict=True):
            cells.append(_cell(text, _mean(s.interval(metric)), bold=row.best and metric == "final_accuracy"))
        kind = ("up" if against.startswith("+") else "down") if row.clear else ""
        if compares:
            cells.append(_cell(against, "" if change is None else _mean(change), kind))
        cells.append(_cell(count, s.num_finished))
        rows.append({"first": row.first, "cells": cells})
    coloured = ["Coloured differences: the 95 % interval excludes zero."] if any(r.clear for r in table.rows) else []
    metrics = table.header[table.num_names : -2]
    others = [*metrics, *(["vs no mask"] if compares else []), "Seeds"]
    columns = _columns(results) + [{"name": name, "text": False} for name in others]
    return _grid("All settings", columns, rows, [*table.notes, *table.key, *coloured])


def further(results: Results) -> Grid | None:
    """Return the table of the other metrics that some run has; None if there are none."""
    names = {metric: name for metric, name in FURTHER.items() if metric in results.metrics}
    rows = []
    for s, _ in _in_order(results):
        found = {metric: s.interval(metric) for metric in names}
        rows.append(
            {"first": False, "cells": _names(results, s) + [_cell(percent(i), _mean(i)) for i in found.values()]}
        )
    columns = _columns(results) + [{"name": name, "text": False} for name in names.values()]
    return _grid("Further metrics", columns, rows, ["In percent."]) if names else None


def of_table(label: str, table: Table) -> Grid:
    """Return a study's table; cells sort by the number that they begin with."""
    columns = [{"name": name, "text": i < table.num_names} for i, name in enumerate(table.header)]
    rows = [
        {"first": row.first, "cells": [_cell(text, _leading(text), "name" if i < table.num_names else "")
                                       for i, text in enumerate(row.cells)]}
        for row in table.rows
    ]  # fmt: skip
    return _grid(label, columns, rows, list(table.notes))


def _leading(text: str) -> float | str:
    """The number that a cell begins with; else its text."""
    plain = text.replace("−", "-").replace(",", "").replace("∞", "1e300")
    found = re.match(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", plain)
    return float(found[0]) if found else "" if text == DASH else text


def _grid(label: str, columns: list[Any], rows: list[Any], notes: list[str]) -> Grid:
    return {"label": label, "columns": columns, "rows": rows, "notes": notes}


def _in_order(results: Results) -> list[tuple[Setting, Setting | None]]:
    """Settings, each with the one without a mask that it is held against."""
    return [(s, family.plain) for family in results.families for s in family.settings]


def _shown(results: Results) -> list[str]:
    """What varies and is not said by the mask's name, or by CFGM's."""
    return [name for name in results.varied[0] if name.split(".")[0] != "mask" and not name.startswith("cfgm.")]


def _columns(results: Results) -> list[dict[str, Any]]:
    varied = _shown(results)
    text = [any(isinstance(v[name], str) for v in results.varied) for name in varied]
    named = [{"name": name, "text": True} for name in ("Method", "Mask")]
    return named + [{"name": name, "text": is_text} for name, is_text in zip(varied, text, strict=True)]


def _names(results: Results, setting: Setting) -> list[dict[str, Any]]:
    place = next(i for i, s in enumerate(results.settings) if s is setting)
    cells = [_cell(setting.title, setting.title, "name"), _cell(setting.mask, _strength(results, setting), "name")]
    for column, name in zip(_columns(results)[NAMES:], _shown(results), strict=True):
        value = results.varied[place][name]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        text = DASH if value is None else said(value)
        if name == "cfgm" and setting.cfgm:
            text = " ".join(own_words(text, {s.cfgm for s in results.settings if s.cfgm}))
        cells.append(_cell(text, value if number else "" if value is None else text, "name" if column["text"] else ""))
    return cells


def _strength(results: Results, setting: Setting) -> int:
    """Masks sort from none to the strongest, not by the letters of their names."""
    return sorted({s.dial.order for s in results.settings}).index(setting.dial.order)


def _mean(found: Interval) -> float | str:
    return "" if np.isnan(found.mean) else round(float(found.mean), 8)


def _cell(text: str, sort: Any, kind: str = "", *, bold: bool = False) -> dict[str, Any]:
    return {"text": text, "sort": sort, "kind": kind, "bold": bold}
