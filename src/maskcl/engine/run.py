"""Run any runs: group what can be stacked, choose executors, train, evaluate, report as each one ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskcl.engine.auto import choose, describe
from maskcl.engine.dials import structure
from maskcl.engine.evaluate import Evaluation, Evaluator, load_data
from maskcl.engine.population import Population
from maskcl.engine.resources import free_cores
from maskcl.engine.spec import Outcome, RunSpec
from maskcl.errors import check, check_choice
from maskcl.networks import NetworkConfig

__all__ = ["run_population"]

Matrices = dict[str, np.ndarray]


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
        executor: "auto" (a short measurement decides), "stack" or "loop".
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
    before = torch.get_num_threads()
    outcomes: dict[int, Outcome] = {}
    try:
        groups = []
        torch.set_num_threads(1)
        for indices in _by_structure(specs):
            members = [specs[i] for i in indices]
            data = load_data(members[0])
            choice = choose(members, data, executor=executor, group_size=group_size, workers=cores)
            for part in _even_parts(indices, choice.group_size):
                groups.append((part, choice, data))
        workers = max(1, min(cores, len(groups)))
        # One thread a population makes results independent of grouping and cores, to the last bit; networks of
        # large layers need the cores more.
        inner = (
            1
            if all(isinstance(s.network, NetworkConfig) and s.network.name == "mlp" for s in specs)
            else max(1, cores // workers)
        )
        torch.set_num_threads(inner)
        report = _Reporter(outcomes, on_progress, on_outcome)

        def work(group: tuple[Any, ...]) -> None:
            part, choice, data = group
            about = describe(choice, threads=inner, workers=workers) | {"group_size": len(part)}
            _run_group(part, [specs[i] for i in part], choice.stacked, data, about, report)

        if workers == 1:
            for group in groups:
                work(group)
        else:
            # OpenMP's thread count belongs to the calling thread: each worker has to set its own.
            with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(inner,)) as pool:
                try:
                    for _ in pool.map(work, groups):
                        pass
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


def _by_structure(specs: Iterable[RunSpec]) -> list[list[int]]:
    """Indices of runs that can be stacked: the same but for numbers, seeds and names."""
    groups: dict[Any, list[int]] = {}
    for i, spec in enumerate(specs):
        key = (id(spec.scenario), *(structure(part) for part in
               (spec.method, spec.network, spec.memory, spec.optimizer, spec.training)))  # fmt: skip
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _even_parts(indices: list[int], size: int) -> list[list[int]]:
    """Cut into parts of at most `size`, as equal as possible."""
    count = -(-len(indices) // size)
    return [part.tolist() for part in np.array_split(np.array(indices), count)]


def _run_group(
    indices: list[int],
    specs: list[RunSpec],
    stacked: bool,
    data: tuple[Tensor, Evaluator],
    executor: dict[str, Any],
    report: _Reporter,
) -> None:
    """Train one population over all tasks and hand out the outcomes."""
    began = time.perf_counter()
    population = Population(specs, stacked=stacked, data=data)
    num_tasks = population.scenario.num_tasks
    untrained = population.evaluate(0)
    records = [_Record(spec, evaluation, num_tasks) for spec, evaluation in zip(specs, untrained, strict=True)]
    alive, total = list(range(len(specs))), _total_steps(population)

    def finish(member: int, diverged: dict[str, Any] | None, weight: float) -> None:
        elapsed = time.perf_counter() - began
        times = {part: seconds / len(specs) for part, seconds in population.timings.items()}
        outcome = records[member].outcome(diverged, elapsed / len(specs), times, executor, population)
        report.outcome(indices[member], outcome)
        if weight:
            report.progress(weight)

    done = 0

    def on_steps(count: int) -> None:
        nonlocal done
        done += count
        report.progress(len(alive) * count / total)

    def on_evaluation(step: int, task: int, found: list[Evaluation]) -> None:
        for member, evaluation in zip(alive, found, strict=True):
            records[member].add_anytime(step, task, evaluation)

    for task in range(num_tasks):
        if len(population.task_rows(task)) == 0:
            continue
        population.fit_task(task, on_steps=on_steps, on_evaluation=on_evaluation)
        for member, record in zip(alive, population.samples or [], strict=False):
            records[member].samples.append(record)
        finite = population.finite()
        if not all(finite):
            for k, good in enumerate(finite):
                if not good:
                    reason = "its loss or its weights are not finite"
                    finish(alive[k], {"task": task, "reason": reason}, 1 - done / total)
            kept = [k for k, good in enumerate(finite) if good]
            alive = [alive[k] for k in kept]
            if not alive:
                return
            population.keep(kept)
        for member, evaluation in zip(alive, population.evaluate(task), strict=True):
            records[member].add(task, evaluation)
    for member in alive:
        finish(member, None, 0.0)


def _total_steps(population: Population) -> int:
    training = population.training
    rows = [len(population.task_rows(t)) for t in range(population.scenario.num_tasks)]
    return sum(-(-n // training.batch_size) * training.epochs for n in rows)


class _Record:
    """One run's matrices as they fill."""

    def __init__(self, spec: RunSpec, untrained: Evaluation, num_tasks: int) -> None:
        self.spec, self.untrained = spec, untrained
        self.matrices: Matrices = {
            name: np.full((num_tasks, num_tasks), np.nan)
            for name in ("class_incremental", "task_incremental", "confidence")
        }
        self.newest_share = np.full(num_tasks, np.nan)
        self.anytime: list[tuple[int, int, np.ndarray, np.ndarray]] = []
        self.samples: list[dict[str, Any]] = []

    def add(self, task: int, evaluation: Evaluation) -> None:
        for name, matrix in self.matrices.items():
            matrix[task] = getattr(evaluation, name)
        self.newest_share[task] = evaluation.newest_share

    def add_anytime(self, step: int, task: int, evaluation: Evaluation) -> None:
        self.anytime.append((step, task, evaluation.class_incremental, evaluation.confidence))

    def outcome(
        self,
        diverged: dict[str, Any] | None,
        seconds: float,
        timings: dict[str, float],
        executor: dict[str, Any],
        population: Population,
    ) -> Outcome:
        anytime = None
        if self.anytime:
            names = ("step", "task", "class_incremental", "confidence")
            anytime = {
                name: np.array(column) for name, column in zip(names, zip(*self.anytime, strict=True), strict=True)
            }
        return Outcome(
            spec=self.spec,
            status="finished" if diverged is None else "diverged",
            diverged=diverged,
            **self.matrices,
            newest_share=self.newest_share,
            untrained={
                "class_incremental": self.untrained.class_incremental,
                "task_incremental": self.untrained.task_incremental,
            },
            anytime=anytime,
            seconds=seconds,
            timings=timings,
            executor=executor,
            num_parameters=population.num_parameters,
            memory_bytes=population.memory_bytes,
            samples=_with_last_pictures(self.samples) or None,
        )


def _with_last_pictures(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the pictures of the last task alone: it has all old classes, and files stay small."""
    return [{k: v for k, v in one.items() if k != "pictures" or one is samples[-1]} for one in samples]
