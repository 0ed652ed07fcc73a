"""What was typed, looked at before a command sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer

from maskcl.errors import check

__all__ = ["UsageError", "check_words"]

# typer brings its own click, or takes an installed one: this is the right one's base of all complaints on arguments.
UsageError: Any = typer.BadParameter.__mro__[1]


def check_words(app: typer.Typer | Any, argv: Sequence[str]) -> None:
    """Refuse what is empty, as a variable of the shell is that was not set: "" would be the folder one is in.

    Args:
        app: The command line, or the command that was made of it.
        argv: The words.

    Raises:
        ConfigError: It names the option or the argument.
    """
    if "" in argv or any(word.startswith("--") and word.endswith("=") for word in argv):
        command = typer.main.get_command(app) if isinstance(app, typer.Typer) else app
        for name, value in _given(command, argv):
            check(value != "", name, "must not be empty")


def _given(command: Any, words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names of options and arguments, and the words that they got; none where the words cannot be read at all."""
    context = typer.Context(command)
    try:
        values, rest, _ = command.make_parser(context).parse_args(list(words))
    except UsageError:  # the command itself will say it
        return
    for part in command.params:
        name = part.opts[0] if part.opts[0].startswith("-") else part.metavar.removesuffix("...")
        value = values.get(part.name)
        for word in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(word, str):
                yield name, word
    inner = getattr(command, "commands", {})
    if rest and rest[0] in inner:
        yield from _given(inner[rest[0]], rest[1:])
