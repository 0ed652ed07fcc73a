"""Strips of runs, a row a setting, with what its orders and its seeds come to by themselves."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from maskcl.report.figures import style
from maskcl.report.studies.orders import Spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

MOST = 24
"""Settings that are drawn: the table has all."""
FEW = 8
"""Settings up to which rows are high."""


def draw(found: Sequence[Spread]) -> Figure:
    """Draw one row for each setting, the first at the top."""
    shown = found[:MOST]
    figure, grid = style.canvas(1, 1, size=(7.4, 0.9 + (0.72 if len(shown) <= FEW else 0.54) * len(shown)))
    axes = grid[0, 0]
    kinds = list(dict.fromkeys(one.kind for one in shown))
    for i, one in enumerate(shown):
        place, colour = -i, style.colour(kinds.index(one.kind))
        ends = np.quantile(one.values, [0, 0.25, 0.5, 0.75, 1])
        axes.plot(ends[[0, 4]], [place, place], color=colour, linewidth=0.9, alpha=0.6, zorder=1)
        axes.barh(place, ends[3] - ends[1], 0.62, ends[1], color=colour, alpha=0.13, zorder=1.5)
        axes.plot(ends[[2, 2]], [place - 0.31, place + 0.31], color=colour, linewidth=1.3, alpha=0.8, zorder=2)
        jitter = np.random.default_rng(i).uniform(-0.06, 0.06, len(one.values))
        axes.plot(one.values, place + jitter, ".", color=colour, markersize=4, alpha=0.4, markeredgewidth=0, zorder=3)
        if one.crossed is not None:
            for means, above, mark in ((one.crossed.mean(1), 0.19, "o"), (one.crossed.mean(0), -0.19, "^")):
                axes.plot(means, np.full(len(means), place + above), mark, color=colour, markersize=5.5, alpha=0.85,
                          markeredgecolor="white", markeredgewidth=0.6, zorder=4)  # fmt: skip
    axes.set_yticks([-i for i in range(len(shown))], [textwrap.fill(one.name, 30) for one in shown])
    axes.set_ylim(-len(shown) + 0.45, 0.55)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    style.percent_axis(axes, "x")
    axes.set_xlabel("Final accuracy, %")
    marks = [
        axes.plot([], [], mark, color=style.GREY, markersize=size)[0]
        for mark, size in (("o", 5.5), ("^", 5.5), (".", 5))
    ]
    if any(one.crossed is not None for one in shown):
        figure.legend(marks, ["class orders", "seeds", "runs"], loc="outside upper left", ncols=3, fontsize=8.5)
    return figure
