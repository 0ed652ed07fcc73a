"""What happens task by task: accuracy of each, and the confidence in old classes at each switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskcl import metrics
from maskcl.report.figures import style
from maskcl.report.names import apart, short_name
from maskcl.results import Family, Results, Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["accuracy_over_time", "confidence_over_time"]

FEW = 10
"""Tasks up to which each line has its name and its interval."""


def accuracy_over_time(results: Results) -> Figure | None:
    """Draw each task's accuracy after every task, families below each other, without a mask and with the best one."""
    rows = style.in_pairs([found for family in results.families if (found := _compared(family))][: style.MOST_PANELS])
    if not rows:
        return None
    columns = max(map(len, rows))
    figure, grid = style.canvas(len(rows), columns, size=(4.3 * columns + 1.0, 2.75 * len(rows) + 0.3), sharey=True)
    for line, found in zip(grid, rows, strict=True):
        for axes, setting in zip(line, found, strict=False):
            _tasks(axes, setting)
            style.title(axes, f"{setting.title}, {short_name(setting.dial)}", setting.varies, width=3.2)
        for axes in line[len(found) :]:
            axes.set_visible(False)
        line[0].set_ylabel("Accuracy, %")
    for axes in grid[-1]:
        axes.set_xlabel("After task")
    return figure


