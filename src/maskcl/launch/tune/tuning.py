"""`maskcl.tune`: ask for a batch of trials, run them, tell what came of them, until the budget is spent."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from maskcl.data import Dataset
from maskcl.errors import MaskclError, check, check_choice, is_whole, message
from maskcl.experiment import EXECUTORS, Search, read_experiment, read_search
from maskcl.experiment.arguments import MOST_RUNS, check_folder, check_number, try_folder
from maskcl.experiment.files import Source
from maskcl.launch.tune.header import told
from maskcl.launch.tune.study import Study, Trial, Tuned, best_of, judge
from maskcl.launch.tune.trials import Trials
from maskcl.launch.tune.write import Target, tuned_sections, write
from maskcl.networks import Factory, Network
from maskcl.progress import Resumed

__all__ = ["BATCH", "Prepared", "prepare", "search", "tune"]

BATCH = 8
"""Trials that are asked for at once."""


@dataclass(frozen=True)
class Prepared:
    """A search that was checked and has not begun.

    Attributes:
        trials: What runs them.
        search: What [tune] says.
        raw: The file without it.
        source: The file.
        budget: Trials of each setting.
        batch: How many of them at once.
        seed: Decides on them.
        runs: Runs in all.
        target: Where the result goes; None: nowhere.
    """

    trials: Trials
    search: Search
    raw: dict[str, Any]
    source: Source
    budget: int
    batch: int
    seed: int
    runs: int
    target: Target | None

    def try_folders(self) -> None:
        """Make the folders that are written to; raises ConfigError where nothing can be written."""
        try_folder(self.trials.folder, "trials")
        if self.target is not None:
            self.target.try_folder()


def tune(
    source: Source,
    *,
    budget: int,
    out: str | os.PathLike[str] | None = None,
    trials: str | os.PathLike[str] | None = None,
    seed: int = 0,
    batch: int = BATCH,
    data_root: str | os.PathLike[str] | None = None,
    dataset: Dataset | None = None,
    network: Factory | Network | str | None = None,
    executor: str = "auto",
    threads: int | None = None,
    force: bool = False,
    on_progress: Callable[[float], None] | None = None,
) -> Study:
    """Search the space that [tune] of an experiment names, judged on held-out training rows; needs `maskcl[tune]`.

    Every setting of the file's grid is tuned by itself, with the same budget and the same first trials. A trial has a
    run for each seed and is judged by their mean; with a run that diverged it counts as the worst. Test rows are not
    looked at: what [scenario] validation_fraction says is held out, or a tenth.

    Args:
        source: An experiment file with a [tune] table, or a dict of the same sections.
        budget: Trials of each setting, 1 or more. With more, the first ones are the same.
        out: A new experiment file, NAME.toml, with the best values in place of [tune]; beside it NAME.trials.csv has
            all trials. None: nothing is written.
        trials: Folder of the trials' result files. What is finished there is not run again, so that an interrupted
            search goes on, to the same end. None: they are not kept.
        seed: Decides on the trials.
        batch: Trials of a setting that are asked for at once, and run side by side; 1 or more. Another batch size,
            other trials.
        data_root: Where data sets lie, as in `maskcl.run`.
        dataset: Data of your own, as in `maskcl.run`; the new experiment has to be given them too.
        network: A network of your own, likewise.
        executor: "auto", "stack" or "loop".
        threads: Cores to use; None: those that are free.
        force: Overwrite `out`, whatever made it. Otherwise that is done only to what the same command has made.
        on_progress: Told how much more is done, in runs.

    Returns:
        Best values, all trials, and the experiment that was written.

    Raises:
        ConfigError: Before anything runs, for the first thing that is wrong; or if all trials of a setting diverged.
        MaskclError: Optuna or tomlkit is not installed.

    >>> experiment = {
    ...     "method": "er",
    ...     "training": {"batch_size": 32},
    ...     "tune": {"optimizer.lr": {"low": 0.01, "high": 0.3, "log": True}},
    ... }
    >>> study = tune({**experiment, "seeds": 1}, budget=2)
    >>> len(study.rows()), 0.01 <= study.best[0]["optimizer.lr"] <= 0.3
    (2, True)
    """
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory()) if trials is None else trials
        prepared = prepare(
            source,
            budget=budget,
            out=out,
            trials=folder,
            kept=trials is not None,
            seed=seed,
            batch=batch,
            force=force,
            data_root=data_root,
            dataset=dataset,
            network=network,
        )
        check_choice(executor, "executor", EXECUTORS)
        return search(prepared, executor=executor, threads=threads, on_progress=on_progress)


def prepare(
    source: Source,
    *,
    budget: int,
    out: str | os.PathLike[str] | None,
    trials: str | os.PathLike[str],
    kept: bool = True,
    seed: int = 0,
    batch: int = BATCH,
    force: bool = False,
    **options: Any,
) -> Prepared:
    """Check a search; arguments as for `tune`, `options` those of `plan`, `kept` is whether `trials` was asked for."""
    for name, number, least in (("budget", budget, 1), ("batch", batch, 1), ("seed", seed, 0)):
        check(is_whole(number) and number >= least, name, f"must be a whole number, {least} or more", number)
    check(seed < 2**32, "seed", "must be below 2**32", seed)
    _check_installed()
    raw, where = read_experiment(source)
    found, raw = read_search(raw, where)
    check_number(raw, where)
    folder, target = _folder(trials), None
    if out is not None:
        deciding = {"budget": budget, "seed": seed or None, "batch": None if batch == BATCH else batch}
        target = Target.of(source, out, **deciding, trials=folder if kept else None)
        target.check(force=force)
    ran = Trials(raw, found, source, where, folder, options)
    runs = budget * ran.check() * len(ran.settings)
    must = f"must come to {MOST_RUNS:,} runs or fewer, budget times settings times seeds"
    check(runs <= MOST_RUNS, where, must, runs)
    return Prepared(ran, found, raw, source, budget, batch, seed, runs, target)


def search(
    prepared: Prepared,
    *,
    executor: str = "auto",
    threads: int | None = None,
    on_progress: Callable[[float], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Study:
    """Search, and write what was found; arguments as for `tune`, and `tell` as `maskcl.experiment.carry_out` has it.

    Raises:
        ConfigError: With `tell`, for a run that an error has ended; without, that error is raised.
    """
    prepared.try_folders()
    ran, where = prepared.trials, prepared.trials.where
    command = None if prepared.target is None else prepared.target.command
    found = _ask_and_tell(
        prepared, on_progress=on_progress, executor=executor, threads=threads, command=command, tell=tell
    )  # fmt: skip
    settings = []
    for setting, trials in zip(ran.settings, found, strict=True):
        place = f"{where}: [tune]" + (f" with {told(setting)}" if setting else "")
        best = best_of(trials, place, higher=prepared.search.higher)
        settings.append(Tuned(setting, tuple(trials), best))
    sections = tuned_sections(prepared.raw, settings, where)
    name = str(prepared.raw.get("name", "experiment"))
    study = Study(name, prepared.search, ran.fraction, tuple(settings), sections)
    return study if prepared.target is None else write(study, prepared.target, prepared.source, ran.options)


def _folder(trials: str | os.PathLike[str]) -> Path:
    good = isinstance(trials, (str, os.PathLike)) and str(trials) != ""
    check(good, "trials", "must be a folder, by its path", trials)
    check_folder(Path(trials), "trials")
    return Path(trials)


def _ask_and_tell(prepared: Prepared, *, on_progress: Any, **options: Any) -> list[list[Trial]]:
    """The trials of each setting; a batch is of all settings."""
    from maskcl.launch.tune.sampler import Sampler

    ran, space = prepared.trials, prepared.search
    samplers = [Sampler(space.space, higher=space.higher, seed=prepared.seed) for _ in ran.settings]
    found: list[list[Trial]] = [[] for _ in ran.settings]
    while (done := len(found[0])) < prepared.budget:
        asked = [sampler.ask(min(prepared.batch, prepared.budget - done)) for sampler in samplers]
        rows = [{**setting, **values} for setting, tries in zip(ran.settings, asked, strict=True) for values in tries]
        told = _Counted(on_progress)
        documents = iter(ran.run(rows, on_progress=told, **options))
        for sampler, tries, trials in zip(samplers, asked, found, strict=True):
            new = [judge(done + i, values, next(documents), space.metric) for i, values in enumerate(tries)]
            sampler.tell([float(trial.figure.mean) for trial in new])
            trials += new
        told.complete(sum(trial.runs for trials in found for trial in trials[done:]))
    return found


class _Counted:
    """Passes progress on, and at the end of a batch what needed no run."""

    def __init__(self, on_progress: Callable[[float], None] | None) -> None:
        self._on_progress, self._told = on_progress, 0.0

    def __call__(self, runs: float) -> None:
        self._told += runs
        if self._on_progress is not None:
            self._on_progress(runs)

    def complete(self, runs: float) -> None:
        if runs > self._told:
            self(Resumed(runs - self._told))


def _check_installed() -> None:
    """Refuse to begin without what the extra brings."""
    for library in ("optuna", "tomlkit"):
        try:
            importlib.import_module(library)
        except ImportError:
            must = f"needs {library!r}, which is not installed"
            raise MaskclError(message("tune", must, hint="pip install 'maskcl[tune]'")) from None
