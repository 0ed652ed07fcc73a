"""repeat: a run made again from its result, and held against it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskcl.cli.console import DataRoot, Quiet, pictures_progress, print_table, progress, typed_command

if TYPE_CHECKING:
    from maskcl.experiment.comparing import Difference

__all__ = ["repeat"]

MOST = 20
"""Differences that are shown."""


def repeat(
    ctx: typer.Context,
    result: Annotated[Path, typer.Argument(help="Result file (JSON) of a run.", metavar="RESULT")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the new result; otherwise nothing is written.")
    ] = None,
    data_root: DataRoot = None,
    executor: Annotated[
        str | None,
        typer.Option("--executor", metavar="NAME", help="auto, stack or loop; default what the file tells of."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="NAME", help="cpu, cuda, mps or auto; default what the file tells of."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Make a run again from its result alone; exits with 0 if it is identical, with 1 if anything differs."""
    from maskcl.experiment import restore
    from maskcl.results import write_result

    if out is not None:
        _check_out(out, result)
    with pictures_progress(quiet=quiet) as told:
        run = restore(result, data_root=data_root, executor=executor, device=device, on_pictures=told)
    with progress(run.spec.name, 1, "runs", quiet=quiet) as advance:
        found = run.repeat(on_progress=advance)
    if out is not None:
        write_result(out, {**found.here, "origin": found.here["origin"] | {"command": typed_command(ctx)}})
    print(found)
    if found.identical:
        return
    print()
    _print_differences(found.differences)
    print()
    if found.explanations:
        print_table(["may explain it", "in the file", "here"], found.explanations)
    else:
        print("Versions, machine and executor are those that the file tells of: it does not tell what explains it.")
    raise typer.Exit(1)


def _check_out(out: Path, result: Path) -> None:
    """Refuse what cannot be written, or is the result itself, before anything runs."""
    from maskcl.errors import DataError, MissingDataError, check
    from maskcl.experiment.arguments import try_folder
    from maskcl.results import read_result

    check(not os.path.isdir(out), "--out", "must be a file, and is a folder", str(out))
    other = not os.path.exists(out) or not os.path.exists(result) or not out.samefile(result)
    check(other, "--out", "must be another file than the result", str(out))
    try:
        read_result(out)  # one that a repetition has written may be written over; nothing else is
    except MissingDataError:
        pass
    except DataError:
        check(not os.path.lexists(out), "--out", "must be a new file's name, for what is there is no result", str(out))
    try_folder(out.parent)


def _print_differences(found: tuple[Difference, ...]) -> None:
    """The differences in the order of the file; of many, the largest."""
    shown = found
    if len(found) > MOST:
        largest = sorted(found, key=lambda one: -one.largest)[:MOST]
        shown = tuple(one for one in found if any(one is kept for kept in largest))
    rows = [
        [one.where, _text(one.file), _text(one.here), f"{one.largest:.2g}", f"{one.count} of {one.size}"]
        for one in shown
    ]
    print_table(["largest difference in", "in the file", "here", "apart", "entries that differ"], rows)
    if len(shown) < len(found):
        print(f"and {len(found) - len(shown)} more, with smaller differences")


def _text(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else "nothing" if value is None else str(value)
