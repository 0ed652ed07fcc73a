"""Reports: `render` for one table in a format, `write` for the page with its figures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from maskcl.errors import check_choice
from maskcl.results import Results, write_atomically

__all__ = ["FORMATS", "render", "write"]

FORMATS = ("table", "csv", "markdown", "latex", "html")
Runs = Results | Iterable[Mapping[str, Any]]


def render(results: Runs, format: str = "table", *, command: str | None = None) -> str:
    """Return the results as text.

    Args:
        results: A `Results`, or documents as `load_results` returns them.
        format: "table" (for a terminal), "csv", "markdown", "latex" (booktabs) or "html" (the whole page).
        command: The command that made the results, for the page.
    """
    check_choice(format, "--format", FORMATS)
    results = _as_results(results)
    if format == "html":
        from maskcl.report.figures import draw
        from maskcl.report.page import page

        return page(results, draw(results), command=command)
    from maskcl.report import tables

    if format == "csv":
        return tables.to_csv(results)
    printers = {"table": tables.terminal, "markdown": tables.markdown, "latex": tables.latex}
    return printers[format](results.table())


def write(folder: str | os.PathLike[str], results: Runs, *, command: str | None = None) -> Path:
    """Write report.html, table.csv (a line a setting), runs.csv (a line a run) and figures/*; each whole or not at all.

    Args:
        folder: Where; made if missing.
        results: A `Results`, or documents as `load_results` returns them.
        command: The command that made the results.

    Returns:
        The path of report.html, which needs none of the other files.
    """
    from maskcl.report.figures import draw
    from maskcl.report.page import page
    from maskcl.report.tables import runs_to_csv, to_csv

    results, folder = _as_results(results), Path(folder)
    figures = draw(results)
    html = page(results, figures, command=command)
    for figure in figures:
        write_atomically(folder / "figures" / f"{figure.name}.png", figure.png)
        write_atomically(folder / "figures" / f"{figure.name}.svg", figure.svg)
    write_atomically(folder / "table.csv", to_csv(results).encode())
    write_atomically(folder / "runs.csv", runs_to_csv(results).encode())
    write_atomically(folder / "report.html", html.encode())
    return folder / "report.html"


def _as_results(results: Runs) -> Results:
    return results if isinstance(results, Results) else Results(results)
