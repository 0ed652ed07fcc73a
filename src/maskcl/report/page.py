"""The page: one HTML file that needs nothing else, from the answer down to the versions."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from maskcl.report import grids, story
from maskcl.report.figures import Drawn
from maskcl.report.findings import ALONE, findings
from maskcl.report.names import joined, pretty
from maskcl.report.provenance import how_it_ran, shared
from maskcl.results import Results, showable

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["page"]

LEAST, MOST = 54, 116
"""Pixels for an inch of a figure: below, its letters cannot be read and it scrolls; above, they shout."""


def page(results: Results, figures: Sequence[Drawn], *, command: str | None = None) -> str:
    """Return the page as HTML.

    Args:
        results: What to report.
        figures: Pictures to embed, in order.
        command: The command that made the results.
    """
    experiments = sorted({run["experiment"] for run in results.runs if run["experiment"]})
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            title=joined(experiments) if experiments else "maskcl",
            answer=story.answer(results),
            compared=story.compared(results),
            findings=[finding for finding in findings(results) if finding.verdict != ALONE],
            cautions=story.cautions(results),
            settings=grids.settings(results),
            further=grids.further(results),
            figures=[_embedded(figure) for figure in figures],
            run=how_it_ran(results, None if command is None else showable(command)),
            shared=shared(results),
        )
    )


@cache
def _environment() -> Environment:
    """What makes pages of templates: once, for compiling them takes longer than filling them."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape

    def breakable(name: str) -> Markup:
        """Dotted names break after a dot."""
        return Markup(".<wbr>").join(escape(part) for part in name.split("."))

    environment = Environment(
        loader=PackageLoader("maskcl.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"pretty": pretty, "breakable": breakable}
    return environment


def _embedded(figure: Drawn) -> dict[str, Any]:
    """A figure as the page takes it, with the widths it can be read at."""
    inches = figure.width
    coded = {name: base64.b64encode(getattr(figure, name)).decode() for name in ("png", "svg")}
    known = {"short": (figure.short, "in short"), "table": (figure.table, "numbers")}
    tables = {
        name: None if table is None else grids.of_table(f"{figure.title}: {word}", table)
        for name, (table, word) in known.items()
    }
    return figure._asdict() | coded | tables | {"least": round(LEAST * inches), "most": round(MOST * inches)}
