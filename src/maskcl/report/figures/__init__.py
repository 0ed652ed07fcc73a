"""The figures of a report, as PNG and SVG, with what to read in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from maskcl.errors import ConfigError, check_choice, message
from maskcl.report.figures import style
from maskcl.results import Results, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["NEEDS", "Drawn", "draw"]

NEEDS = {
    "plane": "two settings that learnt and forgot something",
    "dial": "masks with a number",
    "accuracy": "two tasks or more",
    "confidence": "two tasks or more",
    "confusion": "counts of what was predicted for what, which older results lack",
    "samples": "runs with CFGM",
    "sensitivity": "three values or more of a number, all else being equal",
    "memory_size": "three memory sizes or more, all else being equal",
    "class_orders": "three class orders or more of one setting",
    "collapse": "runs that were evaluated within tasks (training.evaluate_every)",
    "predictors": "eight runs or more that forgot something",
    "cost": "three settings or more that finished",
    "ablation": "a setting that others differ from in one part alone (mask, CFGM, or one section's settings), in two "
    "parts or more; in a full grid every setting is one, and none stands out",
}
"""Figures by name, and what each needs."""

_PLANE = (
    "How well each task is learnt when it comes (up is better) against how much of it is forgotten later (left is "
    "better): a mask trades one for the other. Dotted lines: about equal final accuracy, rising to the upper left. "
    "Star: no mask; triangles: leak; plus: leak from counts; circles: m; square: m = −∞."
)
_DIAL = (
    "Final accuracy (up is better) and forgetting (down is better) as the mask gets stronger from left to right. "
    "Dotted: the level of no mask."
)
_DIAL_AUTO = ' Plus, beyond the break: leak from counts (leak = "auto"), which has no number.'
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
        table: The same as numbers, for figures of studies.
        short: What these come to, a line for each line of the figure, where they are many.
    """

    name: str
    title: str
    caption: str
    png: bytes
    svg: bytes
    width: float
    photo: bool = False
    table: Table | None = None
    short: Table | None = None


def draw(results: Results, asked: Sequence[str] | None = None) -> list[Drawn]:
    """Draw figures.

    Args:
        results: The runs.
        asked: Names, keys of NEEDS; None: every figure that the results have data for and that says something.

    Raises:
        ConfigError: A figure that was asked for does not exist, or the results do not have what it needs.
    """
    for name in asked or ():
        check_choice(name, "--figure", NEEDS)
    drawn = _of_studies(results, asked) + _of_settings(results, asked)  # what was varied on purpose comes first
    for name in asked or ():
        if not any(figure.name.startswith(name) for figure in drawn):
            raise ConfigError(message(f"--figure {name}", f"needs {NEEDS[name]}, and these results do not have that"))
    return drawn


def _of_studies(results: Results, asked: Sequence[str] | None) -> list[Drawn]:
    """Figures that answer one question, each with its table."""
    from maskcl.report.studies.ablation import ablation
    from maskcl.report.studies.cost import cost
    from maskcl.report.studies.orders import class_orders
    from maskcl.report.studies.predictors import predictors
    from maskcl.report.studies.sensitivity import memory_size, sensitivity
    from maskcl.report.studies.switches import collapse

    drawn = []
    for find in (sensitivity, memory_size, class_orders, collapse, predictors, cost, ablation):
        if asked is not None and find.__name__ not in asked:
            continue
        for study in find(results, asked=asked is not None):
            with style.look():
                figure = study.draw()
                png, svg = style.png(figure), style.svg(figure)
            text = " ".join(filter(None, (study.says, study.caption)))
            width = float(figure.get_figwidth())
            drawn.append(Drawn(study.name, study.title, text, png, svg, width, table=study.table, short=study.short))
    return drawn


def _of_settings(results: Results, asked: Sequence[str] | None) -> list[Drawn]:
    """Figures of masks and methods, side by side."""
    from maskcl.report.figures import dial as dials
    from maskcl.report.figures.confusion import confusion
    from maskcl.report.figures.over_time import accuracy_over_time, confidence_over_time
    from maskcl.report.figures.plane import plane
    from maskcl.report.figures.samples import samples
    from maskcl.report.studies.orders import by_order_alone

    bars = max(s.num_finished for s in results.settings) > 1
    error_bars = " Dots: single runs. Bars: 95 % intervals over seeds." if bars else " One seed: no intervals."
    bands = " Dots: single runs. Bands: 95 % intervals over seeds." if bars else ""
    others = " Grey: the other settings." if len(results.families) > 1 else ""
    auto = _DIAL_AUTO if any(s.dial.kind == "auto" and s.num_finished for s in results.settings) else ""
    left_out = style.left_out(results.families)
    plan: list[tuple[str, Callable[[Results], Figure | None], str, str]] = [
        ("plane", plane, "Stability and plasticity", f"{_PLANE}{others}{error_bars}{left_out}"),
        (
            "dial",
            dials.dial,
            "The dial from no mask to m = −∞",
            f"{_DIAL}{auto}{error_bars}{dials.left_out(results)}{left_out}",
        ),
        ("accuracy", accuracy_over_time, "Accuracy of each task over time", f"{_ACCURACY}{bands}{left_out}"),
        ("confidence", confidence_over_time, "Confidence in old classes", f"{_CONFIDENCE}{bands}{left_out}"),
        ("confusion", confusion, "What is taken for what in the end", _CONFUSION),
        ("samples", samples, "What CFGM makes", _SAMPLES),
    ]
    wanted = [name for name, *_ in plan] if asked is None else asked
    if asked is None and by_order_alone(results):  # they would take each class order for a setting of its own
        wanted = ["samples"]
    drawn = []
    with style.look():
        for name, function, title, caption in plan:
            figure = function(results) if name in wanted else None
            if figure is not None:
                width, photo = float(figure.get_figwidth()), name == "samples"
                drawn.append(Drawn(name, title, caption, style.png(figure), style.svg(figure), width, photo))
    return drawn
