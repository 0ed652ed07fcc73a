"""One change at a time: a row a change, its difference in final accuracy with interval and seeds, a panel a base."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maskcl.report.figures import style
from maskcl.report.studies.ablation import Ablation
from maskcl.results import Setting
from maskcl.results.settings import paired

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

WIDTH = 7.4
"""Inches, of which names take up to three."""
MOST = 24
"""Changes of a panel that are drawn, of which those that cost most: the table has all."""


def draw(found: Sequence[Ablation]) -> Figure:
    """Draw one panel for each base, below each other."""
    counts = [min(MOST, len(one.changes)) for one in found]
    size = (WIDTH, 0.6 + sum(0.75 + 0.36 * count for count in counts))
    figure, grid = style.canvas(len(found), 1, size=size, sharex=True, height_ratios=[1.5 + count for count in counts])
    runs = [[_differences(change.setting, one.base) for change in one.changes[:MOST]] for one in found]
    for axes, one, own in zip(grid[:, 0], found, runs, strict=True):
        _panel(axes, one, own)
    grid[-1, 0].set_xlim(*_limits(np.concatenate([values for own in runs for values in own])))
    grid[-1, 0].set_xlabel("Final accuracy against the setting as it is, points")
    return figure


def _panel(axes: Axes, one: Ablation, runs: Sequence[Any]) -> None:
    """Changes, and the differences of their single runs."""
    shown = one.changes[:MOST]
    for i, (change, values) in enumerate(zip(shown, runs, strict=True)):
        mean, half = 100 * float(change.cost.mean), np.nan_to_num(100 * float(change.cost.half))
        colour = style.colour(int(mean < 0)) if change.cost.excludes_zero else style.GREY
        dots: Any = {"color": colour, "markersize": 4.5, "markeredgewidth": 0, "alpha": 0.45, "zorder": 2}
        axes.plot(values, np.full(len(values), -i - 0.24), ".", **dots)
        look: Any = {"color": colour, "markeredgecolor": "white", "markeredgewidth": 0.7, "zorder": 3}
        axes.errorbar(mean, -i, xerr=half, fmt="o", markersize=6, elinewidth=1.5, capsize=3, **look)
        if not change.setting.num_finished:
            axes.plot(0.02, -i, "x", color=style.GREY, markersize=7, transform=axes.get_yaxis_transform())
    axes.axvline(0, color=style.INK, linewidth=0.9, zorder=1)
    names = [textwrap.fill(f"{c.to} ({c.instead})", 44) for c in shown]
    axes.set_yticks([-i for i in range(len(shown))], names)
    axes.set_ylim(-len(shown) + 0.4, 0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    style.title(axes, one.name, width=WIDTH - 3.0)


def _limits(values: Any) -> tuple[float, float]:
    """All runs; bars may go on beyond, for those of two seeds would leave nothing of the rest."""
    low, high = float(np.nanmin([0.0, *values])), float(np.nanmax([0.0, *values]))
    margin = max(0.08 * (high - low), 0.5)
    return low - margin, high + margin


def _differences(setting: Setting, base: Setting) -> Any:
    """Of the runs that have the same seed, in points."""
    ours, theirs = paired(setting, base, "final_accuracy")
    return 100 * (np.array(ours) - np.array(theirs))
