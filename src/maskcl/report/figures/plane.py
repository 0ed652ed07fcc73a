"""The stability-plasticity plane: what a mask saves from forgetting, and what it costs in learning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskcl.report.figures import style
from maskcl.report.figures.placement import place_labels
from maskcl.report.names import apart, cut, family_name, short_name
from maskcl.results import Results, Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plane"]

COLUMNS = 2
LONGEST = 40
"""Letters of a method with what else varies, beside a point."""
METRICS = ("forgetting", "learning_accuracy")
LOW, HIGH = np.array([-1.0, 0.0]), np.array([1.0, 1.0])
"""Ends of what the two metrics can be."""


class _Panel(NamedTuple):
    """Settings [N] with their names and colours."""

    title: str
    varies: str
    settings: list[Setting]
    names: list[str]
    colours: list[str]

    @property
    def means(self) -> Any:
        """Forgetting and learning accuracy, [N, 2]."""
        return np.array([[float(s.interval(metric).mean) for metric in METRICS] for s in self.settings])

    @property
    def bars(self) -> Any:
        """Error bars downwards and upwards, [2, N, 2]."""
        halves = [[float(s.interval(metric).half) for metric in METRICS] for s in self.settings]
        return style.inside(self.means, halves, LOW, HIGH)

    @property
    def runs(self) -> Any:
        """Each run by itself, [M, 2]."""
        return np.concatenate([np.stack([s.values(metric) for metric in METRICS], 1) for s in self.settings])


def plane(results: Results) -> Figure | None:
    """Draw learning accuracy against forgetting, a panel a family; None unless two settings have both.

    Families of one setting share one panel if there are no others; beside others they are grey points.
    """
    panels = _panels(results)
    if not panels:
        return None
    every = [_known(family.settings) for family in results.families]
    everything = _Panel("", "", [s for known in every for s in known], [], [])
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width = 4.6 if columns > 1 else 6.4
    figure, grid = style.canvas(rows, columns, size=(width * columns, 4.4 * rows), sharex=True, sharey=True)
    _limits(grid[0, 0], everything)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _equal_accuracy(axes, results)
        axes.scatter(*everything.means.T, s=14, color=style.LIGHT, zorder=1)
        _scatter(axes, panel)
        style.title(axes, panel.title, panel.varies, width=width - 0.9, pad=16)
        _axes_names(axes, at_left=axes in grid[:, 0], at_bottom=True)
    figure.draw_without_rendering()  # fixes the layout, so that labels can be measured
    figure.set_layout_engine("none")
    for axes, panel in zip(grid.flat, panels, strict=False):
        bars = panel.bars.max(0)
        off = everything.means
        place_labels(axes, panel.means, panel.names, panel.colours, bars=bars, keep_off=off, fontsize=8.5)
    return figure


def _panels(results: Results) -> list[_Panel]:
    colours = style.colours(results.families)
    known = [(family, _known(family.settings)) for family in results.families]
    panels = [
        _Panel(
            settings[0].title,
            "" if any(apart(s, family) for s in settings) else settings[0].varies,
            settings,
            [", ".join(filter(None, (short_name(s.dial), apart(s, family)))) for s in settings],
            [style.INK if s.dial.kind == "none" else colours[family.name] for s in settings],
        )
        for family, settings in known
        if len(settings) > 1
    ]
    if panels or sum(len(settings) for _, settings in known) < 2:
        return panels[: style.MOST_PANELS]
    alone = [(family, settings[0]) for family, settings in known if settings]
    names = [
        cut(family_name(family), LONGEST) + ("" if s.dial.kind == "none" else f", {short_name(s.dial)}")
        for family, s in alone
    ]
    return [_Panel("", "", [s for _, s in alone], names, [colours[family.name] for family, _ in alone])]


def _known(settings: tuple[Setting, ...]) -> list[Setting]:
    """Those that have both metrics."""
    return [s for s in settings if not any(np.isnan(s.interval(metric).mean) for metric in METRICS)]


def _limits(axes: Axes, panel: _Panel) -> None:
    """Room for all runs and labels around them; bars may go on beyond, for those of two seeds would leave nothing."""
    shown = panel.runs
    low, high = np.nanmin(shown, 0), np.nanmax(shown, 0)
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
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.grid(visible=False)


def _scatter(axes: Axes, panel: _Panel) -> None:
    for s, (x, y), (dx, dy), colour in zip(
        panel.settings, panel.means, np.moveaxis(panel.bars, 0, 2), panel.colours, strict=True
    ):
        plain = s.dial.kind == "none"
        bars: Any = {"xerr": dx[:, None], "yerr": dy[:, None], "elinewidth": 0.9, "ecolor": colour}
        axes.errorbar(x, y, fmt="none", alpha=0.35, zorder=2, **bars)
        if s.num_finished > 1:
            style.seeds(axes, s.values(METRICS[0]), s.values(METRICS[1]), colour)
        size = 11 if plain else 6.5
        axes.plot(x, y, style.marker(s.dial), color=colour, markersize=size, markeredgecolor="white", zorder=3)


def _axes_names(axes: Axes, *, at_left: bool, at_bottom: bool) -> None:
    style.percent_axis(axes, "x")
    style.percent_axis(axes, "y")
    axes.tick_params(labelbottom=True, labelleft=True)
    if at_bottom:
        axes.set_xlabel("Forgetting, % (left is better)")
    if at_left:
        axes.set_ylabel("Learning accuracy, % (up is better)")
