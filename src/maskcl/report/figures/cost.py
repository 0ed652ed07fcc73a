"""Accuracy against seconds: lines of growing memory, stars for CFGM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maskcl.report.figures import style
from maskcl.report.figures.placement import place_labels
from maskcl.report.studies.cost import Priced, labels_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

WIDEST = 32
"""Letters of a line's name up to which two stand beside each other above the figure."""
MOST_NAMED = 40
"""Points that have a label: more would cover each other."""


def draw(found: Sequence[Priced]) -> Figure:
    """Draw all settings into one panel, seconds on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    names = list(dict.fromkeys(one.line for one in found if one.line))
    figure, grid = style.canvas(1, 1, size=(7.0, 4.9 + 0.1 * len(names)))
    axes = grid[0, 0]
    colours = [style.colour(names.index(one.line)) if one.line else style.INK for one in found]
    for one, colour in zip(found, colours, strict=True):
        star = bool(one.setting.cfgm)
        bars: Any = {"xerr": _half(one.seconds, float(one.seconds.mean) * 0.999),
                     "yerr": _half(one.accuracy, float(one.accuracy.mean))}  # fmt: skip
        axes.errorbar(float(one.seconds.mean), float(one.accuracy.mean), fmt="*" if star else "o" if one.line else "D",
                      color=colour, markersize=12 if star else 5.5, markeredgecolor="white", markeredgewidth=0.7,
                      elinewidth=0.9, zorder=3, **bars)  # fmt: skip
    for i, name in enumerate(names):
        line = sorted((one for one in found if one.line == name), key=lambda one: one.slots)
        x, y = (
            [float(part.mean) for part in parts] for parts in zip(*((o.seconds, o.accuracy) for o in line), strict=True)
        )
        axes.plot(x, y, "-", color=style.colour(i), linewidth=1.4, label=f"{name}, by slots", zorder=2)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    style.percent_axis(axes, "y")
    axes.set_xlabel("Seconds of training, a run (left is better)")
    axes.set_ylabel("Final accuracy, % (up is better)")
    axes.margins(0.12)
    if names:
        beside = len(names) > 1 and max(map(len, names)) <= WIDEST
        figure.legend(
            *axes.get_legend_handles_labels(), loc="outside upper left", ncols=2 if beside else 1, fontsize=8.5
        )
    figure.draw_without_rendering()  # fixes the layout, so that labels can be measured
    figure.set_layout_engine("none")
    if len(found) <= MOST_NAMED:
        points = np.array([[float(one.seconds.mean), float(one.accuracy.mean)] for one in found])
        place_labels(axes, points, labels_of(found), colours, fontsize=8)
    return figure


def _half(found: Any, most: float) -> Any:
    """An interval's half downwards and upwards; none where it is unknown."""
    half = float(np.nan_to_num(found.half))
    return [[min(half, most)], [half]]
