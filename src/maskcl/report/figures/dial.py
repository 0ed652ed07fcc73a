"""The dial: final accuracy and forgetting from no mask to m = -inf, once through leak, once through m."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskcl.report.figures import style
from maskcl.report.names import apart, symbol
from maskcl.results import Dial, Family, Results, Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["dial"]

KINDS = {"leak": "leak", "value": "m", "mass": "mass"}
METRICS = {"final_accuracy": "Final accuracy, %", "forgetting": "Forgetting, %"}
RANGES = {"final_accuracy": (0.0, 1.0), "forgetting": (-1.0, 1.0)}
_STYLES = ("-", "--", ":", "-.")


def dial(results: Results) -> Figure | None:
    """Draw one column for each kind of mask that has numbers between the ends; None if there is none."""
    ticks = {kind: _ticks(results, kind) for kind in KINDS}
    kinds = [kind for kind in KINDS if any(d.kind == kind for d in ticks[kind])]
    if not kinds:
        return None
    widths = [max(len(ticks[kind]), 3) for kind in kinds]
    size = (max(5.5, 1.6 + 0.62 * sum(widths)), 5.6)
    shape = {"sharex": "col", "sharey": "row", "width_ratios": widths}
    figure, grid = style.canvas(len(METRICS), len(kinds), size=size, **shape)
    for row, (metric, label) in zip(grid, METRICS.items(), strict=True):
        for axes, kind in zip(row, kinds, strict=True):
            _panel(axes, results, kind, ticks[kind], metric)
        row[0].set_ylabel(label)
    for axes, kind in zip(grid[-1], kinds, strict=True):
        axes.set_xticks(range(len(ticks[kind])), [symbol(d) for d in ticks[kind]])
        axes.set_xlabel(f"{KINDS[kind]}  (stronger mask to the right)")
    named = {name: line for axes in grid[0] for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    labels = list(named)
    fitting = int(size[0] * 72 / (40 + 5.6 * max(map(len, labels))))  # points of a handle, and of a letter
    figure.legend(named.values(), labels, loc="outside upper left", ncols=max(1, min(4, len(labels), fitting)))
    return figure


def _ticks(results: Results, kind: str) -> list[Dial]:
    """What a column's axis shows, weakest mask first: no mask, the numbers of this kind, m = -inf."""
    shown = {_place(s): s.dial._replace(extras="") for s in results.settings if _belongs(s, kind)}
    return sorted(shown.values(), key=lambda d: d.order)


def _belongs(setting: Setting, kind: str) -> bool:
    return setting.dial.kind in (kind, "full", "none") and setting.num_finished > 0


def _place(setting: Setting) -> tuple[str, str]:
    return setting.dial.kind, f"{setting.dial.number:g}"


def _lines(results: Results, kind: str) -> list[tuple[Family, str, list[Setting]]]:
    """Each family's settings of this kind; those that differ from no mask in more than the dial, apart."""
    found = []
    for family in results.families:
        known = [s for s in family.settings if _belongs(s, kind)]
        more = {id(s): " ".join(filter(None, (s.dial.extras, apart(s, family)))) for s in known}
        for extras in sorted({more[id(s)] for s in known if s.dial.kind != "none"}):
            line = [s for s in known if s.dial.kind == "none" or more[id(s)] == extras]
            found.append((family, extras, line))
    return found


def _panel(axes: Axes, results: Results, kind: str, ticks: list[Dial], metric: str) -> None:
    places = {(d.kind, f"{d.number:g}"): i for i, d in enumerate(ticks)}
    colours = style.colours(results.families)
    lines = _lines(results, kind)
    for i, (family, extras, line) in enumerate(lines):
        shift = min(0.07, 0.4 / len(lines)) * (i - (len(lines) - 1) / 2)  # so that error bars stand side by side
        at = [places[_place(s)] + shift for s in line]
        found = [s.interval(metric) for s in line]
        means = [float(f.mean) for f in found]
        halves = style.inside(means, [float(f.half) for f in found], *RANGES[metric])
        number = [e for f, e, _ in lines if f is family].index(extras)
        name, colour = f"{family.name} ({extras})" if extras else family.name, colours[family.name]
        for place, s in zip(at, line, strict=True):
            if s.num_finished > 1:
                style.seeds(axes, [place] * len(s.runs), s.values(metric), colour, beside=4.5)
        axes.plot(at, means, _STYLES[number % len(_STYLES)], color=colour, linewidth=1.6, label=name, zorder=2)
        axes.errorbar(at, means, halves, fmt="o", color=colour, markersize=5.5, markeredgecolor="white",
                      markeredgewidth=0.8, elinewidth=1.2, capsize=2.5, zorder=3)  # fmt: skip
        if line[0].dial.kind == "none":
            axes.axhline(means[0], color=colour, linestyle=(0, (1, 2.5)), linewidth=1, zorder=1)
    style.percent_axis(axes, "y")
    axes.grid(visible=False, axis="x")
    axes.margins(x=0.06)
