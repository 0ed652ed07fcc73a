"""What a folder says about one question: the numbers behind a figure, and the table that stands for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from maskcl.results import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Study"]


class Study(NamedTuple):
    """One question's figure and table.

    Attributes:
        name: File name without suffix.
        title: What it shows.
        says: What came out, in a sentence or three, for those who do not see the figure as well.
        caption: How to read it.
        table: Its numbers.
        draw: Makes the figure.
        short: The table with a line for each line of the figure, where `table` has one for each point.
    """

    name: str
    title: str
    says: str
    caption: str
    table: Table
    draw: Callable[[], Figure]
    short: Table | None = None
