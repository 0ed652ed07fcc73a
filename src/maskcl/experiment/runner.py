"""`maskcl.run`: plan, skip what is finished, run, write each run as it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from maskcl.claims import Claims
from maskcl.data import Dataset
from maskcl.errors import check, check_choice
from maskcl.experiment.files import Source
from maskcl.experiment.in_process import PRIVATE, InProcess, Launcher, tidy
from maskcl.experiment.planning import Plan, plan
from maskcl.experiment.sharing import Failure, Share
from maskcl.experiment.stopping import stop_signals
from maskcl.networks import Factory, Network
from maskcl.results import Results
from maskcl.scenario import Scenario

__all__ = ["EXECUTORS", "carry_out", "execute", "run"]

EXECUTORS = ("auto", "stack", "loop")


def run(
    source: Source,
    *,
    out: str | os.PathLike[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    overrides: Mapping[str, Any] | None = None,
    data_root: str | os.PathLike[str] | None = None,
    dataset: Dataset | None = None,
    scenario: Scenario | None = None,
    network: Factory | Network | str | None = None,
    executor: str = "auto",
    threads: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Results:
    """Run an experiment and return its results.

    Args:
        source: An experiment file, or a dict of the same sections.
        out: Folder of result files; runs whose file is there already are not run again. None: nothing is written.
        seeds: How many runs of each setting, or which seeds; None: as the file says.
        overrides: Dotted keys and their values, e.g. {"optimizer.lr": 0.1}, in place of what file and grid say.
        data_root: Where data sets lie; None: MASKCL_DATA, or the user's cache.
        dataset: Data of your own (`maskcl.from_arrays`) in place of the file's.
        scenario: A scenario of your own (`maskcl.class_incremental`) in place of the file's.
        network: A network of your own in place of the file's: factory(input_shape, num_classes) that returns an
            `nn.Module` from [B, *input_shape] to logits [B, num_classes]; or a `Network`, or a key of
            `maskcl.networks`. It may be called many times and must build the same each time, but for initial weights.
            Results tell it by where the factory stands, what it holds (arguments of a `functools.partial`, variables
            around it, defaults, attributes), and class, structure and plain attributes of the module; not by code: a
            forward that was rewritten wants another `out`. BatchNorm and Dropout layers work in both executors.
            What Dropout layers draw depends on the run's seed alone, with any executor, and the global random state is
            neither used nor changed; networks that draw in another way (functional dropout) are refused.
        executor: "auto", "stack" or "loop".
        threads: Cores to use; None: those that are free, and for a convolutional run those that this process may use
            (its affinity, OMP_NUM_THREADS), for their number changes last bits.
        on_progress: Told how much more is done, in runs.

    Returns:
        All runs of the experiment, those found in `out` included.

    Raises:
        ConfigError: Before anything runs, for the first thing that is wrong.

    >>> experiment = {"method": "er", "training": {"batch_size": 32}}
    >>> results = run(experiment, seeds=1)
    >>> 0 < results.rows()[0]["final_accuracy"] < 1
    True

    A network of your own:

    >>> from torch import nn
    >>> def narrow(input_shape, num_classes):
    ...     hidden = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Dropout(0.1))
    ...     return nn.Sequential(hidden, nn.Linear(20, num_classes))
    >>> own = run(experiment, seeds=1, network=narrow)
    >>> own.runs[0]["config"]["network"]["class"], own.runs[0]["num_parameters"]
    ('Sequential', 1510)
    """
    check_choice(executor, "executor", EXECUTORS)
    check(on_progress is None or callable(on_progress), "on_progress", "must be a function of one number", on_progress)
    planned = plan(
        source,
        out=out,
        seeds=seeds,
        overrides=overrides,
        data_root=data_root,
        dataset=dataset,
        scenario=scenario,
        network=network,
    )
    return execute(planned, executor=executor, threads=threads, on_progress=on_progress)


def execute(
    planned: Plan,
    *,
    executor: str = "auto",
    threads: int | None = None,
    on_progress: Callable[[float], None] | None = None,
    command: str | None = None,
) -> Results:
    """Run what a plan has pending, and return all its results; as `carry_out` has it."""
    return Results(carry_out(planned, executor=executor, threads=threads, on_progress=on_progress, command=command))


def carry_out(
    planned: Plan,
    *,
    executor: str = "auto",
    threads: int | None = None,
    on_progress: Callable[[float], None] | None = None,
    command: str | None = None,
    tell: Callable[[str], None] | None = None,
    launcher: Launcher | None = None,
    failures: list[Failure] | None = None,
) -> list[dict[str, Any]]:
    """Run what a plan has pending, and return the documents of all its runs that have one.

    Args:
        planned: The plan.
        executor: As for `run`, as are threads and `on_progress`.
        threads: Likewise.
        on_progress: Likewise.
        command: What was typed to have it run, which results tell.
        tell: Told in a sentence of checkpoints that cannot be used, and of other processes that are waited for.
        launcher: What trains the runs; None: this process.
        failures: Gets the runs that an error has ended, in order, while the others go on; None: the error is raised.

    Returns:
        All but of those that failed: none, if all did.

    Raises:
        KeyboardInterrupt: At Ctrl-C or SIGTERM, once it is written down where training stands.
    """
    planned.try_folders()
    origin = {"file": planned.file, "command": command}
    launch = launcher or InProcess(executor, threads, origin, raises=failures is None, tell=tell)
    with ExitStack() as stack:
        stopping = stack.enter_context(stop_signals())
        folder = None if planned.out is None else planned.out / PRIVATE
        if folder is not None and not planned.pending and not folder.exists():
            folder = None
        claims = None if folder is None else stack.enter_context(Claims(folder))
        share = Share(planned, claims, tell=tell, on_progress=on_progress, stopping=stopping)
        while left := share.left:
            launch(left, share)
            share.wait()
            if stopping():
                raise KeyboardInterrupt
        if claims is not None:
            tidy(planned, alone=claims.alone(), tell=tell)
    if failures is not None:
        failures += [share.failures[id(run)] for run in planned.runs if id(run) in share.failures]
    done = [(run.done or share.found.get(id(run))) for run in planned.runs]
    return [document for document in done if document is not None]
