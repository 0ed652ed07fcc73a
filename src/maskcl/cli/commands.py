"""All commands, and how they are run: whatever goes wrong ends in a sentence and an exit status."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Annotated, Any

import typer

import maskcl
from maskcl.cli import datasets, experiments, pictures, reference, repeat, tune
from maskcl.cli.console import Out, OutputError, SaidError, note, once
from maskcl.cli.words import UsageError, check_words
from maskcl.errors import MaskclError, MaskclWarning, message

__all__ = ["app", "run"]

STOPPED = 130
"""Exit status after Ctrl-C."""

app = typer.Typer(
    name="maskcl",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    experiments.demo, experiments.run, tune.tune, experiments.report, repeat.repeat,
    pictures.fit, pictures.predict, pictures.evaluate, pictures.export,
    reference.methods, reference.schema, reference.bench,
):  # fmt: skip
    app.command()(command)
app.add_typer(datasets.data, name="data")


@app.callback(invoke_without_command=True)
def _top(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Learn new classes without forgetting the old ones: masked softmax and replay."""
    if version:
        print(f"maskcl {maskcl.__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


def run(argv: list[str]) -> int:
    """Run a command; returns the exit status (`maskcl.cli`)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no plus-minus sign gets a question mark
    with warnings.catch_warnings():
        warnings.simplefilter("always", MaskclWarning)
        warnings.showwarning = _as_lines()
        out = Out(sys.stdout)
        try:
            check_words(app, argv)
            with redirect_stdout(out):
                status = app(argv, standalone_mode=False, obj=argv)
                out.flush()  # a full disk is told here, and not by Python at its end
        except typer.Exit as stop:
            status = stop.exit_code
        except SaidError as end:
            return end.status
        except MaskclError as error:
            if isinstance(error, OutputError):
                out.drop()
            return _refuse(str(error))
        except UsageError as error:
            return _refuse(_worded(error))
        except (KeyboardInterrupt, typer.Abort):
            status = STOPPED
        except MemoryError as error:
            return _refuse(message("memory", f"must suffice for what was asked for ({error or 'it did not'})"))
        except BrokenPipeError:  # `maskcl ... | head`
            out.drop()
            return 0
    if status == STOPPED:  # typer may have made it of Ctrl-C, and says nothing
        note("stopped")
    return status if isinstance(status, int) else 0


def _refuse(text: str) -> int:
    note(f"error: {text}")
    return 2


def _worded(error: Any) -> str:
    """A complaint on arguments, with the command whose help says more."""
    text = error.format_message().strip().replace("\n", " ")
    text = text if text.endswith((".", "?", "!")) else f"{text}."
    ctx = getattr(error, "ctx", None)
    return text if ctx is None else f"{text}\nhint: {ctx.command_path} --help"


def _as_lines() -> Callable[..., None]:
    """What shows each warning once, as one line."""
    tell = once()
    return lambda text, *_, **__: tell(f"warning: {' '.join(str(text).split())}")
