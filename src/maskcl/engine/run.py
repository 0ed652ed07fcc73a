"""Run any runs: train what was grouped, evaluate, report as each one ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from threading import Lock
from typing import Any

import torch

from maskcl.engine.auto import describe
from maskcl.engine.evaluate import Evaluation
from maskcl.engine.groups import Group, grouped
from maskcl.engine.population import Population
from maskcl.engine.record import Record
from maskcl.engine.spec import Outcome, RunSpec
from maskcl.errors import check, check_choice

__all__ = ["run_population"]


def run_population(
    specs: Sequence[RunSpec],
    *,
    executor: str = "auto",
    group_size: int | None = None,
    threads: int | None = None,
    on_progress: Callable[[float], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
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

    Returns:
        Outcomes in the order of `specs`.
    """
    check_choice(executor, "executor", ("auto", "stack", "loop"))
    check(group_size is None or group_size >= 1, "group_size", "must be 1 or more", group_size)
    check(threads is None or threads >= 1, "threads", "must be 1 or more", threads)
    before = torch.get_num_threads()
    outcomes: dict[int, Outcome] = {}
    report = _Reporter(outcomes, on_progress, on_outcome)
    try:
        torch.set_num_threads(1)
        for crew in grouped(specs, executor=executor, group_size=group_size, threads=threads):
            _run_crew(crew, specs, report)
    finally:
        torch.set_num_threads(before)
    return [outcomes[i] for i in range(len(specs))]


class _StoppedError(Exception):
    """Another worker failed, or the user pressed Ctrl-C."""


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
                self._on_outcome(outcome)
                if outcome.network is not None:  # who was told of it has it; thousands of runs would fill the memory
                    self.outcomes[index] = replace(outcome, network=None)


def _run_crew(crew: Sequence[Group], specs: Sequence[RunSpec], report: _Reporter) -> None:
    """Run groups of as many threads each, several at a time."""
    workers = min(crew[0].workers, len(crew))

    def work(group: Group) -> None:
        torch.set_num_threads(group.threads)  # OpenMP's count belongs to the calling thread: each worker sets its own
        _run_group(group, [specs[i] for i in group.indices], workers, report)

    if workers == 1:
        for group in crew:
            work(group)
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            for done in as_completed([pool.submit(work, group) for group in crew]):
                done.result()
        except BaseException:
            report.stopped = True  # the other workers leave at their next step
            pool.shutdown(cancel_futures=True)
            raise


def _run_group(group: Group, specs: list[RunSpec], workers: int, report: _Reporter) -> None:
    """Train one population over all tasks and hand out the outcomes."""
    began = time.perf_counter()
    executor = describe(group.choice, threads=group.threads, workers=workers) | {"group_size": len(specs)}
    population = Population(specs, stacked=group.choice.stacked, data=group.data)
    records = [Record(spec, found) for spec, found in zip(specs, population.evaluate(0), strict=True)]
    alive, totals = list(range(len(specs))), [population.num_steps(k) for k in range(len(specs))]
    done = [0] * len(specs)

    def finish(k: int, diverged: dict[str, Any] | None) -> None:
        member, elapsed = alive[k], time.perf_counter() - began
        times = {part: seconds / len(specs) for part, seconds in population.timings.items()}
        outcome = records[member].outcome(diverged, elapsed / len(specs), times, executor, population, k)
        report.outcome(group.indices[member], outcome)
        report.progress(max(0.0, 1 - done[member] / totals[member]))

    def on_steps(members: Sequence[int], count: int) -> None:
        for k in members:
            done[alive[k]] += count
        report.progress(sum(count / totals[alive[k]] for k in members))

    def on_evaluation(k: int, step: int, task: int, evaluation: Evaluation) -> None:
        records[alive[k]].add_anytime(step, task, evaluation)

    for task in range(population.num_tasks):
        population.fit_task(task, on_steps=on_steps, on_evaluation=on_evaluation)
        if not population.method.phases(task, population.num_tasks):
            continue
        for member, record in zip(alive, population.samples or [], strict=False):
            records[member].samples.append(record)
        finite = population.finite()
        if not all(finite):
            for k, good in enumerate(finite):
                if not good:
                    finish(k, {"task": task, "reason": "its loss or its weights are not finite"})
            kept = [k for k, good in enumerate(finite) if good]
            alive = [alive[k] for k in kept]
            if not alive:
                return
            population.keep(kept)
        for member, evaluation in zip(alive, population.evaluate(task), strict=True):
            records[member].add(task, evaluation)
    for k in range(len(alive)):
        finish(k, None)
