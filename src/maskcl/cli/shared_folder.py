"""The page of a folder that several commands have written to: it shows all of them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from maskcl.cli.console import note
from maskcl.errors import ConfigError, MaskclError, counted

if TYPE_CHECKING:
    from maskcl.results import Results

__all__ = ["write_report"]


def write_report(out: Path, results: Results, *, command: str) -> str:
    """Write report, tables and figures of all that a folder holds; return the line that says where.

    Args:
        out: The folder.
        results: What this command has run or found there.
        command: The command.

    Raises:
        ConfigError: It cannot be written; the results are there, and it says how to have the report later.
    """
    from maskcl import report as reports

    there, before = _names(out), set[Path]()
    while there != before:  # another process may have written a result meanwhile, and its page before this one
        before = there
        everything = _everything(out, results)
        try:
            page = reports.write(out, everything, command=command)
        except ConfigError as error:  # a full disk, say
            hint = f"all results are there; maskcl report {shlex.quote(str(out))} --format html draws the report"
            raise ConfigError(f"{str(error).splitlines()[0]}\nhint: {hint}") from error
        there = _names(out)
    return f"report: {page}{_from_before(results, everything)}"


def _names(out: Path) -> set[Path]:
    """The result files of a folder."""
    return set(out.glob("*/seed-*.json"))


def _everything(out: Path, results: Results) -> Results:
    from maskcl.results import Results

    try:
        return Results.load(out)
    except MaskclError as error:  # one run twice, say: what has just been made is reported all the same
        note(f"warning: the report has the runs of this command alone: {error}")
        return results


def _from_before(results: Results, everything: Results) -> str:
    """How much more the folder holds; nothing if it holds no more."""
    own = {setting.config_hash for setting in results.settings}
    settings = len({setting.config_hash for setting in everything.settings} - own)
    runs = len(everything.runs) - len(results.runs)
    more = counted(settings, "setting") if settings else counted(runs, "run") if runs > 0 else ""
    return f" (with {more} from before)" if more else ""
