"""The command line's surface is what others rely on: commands, arguments, options and what help says of them.

Told from the commands themselves, since the layout of the help text is typer's and changes with it. After a change
that is meant, write cli_surface.txt anew: python tests/guards/test_cli_help.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from maskcl.cli.commands import app

SNAPSHOT = Path(__file__).with_name("cli_surface.txt")


def surface(command: Any, name: str = "maskcl") -> Iterator[str]:
    """One line a command, argument and option."""
    yield f"{name}: {' '.join(command.help.split())}"
    for part in command.params:
        takes = "" if getattr(part, "is_flag", False) else f" {part.metavar}"
        default = "" if part.default in (None, False, ()) or part.required else f" [{part.default}]"
        text = " ".join((getattr(part, "help", None) or "").split())
        yield f"    {' '.join(part.opts) if part.opts[0].startswith('-') else 'argument'}{takes}{default}: {text}"
    for inner in sorted(getattr(command, "commands", {})):
        yield ""
        yield from surface(command.commands[inner], f"{name} {inner}")


def test_the_surface_is_the_one_that_others_rely_on() -> None:
    assert "\n".join(surface(typer.main.get_command(app))) + "\n" == SNAPSHOT.read_text(encoding="utf-8")


def test_commands_and_options_of_the_interface_are_there() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert {"demo", "run", "report", "methods", "data", "bench"} <= set(commands)
    assert set(commands["data"].commands) == {"list", "prepare", "verify", "download", "clear"}
    options = {option for part in commands["run"].params for option in part.opts}
    assert {"--out", "--seeds", "--set", "--data-root", "--executor", "--dry-run", "--quiet"} <= options


if __name__ == "__main__":
    SNAPSHOT.write_text("\n".join(surface(typer.main.get_command(app))) + "\n", encoding="utf-8")
