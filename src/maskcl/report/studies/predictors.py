"""What goes with forgetting, run by run: confidence collapse, and simpler measures beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from maskcl.metrics import Bounded, rank_correlation, switch_drops
from maskcl.report.studies import Study
from maskcl.report.studies.switches import old_classes
from maskcl.results import DASH, Results, Row, Table

__all__ = ["MEASURES", "Measure", "measured", "predictors"]

FEWEST_RUNS = 8
FEWEST_SETTINGS = 30
"""From which it is drawn unasked: a population of settings, not a comparison of a few."""
_CAPTION = (
    "Each point is a run; hollow: without a mask. ρ: Spearman's rank correlation, with a 95 % interval over settings. "
    "A measure that goes with forgetting is not shown to cause it, and all but the first looks end with the task, when "
    "forgetting has happened."
)


class Measure(NamedTuple):
    """One measure of a run.

    Attributes:
        name: What it is called.
        axis: The same with its unit.
        scale: Factor for showing it.
        of: Its value, NaN where a run does not have it.
    """

    name: str
    axis: str
    scale: float
    of: Callable[[Mapping[str, Any]], float]


def _metric(name: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda run: float(run["metrics"].get(name, math.nan))


def _first_look(run: Mapping[str, Any]) -> float:
    """Mean fall of confidence in old classes from before a switch to the first evaluation after it."""
    if not run.get("anytime") or run.get("confidence") is None:
        return math.nan
    falls = []
    for _, places, values in old_classes(run, "confidence"):
        after = np.flatnonzero(places > 0)
        falls.append(values[places == 0][0] - values[after[0]])
    return float(np.mean(falls)) if falls else math.nan


def _fall_of_scores(run: Mapping[str, Any]) -> float:
    if run.get("level") is None:
        return math.nan
    anytime = run.get("anytime") or {}
    steps = (anytime["level"], anytime["task"]) if anytime.get("level") is not None else ()
    drops = switch_drops(run["level"], *steps)
    return float(np.mean(drops)) if len(drops) else math.nan


def _shift_of_weights(run: Mapping[str, Any]) -> float:
    moved = run.get("weight_shift")
    return math.nan if moved is None or len(moved) < 2 else float(np.mean(np.asarray(moved)[1:]))


MEASURES = (
    Measure("Confidence collapse", "Confidence collapse, points", 100.0, _metric("confidence_collapse")),
    Measure("Collapse at the first look", "Collapse at the first look, points", 100.0, _first_look),
    Measure("Stability gap", "Stability gap, points", 100.0, _metric("stability_gap")),
    Measure("Fall of the true class's score", "Fall of the true class's score", 1.0, _fall_of_scores),
    Measure("Shift of weights", "Shift of weights, % of their norm", 100.0, _shift_of_weights),
    Measure("Bias to the newest task", "Bias to the newest task, points", 100.0, _metric("newest_task_bias")),
)


class Measured(NamedTuple):
    """All runs by one measure.

    Attributes:
        measure: Which.
        values: Of every run that finished, [N]; NaN where unknown.
        found: Its rank correlation with forgetting over all runs.
    """

    measure: Measure
    values: Any
    found: Bounded


class Population(NamedTuple):
    """Runs with what is known of each, [N] throughout."""

    forgetting: Any
    setting: Any
    method: tuple[str, ...]
    masked: Any
    measures: tuple[Measured, ...]


def measured(results: Results) -> Population | None:
    """Measure every run that finished; None where too few have a forgetting."""
    runs = [(i, s, run) for i, s in enumerate(results.settings) for run in s.runs if run["status"] == "finished"]
    runs = [one for one in runs if not math.isnan(one[2]["metrics"].get("forgetting", math.nan))]
    if len(runs) < FEWEST_RUNS:
        return None
    forgetting = np.array([run["metrics"]["forgetting"] for _, _, run in runs])
    setting = np.array([i for i, _, _ in runs])
    found = []
    for measure in MEASURES:
        values = np.array([measure.of(run) for _, _, run in runs])
        if (~np.isnan(values)).sum() >= FEWEST_RUNS:
            found.append(Measured(measure, values, rank_correlation(values, forgetting, setting)))
    masked = np.array([s.dial.kind != "none" for _, s, _ in runs])
    return Population(forgetting, setting, tuple(s.title for _, s, _ in runs), masked, tuple(found))


def predictors(results: Results, *, asked: bool) -> list[Study]:
    """Return the study of what goes with forgetting."""
    from maskcl.report.figures.predictors import draw

    if not asked and sum(s.num_finished > 0 for s in results.settings) < FEWEST_SETTINGS:
        return []
    found = measured(results)
    if found is None or not found.measures:
        return []
    return [Study("predictors", "What goes with forgetting", _says(found), _CAPTION, _table(found),
                  lambda: draw(found))]  # fmt: skip


def _says(found: Population) -> str:
    told = [f"{one.measure.name.lower()} {said(one.found)}" for one in found.measures]
    return f"Rank correlation with forgetting over {len(found.forgetting)} runs: {'; '.join(told)}."


def said(found: Bounded) -> str:
    """A correlation with its interval, as text: ".85 (.80 to .89)"."""
    if math.isnan(found.value):
        return DASH
    interval = "" if math.isnan(found.low) else f" ({_short(found.low)} to {_short(found.high)})"
    return _short(found.value) + interval


def _short(value: float) -> str:
    text = f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")
    return text.replace("0.", ".", 1) if text.lstrip("−").startswith("0.") else text


def _table(found: Population) -> Table:
    methods = list(dict.fromkeys(found.method))
    own = methods if 1 < len(methods) <= 6 else []
    header = ("Measure", "All runs", *own, "Runs", "Settings")
    rows: list[Row] = []
    for one in found.measures:
        known = ~np.isnan(one.values)
        cells = []
        for method in own:
            here = np.array([name == method for name in found.method])
            cells.append(said(rank_correlation(one.values[here], found.forgetting[here], found.setting[here])))
        count = len(np.unique(found.setting[known]))
        rows.append(Row((one.measure.name, said(one.found), *cells, str(int(known.sum())), str(count)), not rows))
    note = ("Spearman's rank correlation with forgetting, with a 95 % bootstrap interval over settings; "
            "1: the same order, 0: none.")  # fmt: skip
    return Table(header, tuple(rows), 1, (note,))
