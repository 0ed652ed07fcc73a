"""How all figures look: colours that colour-blind readers can tell apart, one colour a method, one marker a mask."""

from __future__ import annotations

import io
import os
import sys
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from maskcl.results import Dial, Family

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "AUTO",
    "GREY",
    "INK",
    "LIGHT",
    "MOST_PANELS",
    "NUM_COLOURS",
    "broken",
    "canvas",
    "colour",
    "colours",
    "empty_canvas",
    "in_pairs",
    "inside",
    "left_out",
    "legend",
    "look",
    "marker",
    "percent_axis",
    "png",
    "seeds",
    "svg",
    "title",
]

_Panel = TypeVar("_Panel")
DPI = 170
MOST_PANELS = 12
"""Families that get a panel of their own; more make a figure that nobody scrolls through."""
INK, GREY, LIGHT = "#22262b", "#6b7280", "#d7dbe0"
_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#5b6770")
"""Okabe and Ito's colours, the dark ones first, without yellow (too faint for lines)."""
NUM_COLOURS = len(_PALETTE)
"""After which they begin again."""
AUTO = "P"
"""The marker of a leak from counts."""
_MARKERS = {"none": "*", "leak": "^", "auto": AUTO, "value": "o", "mass": "D", "full": "s"}


@contextmanager
def look() -> Iterator[None]:
    """Matplotlib's settings for our figures, and nobody else's."""
    mpl = _matplotlib()
    settings: Any = {
        "font.family": "DejaVu Sans",  # comes with matplotlib
        "font.size": 9.5,
        "axes.titlesize": 10.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 9.5,
        "axes.labelcolor": INK,
        "axes.edgecolor": GREY,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e8eaed",
        "grid.linewidth": 0.8,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "text.color": INK,
        "legend.frameon": False,
        "axes.unicode_minus": True,
        "lines.solid_capstyle": "round",
        "text.parse_math": False,  # names may hold a $
        "svg.hashsalt": "maskcl",  # the same numbers give the same file
    }
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)  # names in any script: a box
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)  # names longer than figures
        mpl.rcdefaults()  # whatever the user's own configuration says
        mpl.rcParams.update(settings)
        yield


def _matplotlib() -> Any:
    """Matplotlib, also where MPLBACKEND names a window system that it does not know: figures are drawn into files."""
    first, named = "matplotlib" not in sys.modules, os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib as mpl
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named
    if first and named:
        with suppress(ValueError):
            mpl.rcParams["backend"] = named  # as it does itself; a notebook's figures are to be shown there
    return mpl


def canvas(num_rows: int, num_columns: int, *, size: tuple[float, float], **share: Any) -> tuple[Figure, Any]:
    """Return a figure and its axes [num_rows, num_columns], without pyplot's global state."""
    figure = empty_canvas(size)
    return figure, figure.subplots(num_rows, num_columns, squeeze=False, **share)


def empty_canvas(size: tuple[float, float]) -> Figure:
    """Return a figure without axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.09), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """Lay a figure out and draw it; the same numbers give the same bytes."""
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    figure.set_layout_engine("none")  # laid out: doing it again for another format takes as long as drawing
    return content.getvalue()


def svg(figure: Figure) -> bytes:
    """Draw a figure that `png` has laid out as SVG, on nothing, so that it fits light and dark pages."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return content.getvalue()


def title(axes: Axes, text: str, below: str = "", *, width: float, pad: float = 5.0) -> None:
    """Set a panel's title, in as many lines as it needs to stay above its own panel.

    Args:
        axes: The panel.
        text: The title.
        below: What stands below it, smaller.
        width: Of the panel, inches.
        pad: Points between panel and text.
    """
    lines = textwrap.wrap(below, max(12, int(width * 72 / 5.2)))  # points a letter, at its size
    note: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom", "annotation_clip": False}
    if lines:
        axes.annotate("\n".join(lines), (0, 1), xytext=(0, pad), fontsize=8.5, color=GREY, **note)
        pad += 3.0 + 11.5 * len(lines)
    axes.set_title("\n".join(textwrap.wrap(text, max(12, int(width * 72 / 7.2)))), pad=pad)


def seeds(axes: Axes, x: Any, y: Any, colour: Any, *, beside: float = 0.0) -> None:
    """One faint point a run, behind what they come to together, or so many points of length beside it."""
    from matplotlib.transforms import ScaledTranslation

    aside = axes.transData + ScaledTranslation(beside / 72, 0, axes.figure.dpi_scale_trans)
    axes.plot(x, y, ".", color=colour, markersize=4.5, markeredgewidth=0, alpha=0.45, zorder=1.8, transform=aside)


def broken(axes: Axes, place: float, span: float) -> None:
    """Mark that the x axis, so long as `span`, is broken at a place."""
    beside: Any = {"transform": axes.get_xaxis_transform(), "clip_on": False, "zorder": 5}
    width = 0.008 * span
    axes.plot([place - width, place + width], [0, 0], color="white", linewidth=3, **beside)
    for x in (place - width, place + width):
        axes.plot([x - width / 2, x + width / 2], [-0.025, 0.025], color=GREY, linewidth=0.9, **beside)


def legend(figure: Figure, handles: Mapping[str, Any]) -> None:
    """Put the names above the figure, in as many columns as its width has room for, four at most."""
    room = figure.get_figwidth() * 72
    fitting = int(room / (40 + 5.6 * max(map(len, handles))))  # points of a handle and a letter
    columns = max(1, min(4, len(handles), fitting))
    names = [textwrap.fill(name, int((room - 40) / 5.6)) for name in handles]
    figure.legend(list(handles.values()), names, loc="outside upper left", ncols=columns)


def inside(means: Any, halves: Any, low: Any, high: Any) -> Any:
    """Lengths of error bars downwards and upwards, [2, ...], that end where a metric does; none where unknown."""
    means, halves = np.asarray(means, float), np.nan_to_num(np.asarray(halves, float))
    return np.clip(np.stack([np.minimum(halves, means - low), np.minimum(halves, high - means)]), 0, None)


def colours(families: Sequence[Family]) -> dict[str, str]:
    """One colour for each family name, the same in every figure."""
    return {family.name: _PALETTE[i % len(_PALETTE)] for i, family in enumerate(families)}


def colour(place: int) -> str:
    """The colour of the line that is named in this place; after the last one they begin again."""
    return _PALETTE[place % len(_PALETTE)]


def in_pairs(rows: list[list[_Panel]]) -> list[list[_Panel]]:
    """Rows of panels; if each has one alone, two of them stand side by side.

    >>> in_pairs([["a"], ["b"], ["c"]]), in_pairs([["a", "b"], ["c"]])
    ([['a', 'b'], ['c']], [['a', 'b'], ['c']])
    """
    if any(len(row) > 1 for row in rows):
        return rows
    panels = [panel for row in rows for panel in row]
    return [panels[i : i + 2] for i in range(0, len(panels), 2)]


def left_out(families: Sequence[Family]) -> str:
    """A sentence, if some families get no panel."""
    more = len(families) - MOST_PANELS
    return f" The first {MOST_PANELS} of {len(families)} combinations are shown." if more > 0 else ""


def marker(dial: Dial) -> str:
    """The marker of a kind of mask."""
    return _MARKERS[dial.kind]


def percent_axis(axes: Axes, which: str) -> None:
    """Ticks of a fraction in percent, without the sign (the label says it)."""
    from matplotlib.ticker import FuncFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}".replace("-", "−")))
