"""methods, schema and bench: what there is, and how fast it is."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import MISSING
from typing import Annotated, Any

import typer

from maskcl.cli.console import print_table

__all__ = ["bench", "methods", "schema"]


def methods(
    name: Annotated[str | None, typer.Argument(help="A method's key, for its settings.", metavar="[NAME]")] = None,
) -> None:
    """List the methods, or describe one."""
    from maskcl.errors import check_choice
    from maskcl.methods import REGISTRY, describe

    if name is None:
        rows = [[key, m.title, f"arXiv {m.paper}" if m.paper else ""] for key, m in REGISTRY.items()]
        print_table(["key", "method", "paper"], rows)
        return
    check_choice(REGISTRY.aliases.get(name, name), "method", REGISTRY)
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
    rows: Annotated[int | None, typer.Option("--rows", help="Length of the stream in 'stream'.", metavar="N")] = None,
) -> None:
    """Measure speed, as ratios to a bare PyTorch loop in the same run."""
    from maskcl.bench import main

    raise typer.Exit(main(names or [], rows=rows))
