"""One table, five ways to print it."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from maskcl.results import Results, Table, headline

if TYPE_CHECKING:
    from rich.table import Table as RichTable

__all__ = ["latex", "markdown", "rich_table", "runs_to_csv", "table_to_csv", "terminal", "titled", "to_csv"]

_NAMES = ("label", "config_hash", "method", "mask", "seeds", "diverged")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "%": r"\%",
    "_": r"\_",
    "&": r"\&",
    "#": r"\#",
    "\ufffd": "?",
}
_MARKDOWN = re.compile(r"[\\|`*$]|(?<!\w)_|_(?!\w)|(?<=\])[(\[:]")
"""What Markdown would take for its own: of underscores those at a word's end, of brackets those that make a link."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that spreadsheets compute."""


def rich_table(table: Table) -> RichTable:
    """Return the table for a `rich` console: the clearly best of each family bold, clear differences in colour."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    found = RichTable(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption=Text("\n".join(table.notes)),  # of a plain string rich would take [..] for its own
        caption_justify="left",
        caption_style="dim",
    )
    for i, name in enumerate(table.header):
        number = i >= table.num_names
        title = name.replace(" ", "\n", 1) if number else name  # so that the table fits 80 columns
        found.add_column(title, justify="right" if number else "left", no_wrap=number or i == 0, vertical="bottom")
    for row in table.rows:
        if row.first and row is not table.rows[0]:
            found.add_section()
        cells = [Text(cell, style="bold" if table.is_bold(row, i) else "") for i, cell in enumerate(row.cells)]
        if row.clear:
            cells[-2].stylize("green" if row.cells[-2].startswith("+") else "red")
        found.add_row(*cells)
    return found


def terminal(table: Table, *, width: int | None = None, colour: bool | None = None) -> str:
    """Print the table as text.

    Args:
        table: The table.
        width: Columns; None: those of the terminal, and at least what the table needs.
        colour: Whether to use terminal colours; None: if standard output is a terminal.
    """
    from rich.console import Console

    colour = sys.stdout.isatty() if colour is None else colour
    console = Console(file=io.StringIO(), force_terminal=colour, no_color=not colour, width=width, highlight=False)
    drawn = rich_table(table)
    if width is None:  # a table cut to the width of a pipe has lost its numbers
        console.width = max(console.width, console.measure(drawn, options=console.options.update(width=400)).maximum)
    console.print(drawn)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n") + "\n"


def to_csv(results: Results) -> str:
    """Return every metric of every setting in percent; empty where undefined.

    Columns: names, what varies between settings (e.g. `memory.size`), then for each metric `x_percent` and
    `x_percent_interval` (half the 95 % interval); for those of the table also `x_percent_difference` (to no mask,
    paired by seed) and `x_percent_difference_interval`.
    """
    ours = {f"{metric}{suffix}" for metric in headline(results) for suffix in ("_difference", "_difference_interval")}
    names = {*_NAMES, *results.varied[0]}
    return _csv(
        {
            name if name in names else _percent_name(name): _cell(value) if name in names else _percent_value(value)
            for name, value in row.items()
            if "_difference" not in name or name in ours
        }
        for row in results.summary()
    )


def runs_to_csv(results: Results) -> str:
    """Return `results.rows()`, a line a run: names, what varies, seed, status, seconds, every metric in percent."""
    return _csv(
        {
            f"{name}_percent" if name in results.metrics else name: _percent_value(value)
            if name in results.metrics
            else _cell(value)
            for name, value in row.items()
        }
        for row in results.rows()
    )


def table_to_csv(table: Table) -> str:
    """Return a table's cells; what stands after ± in a column of its own, minus signs as programs read them."""

    def parts(cell: str, column: int) -> list[str]:
        mean, _, half = cell.partition(" ± ")
        plain = [mean.replace("−", "-").replace("∞", "inf"), half] if column >= table.num_names else [cell]
        return plain if column in wide else plain[:1]

    columns = range(table.num_names, len(table.header))
    wide = {i for i in columns if any(" ± " in row.cells[i] for row in table.rows)}
    names = [[name, f"{name} ±"] if i in wide else [name] for i, name in enumerate(table.header)]
    lines = [[part for i, cell in enumerate(row.cells) for part in parts(cell, i)] for row in table.rows]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(map(_no_formula, line) for line in [[part for name in names for part in name], *lines])
    return text.getvalue()


def titled(title: str, table: Table, format: str) -> str:
    """Return a table below its title, in any format but "html"; csv has no place for one."""
    if format == "csv":
        return table_to_csv(table)
    if format == "markdown":
        return f"### {_escaped(title)}\n\n{markdown(table)}"
    if format == "latex":
        return f"% {title}\n{latex(table)}"
    return f"{title}\n{terminal(table)}"


def _csv(lines: Iterable[dict[str, Any]]) -> str:
    rows, text = list(lines), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_no_formula, rows[0]))
    writer.writerows(map(_no_formula, row.values()) for row in rows)
    return text.getvalue()


def _no_formula(cell: Any) -> Any:
    """Text as a spreadsheet shows it, instead of computing it; numbers, of ours also in text, stay as they are."""
    is_number = isinstance(cell, str) and re.fullmatch(r"[-+]?\d+(\.\d+)?", cell) is not None
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) and not is_number else cell


def _cell(value: Any) -> Any:
    """A setting as a cell: lists as TOML has them, nothing for none."""
    if isinstance(value, float) and math.isnan(value):
        return ""
    return json.dumps(value) if isinstance(value, tuple) else value


def markdown(table: Table) -> str:
    """Return a GitHub-flavoured table, the clearly best of each family bold, with its notes below."""

    def line(cells: Any) -> str:
        return "| " + " | ".join(cells) + " |"

    escape = _escaped
    rule = ("---" if i < table.num_names else "---:" for i in range(len(table.header)))
    body = [
        line(f"**{escape(cell)}**" if table.is_bold(row, i) else escape(cell) for i, cell in enumerate(row.cells))
        for row in table.rows
    ]
    notes = escape(" ".join([*table.notes, *table.key]))
    return "\n".join([line(map(escape, table.header)), line(rule), *body, "", notes]) + "\n"


def _escaped(text: str) -> str:
    """Text as Markdown shows it."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;")
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", plain)


def latex(table: Table) -> str:
    """Return a booktabs table, the clearly best of each family bold, its notes as the caption."""

    def escape(text: str) -> str:
        plain = "".join(_LATEX.get(character, character) for character in text)
        return re.sub(r"\bm=(-?[\w.]+)", lambda found: f"$m={found[1]}$".replace("inf", r"\infty"), plain)

    columns = "l" * table.num_names + "r" * (len(table.header) - table.num_names)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(' '.join([*table.notes, *table.key]))}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(escape, table.header)) + r" \\",
    ]
    for row in table.rows:
        if row.first:
            lines.append(r"\midrule")
        cells = [rf"\textbf{{{escape(c)}}}" if table.is_bold(row, i) else escape(c) for i, c in enumerate(row.cells)]
        guard = "{}" if cells[0].startswith(("[", "*")) else ""  # which would be an option of the rule or line before
        lines.append(guard + " & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _percent_name(name: str) -> str:
    for suffix in ("_difference_interval", "_difference", "_interval"):
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix)}_percent{suffix}"
    return f"{name}_percent"


def _percent_value(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.4f}"
