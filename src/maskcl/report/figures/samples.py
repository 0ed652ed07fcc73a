"""What CFGM made: a row of the new task, its sample of each old class, and whether that is like the class."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from maskcl.report.figures import style
from maskcl.results import Results, Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["samples"]

MOST_CLASSES = 20
"""Classes whose pictures are shown: more make a figure that is too wide to read."""


def samples(results: Results) -> Figure | None:
    """Draw the samples of the CFGM setting with the highest final accuracy; None if there is no CFGM."""
    setting = _best(results)
    if setting is None:
        return None
    records = [run["samples"][-1] for run in setting.runs if run["status"] == "finished"]
    records = [record for record in records if len(record["classes"]) == len(records[0]["classes"])]
    pictures, classes = _pictures(records[0]), records[0]["classes"][:MOST_CLASSES]
    columns = max(2, len(classes))  # two panels stand below the pictures
    figure = style.empty_canvas((max(6.5, 0.85 * columns + 1.6), 6.2))
    grid = figure.add_gridspec(4, columns, height_ratios=[1, 1, 1, 2.2])
    if pictures is not None:
        x, made = pictures
        far = max(1e-9, float(np.abs(made - x).max()))
        for i, c in enumerate(classes):
            cells = ((x[i], "gray", 0, 1), (made[i], "gray", 0, 1), (made[i] - x[i], "RdBu_r", -far, far))
            for row, (image, colours, low, high) in enumerate(cells):
                axes = figure.add_subplot(grid[row, i])
                axes.imshow(image, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
                axes.set_xticks([])
                axes.set_yticks([])
                if row == 0:
                    axes.set_title(f"to class {c}", fontsize=8, fontweight="normal", loc="center")
                if i == 0:
                    axes.set_ylabel(("x", "x_c", "x_c − x")[row], rotation=0, ha="right", va="center")
    left, right = figure.add_subplot(grid[3, : columns // 2]), figure.add_subplot(grid[3, columns // 2 :])
    _before_and_after(left, records, "confidence", "Frozen network's p(class), %", scale=100)
    _before_and_after(right, records, "distance", "Distance to the class mean")
    figure.suptitle(setting.name, fontsize=9, x=0.01, ha="left")
    return figure


def _best(results: Results) -> Setting | None:
    found = [s for s in results.settings if s.num_finished and all(run.get("samples") for run in s.runs
             if run["status"] == "finished")]  # fmt: skip
    return max(found, key=lambda s: float(s.interval("final_accuracy").mean), default=None)


def _pictures(record: dict[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """Images x and x_c of each class, [n, height, width], 0 to 1; None where rows are not images of one channel."""
    coded = record.get("pictures")
    if coded is None or len(coded["shape"]) != 3 or coded["shape"][0] != 1:
        return None
    shape = (len(record["classes"]), *coded["shape"][1:])
    x, made = (np.frombuffer(base64.b64decode(coded[name]), np.uint8).reshape(shape) / 255 for name in ("x", "made"))
    return x, made


def _before_and_after(axes: Axes, records: list[dict[str, Any]], name: str, label: str, scale: float = 1.0) -> None:
    classes = records[0]["classes"]
    for when, colour, marker in (("before", style.GREY, "o"), ("after", "#0072b2", "^")):
        values = scale * np.array([record[f"{name}_{when}"] for record in records], float)
        values[~np.isfinite(values)] = np.nan  # a sample may lie beyond all numbers
        if len(values) > 1:
            style.seeds(axes, np.tile(np.arange(len(classes)), len(values)), values.ravel(), colour, beside=4.5)
        axes.plot(
            range(len(classes)), values.mean(0), marker, color=colour, label={"before": "x", "after": "x_c"}[when]
        )
    axes.set_xticks(range(len(classes)), [str(c) for c in classes])
    axes.set_xlabel("old class")
    axes.set_title(label, fontsize=9)
    if np.isfinite(axes.dataLim.y1) and axes.dataLim.y1 > 0:
        axes.set_ylim(0, 1.08 * axes.dataLim.y1)  # marks at the top are whole
    axes.legend(loc="best", fontsize=8)
