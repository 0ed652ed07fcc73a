"""One change at a time: a row a change, its difference in final accuracy with interval and seeds, a panel a base."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maskcl.report.figures import style
from maskcl.report.studies.ablation import Ablation
from maskcl.results import difference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

MOST = 24
"""Changes of a panel that are drawn, of which those that cost most: the table has all."""


def draw(found: Sequence[Ablation]) -> Figure:
    """Draw one panel for each base, below each other."""
    counts = [min(MOST, len(one.changes)) for one in found]
    size = (7.4, 0.6 + sum(0.75 + 0.36 * count for count in counts))
    figure, grid = style.canvas(len(found), 1, size=size, sharex=True, height_ratios=[1.5 + count for count in counts])
    for axes, one in zip(grid[:, 0], found, strict=True):
        _panel(axes, one)
    grid[-1, 0].set_xlabel("Final accuracy against the setting as it is, points")
    return figure


def _panel(axes: Axes, one: Ablation) -> None:
    shown = one.changes[:MOST]
    base = dict(zip(one.base.seeds, one.base.values("final_accuracy"), strict=True))
    for i, change in enumerate(shown):
        found = difference(change.setting, one.base, "final_accuracy")
        colour = style.colour(int(found.mean < 0)) if found.excludes_zero else style.GREY
        own = zip(change.setting.seeds, change.setting.values("final_accuracy"), strict=True)
        pairs = np.array([100 * (value - base[seed]) for seed, value in own if seed in base])
        axes.plot(
            pairs, np.full(len(pairs), -i), ".", color=colour, markersize=4.5, markeredgewidth=0, alpha=0.4, zorder=2
        )
        look: Any = {"color": colour, "markeredgecolor": "white", "markeredgewidth": 0.7, "zorder": 3}
        half = 0.0 if np.isnan(found.half) else 100 * float(found.half)
        axes.errorbar(100 * float(found.mean), -i, xerr=half, fmt="o", markersize=6, elinewidth=1.5, capsize=3, **look)
    axes.axvline(0, color=style.INK, linewidth=0.9, zorder=1)
    names = [textwrap.fill(f"{c.to} ({c.instead})", 44) for c in shown]
    axes.set_yticks([-i for i in range(len(shown))], names)
    axes.set_ylim(-len(shown) + 0.4, 0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_title(one.name)
