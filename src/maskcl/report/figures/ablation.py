"""One change at a time: a row a change, its difference in final accuracy with interval and seeds, a panel a base."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maskcl.report.figures import style
from maskcl.report.studies.ablation import Ablation
from maskcl.results import Setting

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
    for axes, one in zip(grid[:, 0], found, strict=True):
        _panel(axes, one)
    grid[-1, 0].set_xlim(*_limits(found))
    grid[-1, 0].set_xlabel("Final accuracy against the setting as it is, points")
    return figure


def _panel(axes: Axes, one: Ablation) -> None:
    shown = one.changes[:MOST]
    for i, change in enumerate(shown):
        pairs = _pairs(change.setting, one.base)
        mean, half = 100 * float(change.cost.mean), np.nan_to_num(100 * float(change.cost.half))
        colour = style.colour(int(mean < 0)) if change.cost.excludes_zero else style.GREY
        dots: Any = {"color": colour, "markersize": 4.5, "markeredgewidth": 0, "alpha": 0.45, "zorder": 2}
        axes.plot(pairs, np.full(len(pairs), -i - 0.24), ".", **dots)
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


def _limits(found: Sequence[Ablation]) -> tuple[float, float]:
    """All runs and means; bars may go on beyond, for those of two seeds would leave nothing of the rest."""
    values = [0.0, *(v for one in found for change in one.changes[:MOST] for v in _pairs(change.setting, one.base))]
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = max(0.08 * (high - low), 0.5)
    return low - margin, high + margin


def _pairs(setting: Setting, base: Setting) -> list[float]:
    """Differences of the runs that have the same seed, in points."""
    ours, theirs = (dict(zip(s.seeds, s.values("final_accuracy"), strict=True)) for s in (setting, base))
    return [100 * float(ours[seed] - theirs[seed]) for seed in ours if seed in theirs]
