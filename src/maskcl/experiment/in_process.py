"""Runs trained in this process: the engine, checkpoints, and a file for each run as it ends."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import maskcl
from maskcl.devices import arithmetic
from maskcl.engine import Checkpoints, Outcome, StopError, run_population
from maskcl.engine.team import Team
from maskcl.errors import DataError, raised
from maskcl.experiment.finished import save_weights
from maskcl.experiment.planning import Plan, Planned
from maskcl.experiment.sharing import Share
from maskcl.files import remove_left_over
from maskcl.results import document, read_result, write_result
from maskcl.source import source_digest

__all__ = ["PRIVATE", "InProcess", "Launcher", "checkpoints_of", "environment", "tidy"]

PRIVATE = ".maskcl"
"""Folder within a folder of results, of what is no result: checkpoints, claims."""


class Launcher(Protocol):
    """What has runs trained."""

    def __call__(self, runs: Sequence[Planned], share: Share) -> None:
        """Train those of the runs that the share lets it take; what becomes of each is told to the share."""
        ...


class InProcess:
    """Trains runs here; arguments as `maskcl.experiment.execute` has them.

    Args:
        executor: What runs them.
        threads: On how many threads.
        origin: What results tell of where they come from.
        raises: Whether an error in one run ends all.
        tell: Told in sentences of what is no result.
        team: The processes that make each run together, of which this is the first; None: this one alone.
    """

    def __init__(
        self,
        executor: str,
        threads: int | None,
        origin: Mapping[str, Any],
        *,
        raises: bool,
        tell: Callable[[str], None] | None = None,
        team: Team | None = None,
    ) -> None:
        self._team = team
        self._executor, self._threads, self._origin = executor, threads, dict(origin)
        self._raises, self._tell = raises, tell

    def __call__(self, runs: Sequence[Planned], share: Share) -> None:
        """Train them; as `Launcher` has it."""
        about, place = environment(), {id(run.spec): i for i, run in enumerate(runs)}

        def keep(outcome: Outcome) -> None:
            run = runs[place[id(outcome.spec)]]
            date = datetime.now(timezone.utc).isoformat(timespec="seconds")
            result = document(
                outcome, experiment=run.experiment, label=run.label, seed=run.seed, config=run.config,
                environment=about, origin=self._origin | {"date": date},
            )  # fmt: skip
            if run.path is not None:
                save_weights(run.path, outcome, result)  # first, so that no result lacks its weights
                write_result(run.path, result)
            share.result(run, result)

        def claim(indices: Sequence[int]) -> list[int]:
            return [place[id(run.spec)] for run in share.take(runs[i] for i in indices)]

        def fail(indices: Sequence[int], error: Exception) -> None:
            share.failed([runs[i] for i in indices], raised(error))

        with suppress(StopError):  # who asked for it knows
            run_population(
                [run.spec for run in runs],
                executor=self._executor,
                threads=self._threads,
                on_progress=share.progress,
                on_outcome=keep,
                keys=[run.key for run in runs],
                checkpoints=checkpoints_of(runs[0], tell=self._tell),
                claim=claim,
                on_failure=None if self._raises else fail,
                stopping=share.stopping,
                team=self._team,
            )


def checkpoints_of(run: Planned, *, tell: Callable[[str], None] | None = None) -> Checkpoints | None:
    """Return the checkpoints beside the result of a run; None where nothing is written."""
    if run.out is None:
        return None
    return Checkpoints(run.out / PRIVATE / "checkpoints", _versions(environment()), tell=tell)


def tidy(planned: Plan, *, alone: bool, tell: Callable[[str], None] | None = None) -> None:
    """Remove checkpoints of a folder that nobody goes on from any more.

    Args:
        planned: What was to be done there.
        alone: Whether no other process works there: then what was left half written goes, too.
        tell: Told of checkpoints that stay since nobody can read them.
    """
    checkpoints = checkpoints_of(planned.runs[0], tell=tell)
    if checkpoints is None or planned.out is None:
        return
    out = planned.out
    checkpoints.tidy(lambda key: _has_result(out, key), alone=alone)
    if alone:
        for folder in {run.path.parent for run in planned.runs if run.path is not None}:
            remove_left_over(folder)


def _has_result(out: Path, key: str) -> bool:
    """Whether a folder has the result of a run, of any experiment; one that is broken will be made again."""
    for path in out.glob(f"*-{key[:8]}/seed-{key[9:]}.json"):
        with suppress(DataError):
            read_result(path)
            return True
    return False


def _versions(about: Mapping[str, Any]) -> dict[str, Any]:
    """Of an environment, what decides the last bits."""
    return {name: value for name, value in about.items() if name not in ("cpus", "platform", "scikit-learn", "scipy")}


@cache
def _installed() -> dict[str, str]:
    """Versions of what numbers come from; looking them up takes 20 ms, which a run of a few steps would notice."""
    return {name: version(name) for name in ("torch", "numpy", "scipy", "scikit-learn")}


def environment() -> dict[str, Any]:
    """Versions, source and machine, as result files tell them."""
    source = source_digest()
    return {
        "maskcl": maskcl.__version__,
        **({} if source is None else {"source": source}),
        "python": platform.python_version(),
        **_installed(),
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        **arithmetic(),
    }
