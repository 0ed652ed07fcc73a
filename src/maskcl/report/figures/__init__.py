"""The figures of a report, as PNG and SVG, with what to read in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from maskcl.report.figures import style
from maskcl.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawn", "draw"]


_PLANE = (
    "How well each task is learnt when it comes (up is better) against how much of it is forgotten later (left is "
    "better): a mask trades one for the other. Dotted lines: about equal final accuracy, rising to the upper left. "
    "Star: no mask; triangles: leak; plus: leak from counts; circles: m; square: m = −∞."
)
_DIAL = (
    "Final accuracy (up is better) and forgetting (down is better) as the mask gets stronger from left to right. "
    "Dotted: the level of no mask."
)
_ACCURACY = (
    "Each line is a task, from the moment it was learnt; dashed: the mean over the tasks met so far. "
    "Shown without a mask and with the mask of the highest final accuracy."
)
_CONFIDENCE = (
    "Mean softmax probability of the true class on test rows of old tasks. Each stretch starts just before a switch "
    "and follows those tasks through the next one: how far it falls is the confidence collapse. Then the task just "
    "learnt counts as old too, and the line jumps."
)
_CONFUSION = (
    "What the network says after the last task (to the right) of the test rows of each class (downwards): the share of "
    "the row's class in %, over all seeds. On the diagonal is what is right; a dark column at the right is a bias to "
    "the newest task."
)

_SAMPLES = (
    "At the end of the last task, with the CFGM setting of the highest final accuracy: a row x of the new task, the "
    "sample x_c made from it for each old class, and the difference (red: brighter). Below, means over 64 rows and all "
    "seeds: how sure the frozen previous network is of the class, and how far x and x_c lie from the mean of its "
    "training rows. Dots: single runs."
)


class Drawn(NamedTuple):
    """One figure.

    Attributes:
        name: File name without suffix.
        title: What it shows.
        caption: How to read it.
        png: The picture, on white.
        svg: The same as lines and letters, on nothing.
        width: Inches.
        photo: Whether it shows images, whose brightness means something.
    """

    name: str
    title: str
    caption: str
    png: bytes
    svg: bytes
    width: float
    photo: bool = False


def draw(results: Results) -> list[Drawn]:
    """Draw every figure that the results have data for."""
    from maskcl.report.figures.confusion import confusion
    from maskcl.report.figures.dial import dial
    from maskcl.report.figures.over_time import accuracy_over_time, confidence_over_time
    from maskcl.report.figures.plane import plane
    from maskcl.report.figures.samples import samples

    bars = max(s.num_finished for s in results.settings) > 1
    error_bars = " Dots: single runs. Bars: 95 % intervals over seeds." if bars else " One seed: no intervals."
    bands = " Dots: single runs. Bands: 95 % intervals over seeds." if bars else ""
    others = " Grey: the other settings." if len(results.families) > 1 else ""
    left_out = style.left_out(results.families)
    plan: list[tuple[str, Callable[[Results], Figure | None], str, str]] = [
        ("plane", plane, "Stability and plasticity", f"{_PLANE}{others}{error_bars}{left_out}"),
        ("dial", dial, "The dial from no mask to m = −∞", f"{_DIAL}{error_bars}"),
        ("accuracy", accuracy_over_time, "Accuracy of each task over time", f"{_ACCURACY}{bands}{left_out}"),
        ("confidence", confidence_over_time, "Confidence in old classes", f"{_CONFIDENCE}{bands}{left_out}"),
        ("confusion", confusion, "What is taken for what in the end", _CONFUSION),
        ("samples", samples, "What CFGM makes", _SAMPLES),
    ]
    drawn = []
    with style.look():
        for name, function, title, caption in plan:
            figure = function(results)
            if figure is not None:
                width, photo = float(figure.get_figwidth()), name == "samples"
                drawn.append(Drawn(name, title, caption, style.png(figure), style.svg(figure), width, photo))
    return drawn
