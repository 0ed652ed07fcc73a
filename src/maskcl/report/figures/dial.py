"""The dial: final accuracy and forgetting from no mask to m = -inf, once through leak, once through m.

A leak from counts has no place on an axis of numbers: it stands in every column, beyond a break.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskcl.report.figures import style
from maskcl.report.names import apart, family_name, symbol
from maskcl.results import Dial, Family, Results, Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["dial", "left_out"]

KINDS = {"leak": "leak", "value": "m", "mass": "mass"}
METRICS = {"final_accuracy": "Final accuracy, %", "forgetting": "Forgetting, %"}
RANGES = {"final_accuracy": (0.0, 1.0), "forgetting": (-1.0, 1.0)}
GAP = 0.35
"""From m = -inf to what stands beyond the break, more than from one mask to the next."""
MOST_LINES = 12
"""In a column: where there would be more, masks are left out that differ in more than the dial."""
FEW = 14
"""Masks up to which each has the room of a word."""
_STYLES = ("-", "--", ":", "-.")
Line = tuple[Family, str, list[Setting]]
"""A family, what else than the dial differs from no mask, and the settings."""


def dial(results: Results) -> Figure | None:
    """Draw one column for each kind of mask that has numbers between the ends; None if there is none."""
    lines = {kind: _lines(results, kind) for kind in KINDS}
    ticks = {kind: _ticks(lines[kind]) for kind in KINDS}
    kinds = [kind for kind in KINDS if any(d.kind == kind for d in ticks[kind])]
    if not kinds:
        return None
    widths = [max(len(ticks[kind]), 3) for kind in kinds]
    size = (max(5.5, 1.6 + (0.62 if sum(widths) <= FEW else 0.46) * sum(widths)), 5.6)
    shape = {"sharex": "col", "sharey": "row", "width_ratios": widths}
    figure, grid = style.canvas(len(METRICS), len(kinds), size=size, **shape)
    for row, (metric, label) in zip(grid, METRICS.items(), strict=True):
        for axes, kind in zip(row, kinds, strict=True):
            _panel(axes, results, lines[kind], ticks[kind], metric)
        row[0].set_ylabel(label)
    for axes, kind in zip(grid[-1], kinds, strict=True):
        axes.set_xticks(_places(ticks[kind]), [symbol(d) for d in ticks[kind]])
        axes.set_xlabel(f"{KINDS[kind]}  (stronger mask to the right)")
    named = {name: line for axes in grid[0] for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    style.legend(figure, named)
    return figure


def left_out(results: Results) -> str:
    """A sentence on masks that get no line."""
    more = any(len(_lines(results, kind, every=True)) > len(_lines(results, kind)) for kind in KINDS)
    return " Masks that differ in more than the dial are many, and left out." if more else ""


def _ticks(lines: list[Line]) -> list[Dial]:
    """What a column's axis shows, weakest mask first: no mask, the numbers of this kind, m = -inf; then from counts."""
    shown = {_place(s): s.dial._replace(extras="") for _, _, line in lines for s in line}
    return sorted(shown.values(), key=lambda d: (d.kind == "auto", d.order))


def _places(ticks: list[Dial]) -> list[float]:
    return [i + GAP * (d.kind == "auto") for i, d in enumerate(ticks)]


def _belongs(setting: Setting, kind: str) -> bool:
    return setting.dial.kind in (kind, "full", "none", "auto") and setting.num_finished > 0


def _place(setting: Setting) -> tuple[str, str]:
    return _place_of(setting.dial)


def _place_of(dial: Dial) -> tuple[str, str]:
    return dial.kind, f"{dial.number:g}"


def _lines(results: Results, kind: str, *, every: bool = False) -> list[Line]:
    """Each family's settings of this kind; those that differ from no mask in more than the dial, apart."""
    found: list[Line] = []
    for family in results.families[: style.MOST_PANELS]:
        known = [s for s in family.settings if _belongs(s, kind)]
        more = {id(s): " ".join(filter(None, (s.dial.extras, apart(s, family)))) for s in known}
        for extras in sorted({more[id(s)] for s in known if s.dial.kind != "none"}):
            line = [s for s in known if s.dial.kind == "none" or more[id(s)] == extras]
            found.append((family, extras, line))
    if every or len(found) <= MOST_LINES:
        return found
    return [line for line in found if not line[1]] or found[:MOST_LINES]


def _panel(axes: Axes, results: Results, lines: list[Line], ticks: list[Dial], metric: str) -> None:
    places = {_place_of(d): place for d, place in zip(ticks, _places(ticks), strict=True)}
    colours = style.colours(results.families)
    for i, (family, extras, line) in enumerate(lines):
        shift = min(0.07, 0.4 / len(lines)) * (i - (len(lines) - 1) / 2)  # so that error bars stand side by side
        counted = np.array([s.dial.kind == "auto" for s in line])
        at = np.array([places[_place(s)] for s in line]) + shift * np.where(counted, 2.0, 1.0)  # alone, they have room
        found = [s.interval(metric) for s in line]
        means = np.array([float(f.mean) for f in found])
        halves = style.inside(means, [float(f.half) for f in found], *RANGES[metric])
        number = [e for f, e, _ in lines if f is family].index(extras)
        name, colour = family_name(family) + (f" ({extras})" if extras else ""), colours[family.name]
        again = results.families.index(family) // style.NUM_COLOURS
        for place, s in zip(at, line, strict=True):
            if s.num_finished > 1:
                values = s.values(metric)
                style.seeds(axes, [place] * len(values), values, colour, beside=4.5)
                axes.update_datalim([(place, v) for v in values if not np.isnan(v)])  # so that no run is cut off
        look: Any = {"color": colour, "markeredgecolor": "white", "markeredgewidth": 0.6, "zorder": 3}
        axes.plot(at[~counted], means[~counted], _STYLES[(number + again) % len(_STYLES)], color=colour, linewidth=1.6,
                  label=name, zorder=2)  # fmt: skip
        for part, mark, size in ((~counted, "o", 5.5), (counted, style.AUTO, 8.5)):
            axes.errorbar(at[part], means[part], halves[:, part], fmt=mark, markersize=size, elinewidth=1.2,
                          capsize=2.5, **look)  # fmt: skip
        if line[0].dial.kind == "none":
            axes.axhline(means[0], color=colour, linestyle=(0, (1, 2.5)), linewidth=1, zorder=1)
    style.percent_axis(axes, "y")
    axes.grid(visible=False, axis="x")
    axes.margins(x=0.06)
    if ticks[-1].kind == "auto":
        last, before = places[_place_of(ticks[-1])], places[_place_of(ticks[-2])]
        style.broken(axes, (last + before) / 2, last)
