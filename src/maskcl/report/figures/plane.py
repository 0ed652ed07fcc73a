"""The stability-plasticity plane: what a mask saves from forgetting, and what it costs in learning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskcl.report.figures import style
from maskcl.report.figures.placement import place_labels
from maskcl.report.names import short_name
from maskcl.results import Family, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plane"]

COLUMNS = 2


def plane(results: Results) -> Figure | None:
    """Draw learning accuracy against forgetting, a panel a family; None if no setting has both."""
    shown = [family for family in results.families if len(_points(family)[0])][: style.MOST_PANELS]
    if not shown:
        return None
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    size = (4.6 * columns + (1.4 if columns == 1 else 0), 4.3 * rows)
    figure, grid = style.canvas(rows, columns, size=size, sharex=True, sharey=True)
    every = [_points(family) for family in shown]
    _limits(grid[0, 0], every)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes, family in zip(grid.flat, shown, strict=False):
        _equal_accuracy(axes, results)
        for others in every:
            axes.scatter(*others[0].T, s=14, color=style.LIGHT, zorder=1)
        _scatter(axes, family, style.colours(results.families)[family.name])
        axes.set_title(family.name, pad=16)
        _axes_names(axes, at_left=axes in grid[:, 0], at_bottom=True)
    figure.draw_without_rendering()  # fixes the layout, so that labels can be measured
    figure.set_layout_engine("none")
    for axes, family in zip(grid.flat, shown, strict=False):
        points, halves, settings = _points(family)
        colour = style.colours(results.families)[family.name]
        colours = [style.INK if s.dial.kind == "none" else colour for s in settings]
        names = [short_name(s.dial) for s in settings]
        all_points = np.concatenate([means for means, _, _ in every])
        place_labels(axes, points, names, colours, bars=halves, keep_off=all_points, fontsize=8.5)
    return figure


def _points(family: Family) -> tuple[Any, Any, list[Any]]:
    """Means [N, 2] and half intervals [N, 2] of forgetting and learning accuracy, and the settings that have both."""
    found = [(s, [s.interval(metric) for metric in ("forgetting", "learning_accuracy")]) for s in family.settings]
    kept = [(s, pair) for s, pair in found if not any(np.isnan(i.mean) for i in pair)]
    means = np.array([[float(i.mean) for i in pair] for _, pair in kept]).reshape(-1, 2)
    halves = np.array([[float(i.half) for i in pair] for _, pair in kept]).reshape(-1, 2)
    return means, halves, [s for s, _ in kept]


def _limits(axes: Axes, every: list[tuple[Any, Any, list[Any]]]) -> None:
    """Room for points, error bars and labels around them."""
    means = np.concatenate([means for means, _, _ in every])
    halves = np.nan_to_num(np.concatenate([halves for _, halves, _ in every]))
    low, high = (means - halves).min(0), (means + halves).max(0)
    margin = np.maximum(0.14 * (high - low), 0.01)
    axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axes.set_ylim(low[1] - margin[1], high[1] + margin[1])


def _equal_accuracy(axes: Axes, results: Results) -> None:
    """Dotted lines of about equal final accuracy: learning accuracy - (T-1)/T * forgetting."""
    from matplotlib.ticker import MaxNLocator

    tasks = {len(run["class_incremental"]) for run in results.runs}
    if len(tasks) != 1:
        return
    slope = 1 - 1 / tasks.pop()
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for level in MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(bottom - slope * right, top - slope * left):
        end = min(right, (top - level) / slope)
        if not 0 <= level <= 1 or end <= left or level + slope * end <= bottom:
            continue
        axes.plot(
            [left, right],
            [level + slope * left, level + slope * right],
            ":",
            color="#b6bcc4",
            linewidth=0.9,
            zorder=0.5,
        )
        at_top = end < right
        note: Any = {"ha": "center", "va": "bottom"} if at_top else {"ha": "left", "va": "center"}
        note |= {"xytext": (0, 2) if at_top else (2, 0), "textcoords": "offset points", "annotation_clip": False}
        axes.annotate(f"{100 * level:.3g} %", (end, level + slope * end), fontsize=7, color=style.GREY, **note)
    axes.text(0.985, 0.02, "dotted: final accuracy", transform=axes.transAxes, ha="right", fontsize=7, color=style.GREY)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.grid(visible=False)


def _scatter(axes: Axes, family: Family, colour: str) -> None:
    for s, (x, y), (dx, dy) in zip(*[_points(family)[i] for i in (2, 0, 1)], strict=True):
        plain = s.dial.kind == "none"
        bars = {"xerr": np.nan_to_num(dx), "yerr": np.nan_to_num(dy), "elinewidth": 0.9, "ecolor": colour}
        axes.errorbar(x, y, fmt="none", alpha=0.35, zorder=2, **bars)
        face = style.INK if plain else colour
        size = 11 if plain else 6.5
        axes.plot(x, y, style.marker(s.dial), color=face, markersize=size, markeredgecolor="white", zorder=3)


def _axes_names(axes: Axes, *, at_left: bool, at_bottom: bool) -> None:
    style.percent_axis(axes, "x")
    style.percent_axis(axes, "y")
    axes.tick_params(labelbottom=True, labelleft=True)
    if at_bottom:
        axes.set_xlabel("Forgetting, % (left is better)")
    if at_left:
        axes.set_ylabel("Learning accuracy, % (up is better)")
