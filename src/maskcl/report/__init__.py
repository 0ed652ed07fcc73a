"""Reports: `render` for one table in a format, `write` for the page with its figures, `draw` for some figures alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskcl.errors import check_choice
from maskcl.results import Results, write_atomically

if TYPE_CHECKING:
    from maskcl.report.figures import Drawn

__all__ = ["FORMATS", "draw", "render", "write"]

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


def draw(folder: str | os.PathLike[str], results: Runs, names: Sequence[str], format: str = "table") -> str:
    """Write some figures into `figures/` of a folder, and return their tables, long ones in short.

    Args:
        folder: Where; made if missing. Of each figure NAME.png and NAME.svg, of those with a table NAME.csv.
        results: A `Results`, or documents as `load_results` returns them.
        names: Which figures: plane, dial, accuracy, confidence, confusion, samples, sensitivity, memory_size,
            class_orders, collapse, predictors, cost, ablation.
        format: Of the tables: "table", "csv", "markdown" or "latex".

    Raises:
        ConfigError: A name is none of these, or the results do not have what a figure needs; nothing is written then.
    """
    from maskcl.report import figures, tables

    check_choice(format, "--format", [name for name in FORMATS if name != "html"])
    results = _as_results(results)
    drawn = figures.draw(results, names)
    _write_figures(Path(folder), drawn)
    known = [(figure.title, figure.short or figure.table) for figure in drawn if figure.table is not None]
    return "\n".join(tables.titled(title, table, format) for title, table in known) or render(results, format)


def write(
    folder: str | os.PathLike[str], results: Runs, *, command: str | None = None, names: Sequence[str] | None = None
) -> Path:
    """Write report.html, table.csv (a line a setting), runs.csv (a line a run) and figures/*; each whole or not at all.

    Args:
        folder: Where; made if missing.
        results: A `Results`, or documents as `load_results` returns them.
        command: The command that made the results.
        names: Which figures, as `draw` takes them; None: all that the results have data for and that say something.

    Returns:
        The path of report.html, which needs none of the other files.
    """
    from maskcl.report.figures import draw
    from maskcl.report.page import page
    from maskcl.report.tables import runs_to_csv, to_csv

    results, folder = _as_results(results), Path(folder)
    figures = draw(results, names)
    html = page(results, figures, command=command)
    _write_figures(folder, figures)
    write_atomically(folder / "table.csv", to_csv(results).encode())
    write_atomically(folder / "runs.csv", runs_to_csv(results).encode())
    write_atomically(folder / "report.html", html.encode())
    return folder / "report.html"


def _write_figures(folder: Path, figures: Sequence[Drawn]) -> None:
    from maskcl.report.tables import table_to_csv

    for figure in figures:
        write_atomically(folder / "figures" / f"{figure.name}.png", figure.png)
        write_atomically(folder / "figures" / f"{figure.name}.svg", figure.svg)
        if figure.table is not None:
            write_atomically(folder / "figures" / f"{figure.name}.csv", table_to_csv(figure.table).encode())


def _as_results(results: Runs) -> Results:
    return results if isinstance(results, Results) else Results(results)
