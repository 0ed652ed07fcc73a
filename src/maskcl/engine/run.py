"""Run any runs: group what can be stacked, choose executors, train, evaluate, report as each one ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
import torch

from maskcl.data.base import content_digest
from maskcl.devices import find_device
from maskcl.engine.auto import choose, describe, needs_cores
from maskcl.engine.evaluate import Data, Evaluation
from maskcl.engine.passes import check_passes
from maskcl.engine.population import Population
from maskcl.engine.record import Record
from maskcl.engine.resources import check_fits
from maskcl.engine.spec import Outcome, RunSpec
from maskcl.errors import check, check_choice
from maskcl.machine import free_cores

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

    Populations run side by side, one thread each (their work is in PyTorch, which lets go of the interpreter): two
    OpenMP threads that share one population collapse as soon as another process wants a core, two populations do not.

    Args:
        specs: Any runs; those that differ in numbers and seeds alone are stacked.
        executor: "auto" (a rule decides: `maskcl.engine.auto`), "stack" or "loop".
        group_size: Largest population; None: chosen.
        threads: Cores to use; None: those that are free.
        on_progress: Told how much more is done, in runs.
        on_outcome: Told each run's outcome as soon as it is there; calls do not overlap.

    Returns:
        Outcomes in the order of `specs`.
    """
    check_choice(executor, "executor", ("auto", "stack", "loop"))
    check(group_size is None or group_size >= 1, "group_size", "must be 1 or more", group_size)
    check(threads is None or threads >= 1, "threads", "must be 1 or more", threads)
    cores = threads or free_cores()
    most = cores if all(find_device(spec.training.device).type == "cpu" for spec in specs) else 1  # there is one device
    before = torch.get_num_threads()
    outcomes: dict[int, Outcome] = {}
    try:
        torch.set_num_threads(1)
        keys = _data_keys(specs)
        structures = _by_structure(specs, keys)
        check_fits([specs[indices[0]] for indices in structures])
        check_passes(specs)
        tables: dict[Any, Data] = {}
        groups = []
        for indices in structures:
            members = [specs[i] for i in indices]
            key = keys[indices[0]]
            data = tables[key] = tables[key] if key in tables else Data(members[0])
            threads = cores if needs_cores(members[0]) else 1
            choice = choose(members, executor=executor, group_size=group_size, workers=most)
            for part in _even_parts(indices, choice.group_size):
                groups.append((part, choice, data, threads))
        workers = max(1, min(most, len(groups)))
        # One thread a population makes results independent of grouping and cores, to the last bit; networks of
        # large layers need the cores more.
        report = _Reporter(outcomes, on_progress, on_outcome)

        def work(group: tuple[Any, ...]) -> None:
            part, choice, data, threads = group
            # OpenMP's thread count belongs to the calling thread: each worker has to set its own.
            threads = max(1, threads // workers)
            torch.set_num_threads(threads)
            about = describe(choice, threads=threads, workers=workers) | {"group_size": len(part)}
            _run_group(part, [specs[i] for i in part], choice.stacked, data, about, report)

        if workers == 1:
            for group in groups:
                work(group)
        else:
            with ThreadPoolExecutor(workers) as pool:
                try:
                    for done in as_completed([pool.submit(work, group) for group in groups]):
                        done.result()
                except BaseException:
                    report.stopped = True  # the other workers leave at their next step
                    pool.shutdown(cancel_futures=True)
                    raise
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


def _by_structure(specs: Sequence[RunSpec], keys: Sequence[Any]) -> list[list[int]]:
    """Indices of runs that can be stacked: the same but for numbers, seeds, names, and which classes come when."""
    groups: dict[Any, list[int]] = {}
    for i, spec in enumerate(specs):
        groups.setdefault((keys[i], spec.scenario.num_tasks, spec.structure), []).append(i)
    return list(groups.values())


def _data_keys(specs: Sequence[RunSpec]) -> list[Any]:
    """What is equal for runs that can share their tables; each scenario's held-out rows are read once."""
    judged: dict[int, str] = {}
    for scenario in (spec.scenario for spec in specs):
        if id(scenario) not in judged:
            test = scenario.eval_inputs is scenario.dataset.test_inputs
            judged[id(scenario)] = "test" if test else content_digest([scenario.eval_inputs, scenario.eval_labels])
    return [
        (
            id(spec.scenario.dataset),
            judged[id(spec.scenario)],
            spec.training.dtype,
            spec.training.augment,
            spec.training.device,
        )
        for spec in specs
    ]


def _even_parts(indices: list[int], size: int) -> list[list[int]]:
    """Cut into parts of at most `size`, as equal as possible."""
    count = -(-len(indices) // size)
    return [part.tolist() for part in np.array_split(np.array(indices), count)]


def _run_group(
    indices: list[int],
    specs: list[RunSpec],
    stacked: bool,
    data: Data,
    executor: dict[str, Any],
    report: _Reporter,
) -> None:
    """Train one population over all tasks and hand out the outcomes."""
    began = time.perf_counter()
    population = Population(specs, stacked=stacked, data=data)
    records = [Record(spec, found) for spec, found in zip(specs, population.evaluate(0), strict=True)]
    alive, totals = list(range(len(specs))), [population.num_steps(k) for k in range(len(specs))]
    done = [0] * len(specs)

    def finish(k: int, diverged: dict[str, Any] | None) -> None:
        member, elapsed = alive[k], time.perf_counter() - began
        times = {part: seconds / len(specs) for part, seconds in population.timings.items()}
        outcome = records[member].outcome(diverged, elapsed / len(specs), times, executor, population, k)
        report.outcome(indices[member], outcome)
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
