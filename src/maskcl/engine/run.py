"""Run any runs: train what was grouped, evaluate, report as each one ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import torch

from maskcl.engine.checkpoint_file import Saved
from maskcl.engine.checkpoints import Checkpoints, shared_out
from maskcl.engine.group import GroupRun, Report, StopError
from maskcl.engine.groups import Group, at_a_time, grouped
from maskcl.engine.isolate import isolate
from maskcl.engine.spec import Outcome, RunSpec
from maskcl.engine.team import Team, TeamError
from maskcl.errors import check, check_choice, counted, raised
from maskcl.progress import Tally

__all__ = ["run_population"]

LOG = logging.getLogger("maskcl")


def run_population(
    specs: Sequence[RunSpec],
    *,
    executor: str = "auto",
    group_size: int | None = None,
    threads: int | None = None,
    on_progress: Callable[[float], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    keys: Sequence[str] | None = None,
    checkpoints: Checkpoints | None = None,
    claim: Callable[[Sequence[int]], Sequence[int]] | None = None,
    on_failure: Callable[[Sequence[int], Exception], None] | None = None,
    stopping: Callable[[], bool] = lambda: False,
    team: Team | None = None,
) -> list[Outcome]:
    """Train and evaluate runs, stacked where they can be.

    Populations of linear layers run side by side, one thread each (their work is in PyTorch, which lets go of the
    interpreter): two OpenMP threads that share one population collapse as soon as another process wants a core, two
    populations do not. A convolutional run has as many threads as the machine has cores, 8 at most: always the same,
    for they change last bits.

    Args:
        specs: Any runs; those that differ in numbers and seeds alone are stacked.
        executor: "auto" (a rule decides: `maskcl.engine.auto`), "stack" or "loop".
        group_size: Largest population; None: chosen.
        threads: Cores to use; None: those that are free, and for a convolutional run those that this process may use
            (its affinity, OMP_NUM_THREADS).
        on_progress: Told how much more is done, in runs.
        on_outcome: Told each run's outcome as soon as it is there; calls do not overlap.
        keys: A name for each run, by which it finds its checkpoint; None: their places.
        checkpoints: Where it is written down where training stands, and where it goes on from; None: nowhere.
        claim: Asked before a group starts which of its runs, by their places, are to be made; None: all.
        on_failure: Told the places of runs that an error has ended, and the error; others go on, also those of the same
            population (`maskcl.engine.isolate`). None: it is raised.
        stopping: Asked now and then whether to stop, from any thread.
        team: The processes that make each run together, all of which call this with the same runs, one after the other
            and with executor "loop"; the first writes checkpoints. None: this process alone.

    Returns:
        Outcomes in the order of `specs`, of all that were made.

    Raises:
        Exception: What `on_outcome` raises ends all: results that cannot be written are no fault of one run.
        StopError: It was asked to stop; where training stood is in the checkpoints.
        TeamError: Another process of the team is gone.
    """
    check_choice(executor, "executor", ("auto", "stack", "loop"))
    check(group_size is None or group_size >= 1, "group_size", "must be 1 or more", group_size)
    check(threads is None or threads >= 1, "threads", "must be 1 or more", threads)
    before = torch.get_num_threads()
    outcomes: dict[int, Outcome] = {}
    names = [str(i) for i in range(len(specs))] if keys is None else list(keys)
    report = _Reporter(outcomes, on_progress, on_outcome)
    seen = set[tuple[str, int]]() if checkpoints is None else checkpoints.there(set(names))
    found = [] if checkpoints is None else checkpoints.newest(set(names))
    crew = _Crew(specs, names, report, checkpoints, claim, on_failure, stopping, seen, team)
    found = [one for one in found if executor in ("auto", one.content["executor"]["name"])]
    saved, devices = shared_out(found, names), 1 if team is None else team.size
    try:
        torch.set_num_threads(1)
        for groups in grouped(
            specs, executor=executor, group_size=group_size, threads=threads, saved=saved, devices=devices
        ):
            crew.run(groups)
    except _ListenerError as error:
        raise error.cause from None
    finally:
        torch.set_num_threads(before)
    return [outcomes[i] for i in sorted(outcomes)]


class _StoppedError(Exception):
    """Another worker failed, or the user pressed Ctrl-C."""


class _ListenerError(Exception):
    """Who is told of outcomes raised its cause: no fault of that run, so it ends all."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


