"""What commands share: options, the progress bar, plain tables."""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from maskcl.cli.lines import Lines, of_total
from maskcl.errors import MaskclError, message
from maskcl.progress import Resumed

__all__ = [
    "DataRoot",
    "Executor",
    "LogLevel",
    "Out",
    "OutputError",
    "Quiet",
    "SaidError",
    "Seeds",
    "note",
    "once",
    "pictures_progress",
    "print_table",
    "progress",
    "set_level",
    "typed_command",
]

LEVELS = ("debug", "info", "warning", "error")

Seeds = Annotated[int | None, typer.Option("--seeds", metavar="N", help="Runs of each setting, instead of the file's.")]
DataRoot = Annotated[
    Path | None, typer.Option("--data-root", metavar="PATH", help="Where data sets lie (or set MASKCL_DATA).")
]
Executor = Annotated[
    str,
    typer.Option("--executor", metavar="NAME", help="auto (convolutions are looped, all else stacked), stack or loop."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but results, warnings and errors.")]

LogLevel = Annotated[
    str,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        help="debug (groups and checkpoints too), info, warning (as --quiet), or error.",
    ),
]


def set_level(level: str, *, quiet: bool) -> bool:
    """Say how much is told on stderr; returns whether that is warnings and errors alone.

    Raises:
        ConfigError: There is no such level.
    """
    from maskcl.details import tell_details
    from maskcl.errors import MaskclWarning, check_choice

    check_choice(level, "--log-level", LEVELS)
    if level == "error":
        warnings.simplefilter("ignore", MaskclWarning)
    tell_details(wanted=level == "debug")
    return quiet or level in ("warning", "error")


class SaidError(Exception):
    """A command ends, and has said why.

    Args:
        status: Its exit status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class OutputError(MaskclError):
    """What is printed goes nowhere: the disk is full, or stdout was closed."""


class Out:
    """Stdout for commands: what it does not take is told in a sentence.

    Args:
        stream: The real one; None: it was closed before this process began.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, as a file does."""
        if self._stream is None:
            raise _unprinted("it is closed")
        try:
            return int(self._stream.write(text))
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:  # a ValueError of a stream that was closed
            raise _unprinted(getattr(error, "strerror", None) or str(error)) from error

    def flush(self) -> None:
        """Hand on what was written."""
        try:
            if self._stream is not None:
                self._stream.flush()
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            raise _unprinted(getattr(error, "strerror", None) or str(error)) from error

    def isatty(self) -> bool:
        """Whether somebody looks at it."""
        return self._stream is not None and bool(self._stream.isatty())

    def drop(self) -> None:
        """Let what is still to be written go nowhere, or Python would complain of it at its end."""
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _unprinted(reason: str) -> OutputError:
    hint = "files that were to be written are there: they come before anything is printed"
    return OutputError(message("stdout", f"must take what is printed ({reason})", hint=hint))


def note(text: str) -> None:
    """Tell the user something that is no result, if there is a stderr to tell it."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(text, file=sys.stderr)


def once() -> Callable[[str], None]:
    """Return what notes each sentence once, whoever says it."""
    said = set[str]()

    def tell(text: str) -> None:
        if text not in said:
            said.add(text)
            note(text)

    return tell


def typed_command(ctx: typer.Context) -> str:
    """The command as it was typed, for results and pages."""
    return shlex.join(["maskcl", *ctx.obj])


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns; a terminal's width is kept to, a pipe has none."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 300, markup=False, highlight=False).print(table)


@contextmanager
def progress(name: str, total: float | None, unit: str, *, quiet: bool) -> Iterator[Callable[[float], None] | None]:
    """Show a bar on stderr, with rate and time left; yields what is to be told of each advance, or None.

    Where stderr is no terminal, a line now and then says the same. The rate is of what was made, not of what was found
    (`maskcl.progress`).
    """
    if quiet or total == 0:
        yield None
        return
    if sys.stderr is None or not sys.stderr.isatty():  # None: it was closed before this process began
        lines = Lines(name, total, unit, note)
        yield lines.advance
        lines.end()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units a second."""

        def render(self, task: Any) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.3g} {unit}/s")

    class Done(ProgressColumn):
        """Units that are done, and of how many."""

        def render(self, task: Any) -> Text:
            return Text(of_total(task.completed, task.total, unit))

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        Done(),
        Rate(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=total)

        def advance(amount: float) -> None:
            if isinstance(amount, Resumed) and amount:
                done = bar.tasks[0].completed + amount
                bar.reset(task)  # the rate is reckoned anew, from here
                bar.update(task, completed=done)
            else:
                bar.advance(task, amount)

        yield advance
        bar.update(task, completed=total)  # the parts may not add up to the last digit


@contextmanager
def pictures_progress(*, quiet: bool) -> Iterator[Callable[[str, int, int | None], None] | None]:
    """Show a bar once pictures are decoded, which most data do not need; yields what is told how many are done."""
    if quiet:
        yield None
        return
    with ExitStack() as stack:
        bars: dict[str, tuple[Callable[[float], None] | None, int]] = {}

        def told(name: str, done: int, total: int | None) -> None:
            if name not in bars or done < bars[name][1]:
                stack.close()
                bars[name] = stack.enter_context(progress(f"{name}: decoding", total, "pictures", quiet=False)), 0
            advance, before = bars[name]
            if advance is not None:
                advance(done - before)
            bars[name] = advance, done
            if done == total:
                stack.close()

        yield told
