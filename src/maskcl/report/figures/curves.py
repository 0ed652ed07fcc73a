"""Lines of a metric against a number: metrics below each other, panels beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskcl.report.figures import style
from maskcl.report.studies.axis import Axis
from maskcl.report.studies.curves import Curves, Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

METRICS = {"final_accuracy": ("Final accuracy, %", 0.0), "forgetting": ("Forgetting, %", -1.0)}
"""What is drawn, what it is called, and the lowest it can be."""
LEVELS: dict[str, tuple[str, Any]] = {"no mask": ("plain", (0, (1, 2.5))), "leak auto": ("auto", (0, (6, 2, 1, 2)))}
"""Settings without a place on the axis, drawn as levels: which of a line's, and how."""
MOST_BANDS = 4
"""Lines up to which levels have their interval as a band: of more nothing is seen but grey."""
WIDEST_BAND = 0.1
"""Half an interval up to which it is a band: those of two seeds would cover all."""
_STYLES = ("-", "--", ":", "-.")


def draw(found: Curves, label: str) -> Figure:
    """Draw all lines; `label` is what the number is called."""
    drawn = found.shown
    known = [m for m in METRICS if any(not np.isnan(s.interval(m).mean) for one in drawn for _, s in one.points)]
    names = list(dict.fromkeys(line.name for line in drawn))
    panels = list(dict.fromkeys(line.panel for line in drawn))  # others would be empty
    columns = len(panels)
    wide = 4.6 if columns < 3 else 3.7
    size = (max(6.2, wide * columns + 0.8), 2.9 * max(1, len(known)) + 0.4 + 0.1 * len(names))
    figure, grid = style.canvas(max(1, len(known)), columns, size=size, sharex=True, sharey="row")
    looks = {name: (style.colour(i), _STYLES[i // style.NUM_COLOURS % len(_STYLES)]) for i, name in enumerate(names)}
    for row, metric in zip(grid, known or list(METRICS)[:1], strict=True):
        for axes, panel in zip(row, panels, strict=True):
            lines = [line for line in drawn if line.panel == panel]
            for i, line in enumerate(lines):
                side = min(0.006, 0.04 / len(lines)) * (i - (len(lines) - 1) / 2)
                _line(axes, found.axis, line, metric, looks[line.name], side)
            _levels(axes, lines, metric, looks)
            number_axis(axes, found.axis)
            style.percent_axis(axes, "y")
        row[0].set_ylabel(METRICS[metric][0])
    for axes, panel in zip(grid[0], panels, strict=True):
        if panel:
            style.title(axes, panel, width=wide - 0.6)
    for axes in grid[-1]:
        axes.set_xlabel(label)
    handles = {n: line for axes in grid.flat for line, n in zip(*axes.get_legend_handles_labels(), strict=True)}
    shown = [n for n in names if n in handles] if len(names) > 1 or not any(panels) else []
    for name, (of, dash) in LEVELS.items():
        if any(getattr(line, of) is not None for line in drawn):
            handles[name] = grid[0, 0].plot([], [], color=style.GREY, linestyle=dash, linewidth=1.4)[0]
            shown.append(name)
    if shown:
        style.legend(figure, {n: handles[n] for n in shown})
    return figure


def _line(axes: Axes, axis: Axis, line: Line, metric: str, look: tuple[str, str], side: float) -> None:
    colour, dash = look
    span = axis.limits[1] - axis.limits[0]
    at = np.array([axis.at(v) + side * span for v, _ in line.points])  # beside each other, where they are level
    found = [s.interval(metric) for _, s in line.points]
    means = np.array([float(f.mean) for f in found])
    low = METRICS[metric][1]
    halves = style.inside(means, [float(f.half) for f in found], low, 1.0)
    halves[:, np.isnan(means)] = 0
    inner = np.array([not axis.is_edge(v) for v, _ in line.points])
    axes.plot(at[inner], means[inner], dash, color=colour, linewidth=1.7, zorder=2)
    for i in range(len(at) - 1):  # over a break
        if not (inner[i] and inner[i + 1]):
            axes.plot(at[i : i + 2], means[i : i + 2], linestyle=(0, (1, 1.5)), color=colour, linewidth=1.2, zorder=2)
    axes.errorbar(at, means, halves, fmt="o", color=colour, markersize=4.5, markeredgecolor="white",
                  markeredgewidth=0.7, elinewidth=1.1, capsize=2, zorder=3)  # fmt: skip
    axes.plot([], [], dash, color=colour, marker="o", markersize=4.5, linewidth=1.7, label=line.name)
    lost = [x for x, (_, s) in zip(at, line.points, strict=True) if not s.num_finished]
    if lost:
        beside: Any = {"transform": axes.get_xaxis_transform(), "clip_on": False}
        axes.plot(lost, [0.03] * len(lost), "x", color=colour, markersize=6, markeredgewidth=1.6, zorder=4, **beside)


def _levels(axes: Axes, lines: list[Line], metric: str, looks: dict[str, tuple[str, str]]) -> None:
    """Settings that lines are held against, each once, in the colour of its first line."""
    banded = len(lines) <= MOST_BANDS
    for of, dash in LEVELS.values():
        first = {id(level): (level, line) for line in reversed(lines) if (level := getattr(line, of)) is not None}
        for level, line in first.values():
            mean, colour = level.interval(metric), looks[line.name][0]
            if np.isnan(mean.mean):
                continue
            (down,), (up,) = style.inside([float(mean.mean)], [float(mean.half)], METRICS[metric][1], 1.0)
            ends = float(mean.mean) - down, float(mean.mean) + up
            if banded and mean.half <= WIDEST_BAND:
                axes.axhspan(*ends, color=colour, alpha=0.08, linewidth=0, zorder=0)
            axes.axhline(float(mean.mean), color=colour, linestyle=dash, linewidth=1.1, zorder=1)


def number_axis(axes: Axes, axis: Axis) -> None:
    """Ticks at the values, and marks where the axis is broken."""
    axes.set_xlim(*axis.limits)
    places, labels = zip(*axis.ticks, strict=True)
    axes.set_xticks(places, labels)
    axes.set_xticks([place for place in axis.places if place not in places], minor=True)
    axes.grid(visible=False, axis="x")
    for left, right in axis.breaks:
        style.broken(axes, (left + right) / 2, axis.limits[1] - axis.limits[0])
