"""tune: settings chosen on held-out training rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskcl.cli.console import DataRoot, Executor, Quiet, SaidError, note, pictures_progress, print_table, progress

if TYPE_CHECKING:
    from maskcl.launch.tune import Prepared, Study

__all__ = ["tune"]

Folder = typer.Option(
    "--trials", metavar="DIR", help="Folder of the trials' result files; default runs/NAME OF THE FILE-tune."
)


def tune(
    file: Annotated[Path, typer.Argument(help="Experiment file (TOML) with a [tune] table.", metavar="FILE")],
    budget: Annotated[int, typer.Option("--budget", metavar="N", help="Trials of each setting of the file.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The new experiment file; FILE.trials.csv has all trials.")
    ],
    trials: Annotated[Path | None, Folder] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Decides on the trials.")] = 0,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", help="Trials of a setting asked for at once and run side by side.")
    ] = 8,
    force: Annotated[
        bool, typer.Option("--force", help="Write over --out, though another command or a hand has made it.")
    ] = False,
    data_root: DataRoot = None,
    executor: Executor = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, print the plan, run nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Search the space of a file's [tune] on held-out training rows, and write a file with the best values.

    What is finished already is skipped: after an interruption the same command goes on, to the same end.
    """
    from maskcl.errors import check_choice
    from maskcl.experiment import EXECUTORS
    from maskcl.experiment.stopping import stopped_status
    from maskcl.launch.tune import prepare, search

    check_choice(executor, "--executor", EXECUTORS)
    folder = Path("runs") / f"{file.stem}-tune" if trials is None else trials
    with pictures_progress(quiet=quiet) as told:
        prepared = prepare(
            file, budget=budget, out=out, trials=folder, kept=trials is not None, seed=seed, batch=batch, force=force,
            data_root=data_root, on_pictures=told,
        )  # fmt: skip
    if not quiet:
        note(_judged(prepared))
    if dry_run:
        settings = len(prepared.trials.settings)
        print(f"{file.stem}: {prepared.runs} runs at most, settings x trials x seeds = {settings} x {budget} x "
              f"{prepared.runs // settings // budget}, results in {folder}")  # fmt: skip
        return
    prepared.try_folders()  # before there is a progress bar
    try:
        with progress(file.stem, prepared.runs, "runs", quiet=quiet) as advance:
            study = search(prepared, executor=executor, on_progress=advance, tell=note)
    except KeyboardInterrupt:
        note(f"stopped: what was finished is kept in {folder}, and the same command goes on from there")
        raise SaidError(stopped_status()) from None
    _print_study(study)


def _judged(prepared: Prepared) -> str:
    ran = prepared.trials
    said = "" if ran.said_fraction else ", for [scenario] validation_fraction says nothing else"
    return f"judged on {ran.fraction:g} of each class's training rows{said}; test rows are not looked at"


def _print_study(study: Study) -> None:
    from maskcl.launch.tune.header import text, told
    from maskcl.results import percent

    keys, metric = list(study.search.space), study.search.metric
    grid = any(tuned.setting for tuned in study.settings)
    rows = [
        [
            *([told(tuned.setting)] if grid else []),
            *(text(tuned.best.values[key]) for key in keys),
            percent(tuned.best.figure),
            str(len(tuned.trials)),
            str(tuned.diverged),
        ]
        for tuned in study.settings
    ]
    print_table([*(["setting"] if grid else []), *keys, f"{metric} in %", "trials", "diverged"], rows)
    print("On held-out training rows; the best of many flatters.")
    print(f"experiment: {study.file}, trials: {study.table}")