class _Reporter:
    """Passes progress and outcomes on, one at a time."""

    def __init__(self, outcomes: dict[int, Outcome], on_progress: Any, on_outcome: Any) -> None:
        self.outcomes, self._on_progress, self._on_outcome = outcomes, on_progress, on_outcome
        self._lock, self.stopped = Lock(), False

    def progress(self, runs: float) -> None:
        if self.stopped:
            raise _StoppedError
        if self._on_progress is not None:
            with self._lock:
                self._on_progress(runs)

    def outcome(self, index: int, outcome: Outcome) -> None:
        with self._lock:
            self.outcomes[index] = outcome
            if self._on_outcome is not None:
                try:
                    self._on_outcome(outcome)
                except Exception as error:
                    raise _ListenerError(error) from error
                if outcome.network is not None:  # who was told of it has it; thousands of runs would fill the memory
                    self.outcomes[index] = replace(outcome, network=None)


@dataclass(frozen=True)
class _Told:
    """Who is told of one attempt at a group; as `Report` has it."""

    progress: Callable[[float], None]
    outcome: Callable[[int, Outcome], None]


@dataclass(frozen=True)
class _Crew:
    """What all groups have in common; attributes as `run_population` has them."""

    specs: Sequence[RunSpec]
    keys: Sequence[str]
    report: _Reporter
    checkpoints: Checkpoints | None
    claim: Callable[[Sequence[int]], Sequence[int]] | None
    on_failure: Callable[[Sequence[int], Exception], None] | None
    stopping: Callable[[], bool]
    seen: set[tuple[str, int]]
    """Checkpoints, by name and number, that there were when runs were grouped."""
    team: Team | None = None

    def run(self, groups: Sequence[Group]) -> None:
        """Run groups of as many threads each, several at a time."""
        workers = 1 if self.team is not None else at_a_time(groups)
        if workers == 1:
            for group in groups:
                self._work(group, workers)
            return
        with ThreadPoolExecutor(workers) as pool:
            try:
                for done in as_completed([pool.submit(self._work, group, workers) for group in groups]):
                    done.result()
            except StopError:  # each of the others saves its state, too
                pool.shutdown(cancel_futures=True)
                raise
            except BaseException:
                self.report.stopped = True  # the other workers leave at their next step
                pool.shutdown(cancel_futures=True)
                raise

    def _work(self, group: Group, workers: int) -> None:
        """Run a group, or those of it that are left to us."""
        if self.stopping():
            raise StopError
        torch.set_num_threads(group.threads)  # OpenMP's count belongs to the calling thread: each worker sets its own
        if self.claim is not None:
            group = replace(group, indices=tuple(self.claim(group.indices)))
        if not group.indices or self._is_old(group):
            return

        if self.on_failure is None:
            self._make(group, workers, self.report)
            return

        def attempt(part: Sequence[int]) -> tuple[Sequence[int], Exception | None]:
            if len(part) == len(group.indices):
                return self._attempt(group, workers)
            if self.stopping():
                raise StopError
            return self._attempt(replace(group, indices=tuple(part), saved=self._furthest(group, part)), workers)

        isolate(group.indices, attempt, self.on_failure)

    def _make(self, group: Group, workers: int, report: Report) -> None:
        specs, keys = [self.specs[i] for i in group.indices], [self.keys[i] for i in group.indices]
        GroupRun(
            group, specs, keys, workers=workers, report=report, checkpoints=self.checkpoints,
            stopping=self.stopping, team=self.team,
        ).run()  # fmt: skip

    def _attempt(self, group: Group, workers: int) -> tuple[Sequence[int], Exception | None]:
        """Make the runs of a group; returns those that an error has left without an outcome, and the error."""
        tally = Tally(self.report.progress)
        try:
            self._make(group, workers, _Told(tally, self.report.outcome))
        except (StopError, TeamError, _StoppedError, _ListenerError):
            raise
        except Exception as error:
            left = [i for i in group.indices if i not in self.report.outcomes]  # the others had diverged by then
            LOG.debug("%s failed together: %s", counted(len(left), "run"), raised(error))
            tally.take_back(len(group.indices) - len(left))
            return left, error
        return (), None

    def _furthest(self, group: Group, part: Sequence[int]) -> Saved | None:
        """The checkpoint that a part of a group goes on from: no other process has its runs, which are claimed."""
        keys = [self.keys[i] for i in part]
        found = [] if self.checkpoints is None else self.checkpoints.newest(set(keys))
        whole = [one for one in found if set(keys) <= set(one.keys) and one.choice.stacked == group.choice.stacked]
        return max(whole, key=lambda one: one.steps(keys), default=None)

    def _is_old(self, group: Group) -> bool:
        """Whether another process has gone on with these runs since they were grouped, and left them."""
        if self.checkpoints is None or self.claim is None:
            return False
        return not self.checkpoints.there({self.keys[i] for i in group.indices}) <= self.seen
