"""demo, run and report: from an experiment file to a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskcl.cli.console import (
    DataRoot,
    Executor,
    LogLevel,
    Quiet,
    SaidError,
    Seeds,
    note,
    once,
    pictures_progress,
    progress,
    set_level,
    typed_command,
)
from maskcl.cli.dry_run import print_plan
from maskcl.cli.parts import check_alone, check_launcher, cores_each, find_launcher, parse_shard
from maskcl.cli.shared_folder import write_report

if TYPE_CHECKING:
    from maskcl.experiment import Plan
    from maskcl.experiment.in_process import Launcher
    from maskcl.experiment.sharing import Failure
    from maskcl.results import Results

__all__ = ["demo", "report", "run"]

UNFINISHED = 3
"""Exit status: everything was tried, and some runs diverged, or failed."""


def demo(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of result files; what is finished there is skipped.")
    ] = Path("runs/demo"),
    seeds: Seeds = None,
    executor: Executor = "auto",
    quiet: Quiet = False,
) -> None:
    """See what masking does to ER and DER++, on built-in data."""
    from maskcl.experiment import plan, shipped

    _check_executor(executor)
    planned = plan(shipped("demo.toml"), out=out, seeds=seeds)
    _execute(planned, out, executor=executor, quiet=quiet, command=typed_command(ctx))


def run(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Experiment file (TOML).", metavar="FILE")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder of result files; default runs/NAME OF THE FILE (and its --subset).",
        ),
    ] = None,
    seeds: Seeds = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set a key, whatever the file says: optimizer.lr=0.1. May be repeated.",
        ),
    ] = None,
    subset: Annotated[
        float | None,
        typer.Option(
            "--subset",
            metavar="FRACTION",
            help="A rehearsal: learn from and judge by this share of the rows, into a folder of its own.",
        ),
    ] = None,
    data_root: DataRoot = None,
    executor: Executor = "auto",
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", help="Processes, each with its share of the cores.")
    ] = 1,
    devices: Annotated[
        int,
        typer.Option("--devices", metavar="N", help="GPUs, or parts of the cores, that share each run."),
    ] = 1,
    launcher: Annotated[
        str,
        typer.Option(
            "--launcher", metavar="NAME", help="local, or ray: the cluster of RAY_ADDRESS, or one of its own."
        ),
    ] = "local",
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="I/N", help="The I-th (from 1) of N parts of the runs, for as many machines."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan and estimates, run nothing.")
    ] = False,
    log_level: LogLevel = "info",
    quiet: Quiet = False,
) -> None:
    """Run an experiment file; what is finished already is skipped."""
    from maskcl.details import details_told
    from maskcl.errors import counted
    from maskcl.experiment import parse_overrides, plan
    from maskcl.launch import Recipe, check_devices

    quiet = set_level(log_level, quiet=quiet)
    _check_executor(executor)
    part = parse_shard(shard)
    workers = cores_each(jobs, devices)
    check_launcher(launcher)
    check_alone(devices, launcher, executor)
    changes = parse_overrides(overrides or [])
    name = file.stem
    if subset is not None:
        from maskcl.scenario import check_subset

        changes["scenario.subset"] = changes["scenario.eval_subset"] = check_subset(subset, "--subset")
        name = f"{name}-subset-{subset:g}"
    out = Path("runs") / name if out is None else out
    with pictures_progress(quiet=quiet) as told:
        planned = plan(file, out=out, seeds=seeds, overrides=changes, data_root=data_root, on_pictures=told)
    if part is not None:
        total, planned = len(planned.runs), planned.shard(*part)
        if not planned.runs:
            note(f"nothing to do: {planned.name} has {counted(total, 'run')}, and none of them is in part {shard}")
    command = typed_command(ctx)
    check_devices([run.spec for run in planned.pending], devices)
    if dry_run:
        print_plan(planned, out, executor=executor, jobs=jobs, devices=devices, cores=workers)
    else:
        root = None if data_root is None else str(data_root)
        recipe = Recipe(
            str(file), str(out), seeds, changes, root, executor, workers, command, planned.file, details_told()
        )
        tell = once()
        found = find_launcher(launcher, jobs, devices, recipe, tell=tell)
        _execute(planned, out, executor=executor, quiet=quiet, command=command, launcher=found, tell=tell)


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of result files.", metavar="DIR")],
    format: Annotated[
        str,
        typer.Option("--format", metavar="NAME", help="table, csv, markdown, latex, or html (writes the page)."),
    ] = "table",
    figure: Annotated[
        list[str] | None,
        typer.Option(
            "--figure",
            metavar="NAME",
            help="Draw this figure into DIR/figures and print its table: sensitivity, memory_size, class_orders, "
            "collapse, predictors, cost, ablation, or one of every page; repeatable.",
        ),
    ] = None,
) -> None:
    """Print a table of results, or write the page with its figures."""
    from maskcl import report as reports
    from maskcl.errors import check_choice
    from maskcl.results import Results

    check_choice(format, "--format", reports.FORMATS)
    results = Results.load(folder)
    if format == "html":
        print(reports.write(folder, results, names=figure or None))
        return
    print(reports.draw(folder, results, figure, format) if figure else reports.render(results, format))
    if figure:
        note(f"drawn into {folder / 'figures'}")


def _check_executor(executor: str) -> None:
    from maskcl.errors import check_choice
    from maskcl.experiment import EXECUTORS

    check_choice(executor, "--executor", EXECUTORS)


def _execute(
    planned: Plan,
    out: Path,
    *,
    executor: str,
    quiet: bool,
    command: str,
    launcher: Launcher | None = None,
    tell: Callable[[str], None] | None = None,
) -> None:
    from maskcl import report as reports
    from maskcl.errors import ConfigError
    from maskcl.experiment import carry_out
    from maskcl.experiment.stopping import stopped_status
    from maskcl.results import Results

    planned.try_folders()  # before there is a progress bar
    done = len(planned.runs) - len(planned.pending)
    if done and not quiet:
        note(f"{done} of {len(planned.runs)} runs are finished already")
    failures: list[Failure] = []
    try:
        with progress(planned.name, len(planned.pending), "runs", quiet=quiet) as advance:
            documents = carry_out(
                planned, executor=executor, on_progress=advance, command=command, tell=tell or once(),
                failures=failures, launcher=launcher,
            )  # fmt: skip
    except KeyboardInterrupt:
        note(f"stopped: what was finished is kept in {out}, and the same command goes on from there")
        raise SaidError(stopped_status()) from None
    if not documents:  # all runs failed, or there was none
        raise typer.Exit(_tell_failures(failures, documents))
    results = Results(documents)
    if planned.pending and not quiet:
        note(_executors(planned, results))
    unwritten = None
    try:
        where = write_report(out, results, command=command)
    except ConfigError as error:  # a full disk, say; what is known is told all the same
        unwritten = error
    print(reports.render(results))
    if unwritten is None:
        print(where)
    status = _tell_failures(failures, documents)
    if unwritten is not None:
        raise unwritten
    if status:
        raise typer.Exit(status)


def _tell_failures(failures: Sequence[Failure], documents: Sequence[Mapping[str, Any]]) -> int:
    """List the runs that an error has ended, each with its reason; return the exit status."""
    for failure in failures:
        note(f"failed: {failure.label}, seed {failure.seed}: {failure.reason}")
    if failures:
        note("the same command tries these runs again")
    diverged = any(run["status"] == "diverged" for run in documents)
    return UNFINISHED if failures or diverged else 0


def _executors(planned: Plan, results: Results) -> str:
    """What ran the new runs, and why; the reason given is that of most runs, each result file has its own."""
    from maskcl.errors import counted

    new = {(run.label, run.seed) for run in planned.pending}
    used = [run["executor"] for run in results.runs if (run["label"], run["seed"]) in new]
    counts = Counter(each["name"] for each in used)
    if not used:
        return "executor: none, for no new run has ended"
    reason = Counter(each["reason"] for each in used).most_common(1)[0][0]
    return "executor: " + ", ".join(f"{name} for {counted(n, 'run')}" for name, n in counts.items()) + f" ({reason})"
