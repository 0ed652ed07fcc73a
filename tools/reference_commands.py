"""The page of the command line, told from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from maskcl.cli.commands import app

__all__ = ["commands_page"]


def commands_page(mark: str) -> str:
    """Return the page of all commands."""
    lines = [
        "# Command line",
        "",
        mark,
        "Data go to stdout, everything else to stderr. Exit status 0; 2 for bad input, said in one sentence; 3 where "
        "runs diverged or failed; 1 of `repeat` for a run that is not identical; 143 for SIGTERM, 129 for SIGHUP, 130 "
        "for Ctrl-C. `python -m maskcl` is the same command. `--help` or `-h` after any of these prints what stands "
        "here.",
        "",
        *_commands(typer.main.get_command(app), "maskcl"),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _commands(command: Any, name: str) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    options = [part for part in command.params if part.opts[0].startswith("-")]
    arguments = [part.metavar for part in command.params if not part.opts[0].startswith("-")]
    yield from (f"## {name}", "", " ".join(command.help.split()), "")
    usage = [name, *(["COMMAND"] if inner else []), *(["[OPTIONS]"] if options else []), *arguments]
    yield from ("```text", " ".join(usage), "```", "")
    if command.params:
        yield from ("| argument or option | what |", "| --- | --- |")
        for part in command.params:
            option = part.opts[0].startswith("-")
            told = ", ".join(part.opts) if option else part.metavar
            takes = "" if getattr(part, "is_flag", False) or not option else f" {part.metavar}"
            plain = part.default in (None, False, ()) or part.required
            default = "" if plain else f" Default: `{part.default}`."
            yield f"| `{told}{takes}` | {' '.join((part.help or '').split())}{default} |"
        yield ""
    for key in sorted(inner):
        yield from _commands(inner[key], f"{name} {key}")
