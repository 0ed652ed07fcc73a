"""What is taken for what after the last task: of each class's test rows, the share that each class is predicted for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskcl.report.figures import style
from maskcl.report.names import short_name
from maskcl.results import Results, Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["confusion"]

MOST_FAMILIES = 4
"""Families that are shown: each takes a row as high as it is wide."""
FEW = 12
"""Classes or tasks up to which every square has its number."""


def confusion(results: Results) -> Figure | None:
    """Draw families below each other, without a mask and with the best one; None where nothing was counted."""
    rows = [[s for s in (family.plain, family.best) if s is not None] for family in results.families]
    found = [[(s, counts) for s in row if (counts := _counts(s)) is not None] for row in rows]
    found = style.in_pairs([row for row in found if row][:MOST_FAMILIES])
    if not found:
        return None
    columns = max(map(len, found))
    figure, grid = style.canvas(len(found), columns, size=(4.3 * columns + 0.6, 4.2 * len(found)))
    for line, row in zip(grid, found, strict=True):
        for axes, (setting, (names, shares, edges, what)) in zip(line, row, strict=False):
            _panel(axes, names, shares, edges)
            style.title(axes, f"{setting.title}, {short_name(setting.dial)}", setting.varies, width=3.4)
            axes.set_ylabel(f"{what} of the row")
            axes.set_xlabel(f"predicted {what}")
        for axes in line[len(row) :]:
            axes.set_visible(False)
    return figure


def _counts(setting: Setting) -> tuple[list[str], Any, list[int], str] | None:
    """Names [G], shares of each true group [G, G], where tasks begin, and what is counted; None without counts.

    By class in the order of the tasks, with lines between them; by task where runs have class orders of their own, for
    then a class is new in one run and old in another.
    """
    runs = [run for run in setting.runs if run["status"] == "finished" and run.get("confusion") and run.get("tasks")]
    if not runs:
        return None
    orders = {tuple(map(tuple, run["tasks"])) for run in runs}
    by_class = len(orders) == 1 and all(run["confusion"]["by"] == "class" for run in runs)
    arranged = [_arranged(run, by_class=by_class) for run in runs]
    counts = sum(found for found in arranged if found.shape == arranged[0].shape)
    tasks = runs[0]["tasks"]
    names = [str(c) for classes in tasks for c in classes] if by_class else [str(t + 1) for t in range(len(tasks))]
    edges = np.cumsum([len(classes) for classes in tasks])[:-1].tolist() if by_class else []
    return names, counts / np.maximum(counts.sum(1, keepdims=True), 1), edges, "class" if by_class else "task"


def _arranged(run: dict[str, Any], *, by_class: bool) -> Any:
    """Counts of one run by class in the order of its tasks, or by task."""
    counts, tasks = run["confusion"]["counts"], run["tasks"]
    if run["confusion"]["by"] == "task":
        return counts
    order = [c for classes in tasks for c in classes]
    counts = counts[np.ix_(order, order)]
    if by_class:
        return counts
    starts = np.cumsum([0, *(len(classes) for classes in tasks[:-1])])
    return np.add.reduceat(np.add.reduceat(counts, starts, 0), starts, 1)


def _panel(axes: Axes, names: list[str], shares: Any, edges: list[int]) -> None:
    few = len(names) <= FEW
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    every = 1 if len(names) <= 20 else -(-len(names) // 10)
    places = range(0, len(names), every)
    axes.set_xticks(places, names[::every])
    axes.set_yticks(places, names[::every])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for edge in edges:
        axes.axhline(edge - 0.5, color=style.GREY, linewidth=0.6, alpha=0.6)
        axes.axvline(edge - 0.5, color=style.GREY, linewidth=0.6, alpha=0.6)
    if few:
        for (i, j), share in np.ndenumerate(shares):
            if share >= 0.005:
                ink = "white" if share > 0.55 else style.INK
                number = axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", fontsize=7.5, color=ink)
                number.set_in_layout(False)  # inside its panel, and asking each takes half of the time
