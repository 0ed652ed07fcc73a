"""The command line: no logic of its own. Data go to stdout, everything else to stderr; bad input exits with 2."""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import click
import typer

from maskcl import __version__
from maskcl.errors import ConfigError, MaskclError, message

if TYPE_CHECKING:
    from maskcl.experiment import Plan
    from maskcl.results import Results

__all__ = ["app", "main"]

app = typer.Typer(
    name="maskcl",
    help="Learn new classes without forgetting the old ones: masked softmax and replay.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(
    help="Data sets: what there is, whether the files are whole, getting them.", no_args_is_help=True
)
app.add_typer(data_app, name="data")

Out = Annotated[Path, typer.Option("--out", help="Folder of result files; finished runs in it are not run again.")]
Seeds = Annotated[Optional[int], typer.Option("--seeds", help="Runs of each setting, instead of the file's.")]
DataRoot = Annotated[Optional[Path], typer.Option("--data-root", help="Where data sets lie (or set MASKCL_DATA).")]
Executor = Annotated[str, typer.Option("--executor", help="auto (a short measurement decides), stack or loop.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"maskcl {__version__}")
        raise typer.Exit


@app.command()
def demo(out: Out = Path("runs/demo"), seeds: Seeds = None, executor: Executor = "auto", quiet: Quiet = False) -> None:
    """Run the paper's central experiment on built-in data: what masking does to ER and DER++."""
    planned = _plan(_shipped("digits_masks.toml"), out=out, seeds=seeds)
    _run(planned, out, executor=executor, quiet=quiet, command="maskcl demo")


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="Experiment file (TOML).", metavar="FILE")],
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Folder of result files; default runs/NAME OF THE FILE.")
    ] = None,
    seeds: Seeds = None,
    overrides: Annotated[
        Optional[list[str]],
        typer.Option("--set", help="KEY=VALUE, e.g. optimizer.lr=0.1; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    data_root: DataRoot = None,
    executor: Executor = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, print the plan, run nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment file; what is finished already is skipped."""
    out = out if out is not None else Path("runs") / file.stem
    planned = _plan(file, out=out, seeds=seeds, overrides=_overrides(overrides or []), data_root=data_root)
    if dry_run:
        _print_plan(planned, out)
        return
    _run(planned, out, executor=executor, quiet=quiet, command=shlex.join(["maskcl", *sys.argv[1:]]))


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of result files.", metavar="DIR")],
    format: Annotated[
        str, typer.Option("--format", help="table, csv, markdown, latex, or html (writes the page).")
    ] = "table",
) -> None:
    """Print a table of results, or write the page with its figures."""
    from maskcl import report as reports
    from maskcl.errors import check_choice
    from maskcl.results import Results

    check_choice(format, "--format", reports.FORMATS)
    results = Results.load(folder)
    if format == "html":
        print(reports.write(folder, results))
    else:
        print(reports.render(results, format))


@app.command()
def methods(
    name: Annotated[Optional[str], typer.Argument(help="A method's key, for its settings.", metavar="[NAME]")] = None,
) -> None:
    """List the methods, or describe one."""
    from maskcl.methods import REGISTRY, describe, find

    if name is None:
        _print_table(
            ["key", "method", "paper"], [[m.key, m.title, m.paper and f"arXiv {m.paper}"] for m in REGISTRY.values()]
        )
        return
    method = find(name)
    print((sys.modules[method.__module__].__doc__ or "").strip() + "\n")
    rows = [
        [o["name"], "none" if o["default"] is None else str(getattr(o["default"], "label", o["default"])), o["doc"]]
        for o in describe(name)
    ]
    _print_table(["setting", "default", "what"], rows)


@app.command()
def bench(
    names: Annotated[Optional[list[str]], typer.Argument(help="Benchmarks; default all.", metavar="[NAME]...")] = None,
) -> None:
    """Measure speed, as ratios to a bare PyTorch loop in the same run."""
    from maskcl.bench import main as run_benchmarks

    raise typer.Exit(run_benchmarks(names or []))


@data_app.command("list")
def data_list(data_root: DataRoot = None) -> None:
    """List the data sets and whether they are there."""
    from maskcl import data

    rows = []
    for found in data.available(_text(data_root)):
        info = found.info
        rows.append(
            [info.name, info.description, f"{info.num_train} + {info.num_test}", str(info.num_classes), found.state]
        )
    _print_table(["name", "what", "rows", "classes", "state"], rows)


@data_app.command("verify")
def data_verify(name: Annotated[str, typer.Argument(help="Data set.")], data_root: DataRoot = None) -> None:
    """Check a data set's files against their checksums; exits with 2 if one is not whole."""
    from maskcl import data

    states = data.verify(name, _text(data_root))
    if not states:
        print(f"{name} is built in")
        return
    _print_table(["file", "state"], [[str(s.path), s.state] for s in states])
    broken = [s for s in states if s.state != "intact"]
    if broken:
        hint = f"maskcl data download {name}" + (f" --data-root {data_root}" if data_root else "")
        raise MaskclError(f"{name}: {broken[0].problem or broken[0].state}\nhint: {hint}")


@data_app.command("download")
def data_download(
    name: Annotated[str, typer.Argument(help="Data set.")], data_root: DataRoot = None, quiet: Quiet = False
) -> None:
    """Download a data set's files."""
    from maskcl import data

    files = data.download(name, _text(data_root))
    if not files:
        print(f"{name} is built in")
    for file in files:
        print(f"{file.path} {'fetched' if file.fetched else 'was there'}, {file.num_bytes} bytes")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    warnings.showwarning = _show_warning
    try:
        status = app(argv, standalone_mode=False)
    except (click.ClickException, MaskclError) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print(f"error: {text}", file=sys.stderr)
        return 2
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("\nstopped; finished runs are kept, and the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `maskcl ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status if isinstance(status, int) else 0


def _show_warning(text: Warning | str, *_: Any) -> None:
    print(f"warning: {text}", file=sys.stderr)


def _plan(source: Path, **options: Any) -> Plan:
    from maskcl.experiment import plan

    if options.get("out") is not None and Path(options["out"]).exists() and not Path(options["out"]).is_dir():
        raise ConfigError(message("--out", "must be a folder", str(options["out"])))
    seeds = options.get("seeds")
    if seeds is not None and seeds < 1:
        raise ConfigError(message("--seeds", "must be 1 or more", seeds))
    options["data_root"] = _text(options.get("data_root"))
    return plan(source, **options)


def _run(planned: Plan, out: Path, *, executor: str, quiet: bool, command: str) -> None:
    from maskcl import report as reports
    from maskcl.experiment import execute

    skipped = len(planned.runs) - len(planned.pending)
    if skipped:
        print(f"{skipped} of {len(planned.runs)} runs are finished already", file=sys.stderr)
    with _progress(len(planned.pending), planned.name, quiet) as advance:
        results: Results = execute(planned, executor=executor, on_progress=advance)
    page = reports.write(out, results, command=command)
    print(reports.render(results))
    print(f"report: {page}")


@contextmanager
def _progress(total: int, name: str, quiet: bool) -> Iterator[Callable[[float], None] | None]:
    if quiet or not total:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.1f} of {task.total:.0f} runs"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=total)
        yield lambda runs: progress.advance(task, runs)


def _print_plan(planned: Plan, out: Path) -> None:
    rows = []
    for label in planned.labels:
        runs = [run for run in planned.runs if run.label == label]
        done = sum(run.done is not None for run in runs)
        rows.append([label, str(len(runs)), str(done), runs[0].path.parent.name if runs[0].path else ""])
    _print_table(["setting", "runs", "done", "folder"], rows)
    print(f"{planned.name}: {len(planned.pending)} of {len(planned.runs)} runs to do, results in {out}")


def _print_table(columns: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    Console(soft_wrap=not sys.stdout.isatty()).print(table)


def _overrides(pairs: list[str]) -> dict[str, Any]:
    """KEY=VALUE, the value as TOML; a bare word is a string."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(message("--set", "must be KEY=VALUE", pair, hint="e.g. --set optimizer.lr=0.1"))
        try:
            found[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            if any(c in text for c in "[]{}\"'="):
                raise ConfigError(message(f"--set {key}", "must have a TOML value", text)) from None
            found[key.strip()] = text
    return found


def _shipped(name: str) -> Path:
    """An experiment file that comes with the package, or lies beside it in a checkout."""
    here = Path(__file__).parent
    installed = here / "experiments" / name
    return installed if installed.exists() else here.parents[1] / "experiments" / name


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def entry() -> None:
    """What the installed command calls."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
