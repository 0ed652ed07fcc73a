"""methods, schema, data and bench: what there is, and how fast it is."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import MISSING
from typing import Annotated, Any

import typer

from maskcl.cli.console import DataRoot, Quiet, print_table, progress
from maskcl.errors import DataError, check_choice

__all__ = ["bench", "data", "methods", "schema"]

DataName = Annotated[str, typer.Argument(help="Data set; `maskcl data list` shows which there are.", metavar="NAME")]


def methods(
    name: Annotated[str | None, typer.Argument(help="A method's key, for its settings.", metavar="[NAME]")] = None,
) -> None:
    """List the methods, or describe one."""
    from maskcl.methods import REGISTRY, describe

    if name is None:
        rows = [[key, m.title, f"arXiv {m.paper}" if m.paper else ""] for key, m in REGISTRY.items()]
        print_table(["key", "method", "paper"], rows)
        return
    options = describe(name)
    print(_page(REGISTRY.find(name)) + "\n")
    print_table(["setting", "default", "what"], [[o["name"], _default(o["default"]), o["doc"]] for o in options])


def _page(method: Any) -> str:
    """What a method says of itself: ours in their files, others in their class."""
    own = sys.modules[method.__module__].__doc__ if method.__module__.startswith("maskcl.") else inspect.getdoc(method)
    return (own or method.title).strip()


def _default(value: Any) -> str:
    if value is MISSING:
        return "must be given"
    return "none" if value is None else str(getattr(value, "label", value))


def schema() -> None:
    """Print the JSON schema of experiment files, for editors."""
    from maskcl.experiment import json_schema

    print(json.dumps(json_schema(), indent=1))


def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks; default all.", metavar="[NAME]...")] = None,
) -> None:
    """Measure speed, as ratios to a bare PyTorch loop in the same run."""
    from maskcl.bench import main

    raise typer.Exit(main(names or []))


data = typer.Typer(
    help="List data sets, check their files, download them.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@data.callback()
def _data(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


@data.command("list")
def data_list(data_root: DataRoot = None) -> None:
    """List the data sets and whether they are there."""
    from maskcl.data import available

    rows = []
    for found in available(data_root):
        info = found.info
        known = info.num_train is not None  # what was registered as a function tells once it is loaded
        counts = [f"{info.num_train} + {info.num_test}", str(info.num_classes)] if known else ["", ""]
        rows.append([info.name, info.description, *counts, found.state])
    print_table(["name", "what", "rows", "classes", "state"], rows)


@data.command("verify")
def data_verify(name: DataName, data_root: DataRoot = None) -> None:
    """Check a data set's files; exits with 2 if one is not whole."""
    from maskcl.data import verify

    states = verify(name, data_root)
    if not states:
        print(_without_files(name))
        return
    print_table(["file", "state", "where"], [[s.file, s.state, "" if s.path is None else str(s.path)] for s in states])
    for state in states:
        if state.state != "intact":
            raise DataError(state.problem or f"{state.file}: must be whole, and is {state.state}.")


def _without_files(name: str) -> str:
    from maskcl.data import DATASETS

    return f"{name} is built in" if DATASETS[name].built_in else f"{name} is registered, and its files are its loader's"


@data.command("download")
def data_download(name: DataName, data_root: DataRoot = None, quiet: Quiet = False) -> None:
    """Download what is missing or damaged of a data set."""
    from maskcl.data import DATASETS, download

    check_choice(name, "data set", DATASETS, error=DataError)
    if DATASETS[name].source is None:
        print(_without_files(name))
        return
    received: dict[str, int] = {}
    with progress(name, None, "MB", quiet=quiet) as advance:

        def note_bytes(file: str, so_far: int, total: int | None) -> None:
            if advance is not None:
                advance((so_far - received.get(file, 0)) / 1e6)
                received[file] = so_far

        files = download(name, data_root, on_progress=note_bytes)
    rows = [[str(f.path), "fetched" if f.fetched else "was there", f"{f.num_bytes / 1e6:.1f} MB"] for f in files]
    print_table(["file", "", "size"], rows)
