"""Old classes around a switch: confidence above, accuracy below, a column a family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from maskcl import metrics
from maskcl.report.figures import style
from maskcl.report.studies.switches import BEFORE, NAMES, Course, course_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]


def draw(found: Sequence[Course]) -> Figure:
    """Draw the settings of each family into one column."""
    families = list({id(course.family): course.family for course in found}.values())
    size = (3.6 * len(families) + 1.4, 5.4)
    figure, grid = style.canvas(len(NAMES), len(families), size=size, sharex=True, sharey="row")
    for i, family in enumerate(families):
        mine = [course for course in found if course.family is family]
        colour = style.colour(i)
        looks = {"none": (style.INK, "-"), "full": (colour, ":")}
        for row, name in zip(grid, NAMES, strict=True):
            axes = row[i]
            for course in mine:
                s = course.setting
                ink, dash = (colour, "-") if s is family.best else looks.get(s.dial.kind, (colour, "-"))
                mean, half, _ = metrics.interval(course.values[name].T)
                below, above = style.inside(mean, half, 0.0, 1.0)
                best = " (best)" if s is family.best and family.plain is not None else ""
                axes.plot(course.places, mean, dash, color=ink, linewidth=1.7, label=course_name(course) + best)
                axes.fill_between(course.places, mean - below, mean + above, color=ink, alpha=0.12, linewidth=0)
            axes.axvline(0, color=style.GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
            style.percent_axis(axes, "y")
            axes.set_ylim(-0.02, 1.02)
        below_title = family.settings[0].varies if len({s.varies for s in family.settings}) == 1 else ""
        style.title(grid[0, i], family.settings[0].title, below_title, width=2.9)
        grid[0, i].legend(loc="lower right", fontsize=8)
        grid[-1, i].set_xlabel("Share of the new task (0: the switch)")
        grid[-1, i].set_xlim(-BEFORE - 0.02, 1.02)
    for row, label in zip(grid, NAMES.values(), strict=True):
        row[0].set_ylabel(label)
    return figure
