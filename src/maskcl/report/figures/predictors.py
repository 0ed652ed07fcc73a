"""Scatters of forgetting against each measure, a panel a measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskcl.report.figures import style
from maskcl.report.studies.predictors import Population, said

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

COLUMNS = 3


def draw(found: Population) -> Figure:
    """Draw one panel for each measure."""
    columns = min(COLUMNS, len(found.measures))
    rows = -(-len(found.measures) // columns)
    figure, grid = style.canvas(rows, columns, size=(3.3 * columns + 0.8, 3.1 * rows + 0.4), sharey=True)
    methods = list(dict.fromkeys(found.method))
    few = len(found.forgetting) < 200
    for axes in grid.flat[len(found.measures) :]:
        axes.set_visible(False)
    for axes, one in zip(grid.flat, found.measures, strict=False):
        for i, method in enumerate(methods):
            here = np.array([name == method for name in found.method])
            for masked in (True, False):
                some = here & (found.masked == masked)
                colour = style.colour(i)
                axes.plot(one.measure.scale * one.values[some], found.forgetting[some], "o", color=colour, alpha=0.6,
                          markerfacecolor=colour if masked else "none", markersize=4.2 if few else 2.6,
                          markeredgewidth=0 if masked else 0.9, zorder=2 + masked)  # fmt: skip
        style.title(axes, f"ρ = {said(one.found)}", width=2.9)
        axes.set_xlabel(one.measure.axis)
        style.percent_axis(axes, "y")
    for axes in grid[:, 0]:
        axes.set_ylabel("Forgetting, %")
    if len(methods) > 1:
        marks = [axes.plot([], [], "o", color=style.colour(i), markersize=5)[0] for i in range(len(methods))]
        figure.legend(marks, methods, loc="outside upper left", ncols=min(5, len(methods)))
    return figure