def confidence_over_time(results: Results) -> Figure | None:
    """Draw the mean confidence in old classes from just before each switch on, a panel a family."""
    rows = [(family, [s for s in _shown(family) if _drops(s) is not None]) for family in results.families]
    rows = [(family, found) for family, found in rows if found][: style.MOST_PANELS]
    if not rows:
        return None
    columns = min(2, len(rows))
    height = -(-len(rows) // columns)
    figure, grid = style.canvas(height, columns, size=(4.6 * columns + 0.8, 3.3 * height), sharey=True)
    for axes in grid.flat[len(rows) :]:
        axes.set_visible(False)
    colours = style.colours(results.families)
    for axes, (family, found) in zip(grid.flat, rows, strict=False):
        _saws(axes, family, found, colours[family.name])
        below = "" if any(apart(s, family) for s in found) else found[0].varies
        style.title(axes, found[0].title, below, width=3.6)
        axes.set_xlabel("After task")
    for axes in grid[:, 0]:
        axes.set_ylabel("Confidence in old classes, %")
    return figure


def _compared(family: Family) -> list[Setting]:
    """The plain setting and the best masked one, those of them that finished with more than one row."""
    return [s for s in (family.plain, family.best) if s is not None and _complete(s, "class_incremental") is not None]


def _shown(family: Family) -> list[Setting]:
    """The plain setting, the best masked one and m = -inf, each once."""
    full = next((s for s in family.masked if s.dial.kind == "full"), None)
    return list(dict.fromkeys(s for s in (family.plain, family.best, full) if s is not None))


def _complete(setting: Setting, name: str) -> Any:
    """Matrices [N, T, T] with T above 1 and nothing missing below the diagonal; else None."""
    found = setting.stacked(name)
    known = (
        found is not None and found.shape[-1] > 1 and not np.isnan(found[:, np.tri(found.shape[-1], dtype=bool)]).any()
    )
    return found if known else None


def _tasks(axes: Axes, setting: Setting) -> None:
    import matplotlib as mpl

    found = _complete(setting, "class_incremental")
    num_tasks = found.shape[-1]
    after = np.arange(num_tasks) + 1
    shades = mpl.colormaps["viridis"](np.linspace(0.0, 0.8, num_tasks))
    mean, half, _ = metrics.interval(np.moveaxis(found, 0, -1))
    few = num_tasks <= FEW
    for u, shade in enumerate(shades):
        dots = few or u == num_tasks - 1  # one value alone makes no line
        axes.plot(
            after[u:], mean[u:, u], "o-" if dots else "-", color=shade, linewidth=1.5 if few else 0.8, markersize=3.5
        )
        if few:
            _band(axes, after[u:], mean[u:, u], half[u:, u], shade)
            if len(found) > 1:
                style.seeds(axes, np.tile(after[u:], len(found)), found[:, u:, u].ravel(), shade)
    met = [float(np.mean(mean[t, : t + 1])) for t in range(num_tasks)]
    axes.plot(after, met, color=style.INK, linewidth=2.2, linestyle=(0, (4, 1.6)), zorder=4)
    _ends(axes, num_tasks, [*(mean[-1] if few else mean[-1, [0, -1]]), met[-1]], shades, few)
    _task_axis(axes, num_tasks)


def _band(axes: Axes, places: Any, mean: Any, half: Any, colour: Any) -> None:
    """An interval around a line, as far as fractions go."""
    below, above = style.inside(mean, half, 0.0, 1.0)
    axes.fill_between(places, mean - below, mean + above, color=colour, alpha=0.1, linewidth=0)


def _ends(axes: Axes, num_tasks: int, values: list[float], shades: Any, few: bool) -> None:
    """Name the lines at their right ends, pushed apart where they would overlap."""
    names = [f"task {u + 1}" for u in (range(num_tasks) if few else (0, num_tasks - 1))] + ["mean"]
    inks = [*(shades if few else shades[[0, -1]]), style.INK]
    low, high = 0.0, 1.0
    gap = 0.075
    order = np.argsort(values)
    places = np.array(values, float)[order]
    for _ in range(200):  # relax: neighbours that are too close move apart alike
        close = np.diff(places) < gap - 1e-6
        if not close.any():
            break
        push = np.where(close, (gap - np.diff(places)) / 2, 0.0)
        places[:-1] -= push
        places[1:] += push
        places = np.clip(places, low, high + 0.04)
    for i, place in zip(order, places, strict=True):
        weight = "bold" if names[i] == "mean" else "normal"
        axes.annotate(names[i], (num_tasks, values[i]), xytext=(num_tasks + 0.09 * (num_tasks - 1) ** 0.5, place),
                      textcoords="data", color=inks[i], fontsize=7.5, va="center", weight=weight,
                      annotation_clip=False)  # fmt: skip


def _drops(setting: Setting) -> Any:
    """For each switch t: places on the axis and mean confidence in the classes of tasks before t; None without data."""
    found = _complete(setting, "confidence")
    if found is None:
        return None
    lines = []
    runs = [run for run in setting.runs if run["status"] == "finished"]
    anytime = [run["anytime"] for run in runs if run.get("anytime")]
    between = len(anytime) == len(runs) and len({tuple(a["step"]) for a in anytime}) == 1
    for t in range(1, found.shape[-1]):
        places, values = [float(t)], [found[:, t - 1, :t].mean(-1)]
        if between:
            inside = np.flatnonzero(anytime[0]["task"] == t)
            values += [np.array([a["confidence"][e, :t].mean() for a in anytime]) for e in inside]
            places += list(t + _fractions(anytime[0], t)[: len(inside)])
        lines.append((np.array([*places, t + 1.0]), np.array([*values, found[:, t, :t].mean(-1)])))
    return lines


def _fractions(anytime: Any, task: int) -> Any:
    """Where a task's evaluations lie between its start (0) and its end (1), judged by their steps."""
    steps, tasks = np.asarray(anytime["step"], float), np.asarray(anytime["task"])
    mine = steps[tasks == task]
    every = np.median(np.diff(steps)) if len(steps) > 1 else 1.0
    start = steps[tasks < task].max() if (tasks < task).any() else 0.0
    return (mine - start) / max(mine.max() - start + 0.01 * every, 1e-9) if len(mine) else mine


def _saws(axes: Axes, family: Family, settings: list[Setting], colour: str) -> None:
    styles = {"none": (style.INK, "-"), "full": (colour, ":")}
    for s in settings:
        ink, dash = styles.get(s.dial.kind, (colour, "-")) if s is not family.best else (colour, "-")
        lines = _drops(s)
        for i, (places, values) in enumerate(lines):
            mean, half, _ = metrics.interval(values)
            best = " (best)" if s is family.best and family.plain is not None else ""
            name = ", ".join(filter(None, (short_name(s.dial), apart(s, family)))) + best
            axes.plot(places, mean, dash, color=ink, linewidth=1.8, label=name if i == 0 else None)
            _band(axes, places, mean, half, ink)
            if len(values[0]) > 1:
                style.seeds(axes, np.repeat(places[[0, -1]], len(values[0])), np.concatenate(values[[0, -1]]), ink)
            if i:
                axes.plot(
                    [places[0]] * 2,
                    [lines[i - 1][1][-1].mean(), mean[0]],
                    color=ink,
                    linewidth=0.7,
                    alpha=0.5,
                    linestyle="-",
                )
    axes.legend(loc="best", fontsize=8)
    _task_axis(axes, len(_drops(settings[0])) + 1)


def _task_axis(axes: Axes, num_tasks: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(min(num_tasks, 10), integer=True))
    axes.set_xlim(1 - 0.03 * (num_tasks - 1), num_tasks + 0.03 * (num_tasks - 1))
    axes.set_ylim(-0.02, 1.04)
    style.percent_axis(axes, "y")
    axes.grid(visible=False, axis="x")
