"""What runs will take, before they are made: groups as they will train, bytes by `resources`, seconds by a few steps.

    seconds of a group = planning + steps * (seconds a step) + evaluations * (rows * seconds a row)

A step of the first task and one of a later task (which replays) are timed for a moment, in the first group of each
structure; nothing else is measured, and nothing here decides anything. The machine is taken to be as busy as it is now.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from maskcl.engine.groups import Group, even_parts, grouped, pieces
from maskcl.engine.population import Population
from maskcl.engine.resources import member_bytes, table_bytes
from maskcl.engine.sketches import Sketches
from maskcl.engine.spec import RunSpec
from maskcl.engine.steps import StepPlan
from maskcl.methods import Phase
from maskcl.methods.base import overrides

__all__ = ["Forecast", "GroupForecast", "forecast"]

MOMENT = 1.0
"""Seconds of measured steps for a structure, beside building its networks and planning an epoch of two tasks."""
ALL_MOMENTS = 20.0
"""The same for all structures together."""


@dataclass(frozen=True)
class GroupForecast:
    """What a group will take.

    Attributes:
        group: Which runs, on what.
        seconds: From its start to its end; None: not estimated.
        num_bytes: Its networks, rows on their way and plans; not the data.
    """

    group: Group
    seconds: float | None
    num_bytes: int


@dataclass(frozen=True)
class Forecast:
    """What runs will take.

    Attributes:
        crews: Groups that may run at the same time, crew after crew.
        num_bytes: The most that is needed at a time, copies of the data included.
        measured: Seconds that were spent on measuring.
    """

    crews: tuple[tuple[GroupForecast, ...], ...]
    num_bytes: int
    measured: float

    @property
    def groups(self) -> tuple[GroupForecast, ...]:
        """All groups."""
        return tuple(group for crew in self.crews for group in crew)

    @property
    def seconds(self) -> float | None:
        """Wall time of all; None where it is not known of a group."""
        return None if any(one.seconds is None for one in self.groups) else sum(map(_crew_seconds, self.crews))


def forecast(
    specs: Sequence[RunSpec],
    *,
    executor: str = "auto",
    group_size: int | None = None,
    threads: int | None = None,
    processes: int = 1,
) -> Forecast:
    """Estimate what runs will take; arguments and errors as for `run_population`.

    Args:
        specs: The runs.
        executor: What runs them.
        group_size: Runs in a group at most.
        threads: Cores, or those of each process.
        processes: Among which the runs are shared out, with data of their own.
    """
    began, sketches = time.perf_counter(), Sketches()
    crews = grouped(specs, executor=executor, group_size=group_size, threads=threads) if specs else []
    if processes > 1:
        groups = [group for crew in crews for group in crew]
        crews = [_in_processes(groups, specs, processes, threads or 1, sketches)]
    structures = {id(group.choice) for crew in crews for group in crew}
    moment = min(MOMENT, ALL_MOMENTS / max(1, len(structures)))
    each: dict[int, float | None] = {}  # seconds of a member, by structure
    found = []
    for crew in crews:
        own = []
        for group in crew:
            key, first = id(group.choice), specs[group.indices[0]]
            if key not in each:
                taken = _seconds(group, [specs[i] for i in group.indices], moment)
                each[key] = None if taken is None else taken / len(group.indices)
            one, count = each[key], len(group.indices)
            own.append(
                GroupForecast(group, None if one is None else one * count, count * member_bytes(first, sketches(first)))
            )
        found.append(tuple(own))
    tables = sum(table_bytes(specs).values()) * min(processes, max(1, sum(map(len, found))))
    most = tables + max(map(_crew_bytes, found), default=0)
    return Forecast(tuple(found), most, time.perf_counter() - began)


def _in_processes(
    groups: Sequence[Group], specs: Sequence[RunSpec], processes: int, threads: int, sketches: Sketches
) -> list[Group]:
    """The same runs in the pieces that processes make, and these in groups as each process trains them."""
    members: dict[int, list[Group]] = {}
    for group in groups:
        members.setdefault(id(group.choice), []).append(group)
    found = []
    for own in members.values():
        first, indices = own[0], [i for group in own for i in group.indices]
        alone, most = sketches(specs[indices[0]]).is_convolutional, max(len(group.indices) for group in own)
        for piece in pieces(indices, processes, threads=threads, alone=alone):
            parts = even_parts(piece, min(most, -(-len(piece) // first.workers)))
            found += [replace(first, indices=tuple(part), workers=processes * first.workers) for part in parts]
    return found


def _crew_seconds(crew: Sequence[GroupForecast]) -> float:
    """Groups side by side: evenly shared work, and no less than the longest of them takes."""
    seconds = [one.seconds or 0.0 for one in crew]
    return max(sum(one / of.group.workers for one, of in zip(seconds, crew, strict=True)), *seconds)


def _crew_bytes(crew: Sequence[GroupForecast]) -> int:
    """The largest groups at the same time."""
    workers = max(one.group.workers for one in crew)
    return sum(sorted((one.num_bytes for one in crew), reverse=True)[:workers])


def _seconds(group: Group, specs: Sequence[RunSpec], moment: float) -> float | None:
    """Seconds of one group; None where a short look tells nothing."""
    if specs[0].training.compile:
        return None  # the first step would compile the network, which takes longer than all that is measured
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(group.threads)
        return _Trial(group, specs, moment).seconds()
    except Exception:  # a method of one's own may count on what happens when a task ends, and here none does
        return None
    finally:
        torch.set_num_threads(before)


class _Trial:
    """A group that trains a few steps, and is thrown away.

    Args:
        group: The group.
        specs: Its members.
        moment: Seconds to measure for.
    """

    def __init__(self, group: Group, specs: Sequence[RunSpec], moment: float) -> None:
        began = time.perf_counter()
        self.population = Population(specs, stacked=group.choice.stacked, data=group.data)
        self.building, self.moment = time.perf_counter() - began, moment / 3
        self.specs, self.training = specs, specs[0].training
        self._rates: dict[Any, tuple[float, float]] = {}

    def seconds(self) -> float:
        """All that the group will take."""
        population, total, steps, judged = self.population, self.building, 0, 1
        for task in range(population.num_tasks):
            phases = population.method.phases(task, population.num_tasks)
            if population.policy is not None and all(phase.rows != "task" for phase in phases):
                population._pass_by(task)
            for index, phase in enumerate(phases):
                epochs = phase.epochs or self.training.epochs
                planning, step = self._rate(task, index, phase)
                count = self._num_steps(phase, task) * epochs
                total, steps = total + planning * epochs + count * step, steps + count
            judged += bool(phases)
            if phases and task == 0:
                population.freeze()
        row, rows = self._seconds_a_row(), len(population.data.evaluator(self.specs[0].scenario).rows)
        within = 0 if self.training.evaluate_every is None else steps // self.training.evaluate_every
        refills = population.policy is not None and population.policy.refills
        looked_at = refills or overrides(population.method, "end_task")  # of whose rows it makes features, mostly
        extra = sum(map(len, self.specs[0].scenario.train_rows)) if looked_at else 0
        return total + len(self.specs) * row * (rows * (judged + within) + extra)

    def _rate(self, task: int, index: int, phase: Phase) -> tuple[float, float]:
        """Seconds to plan an epoch of a phase, and of a step; later tasks are like the second."""
        kind = (min(task, 1), index, phase)
        if kind not in self._rates:
            began, population = time.perf_counter(), self.population
            plan = population.plan(task, replace(phase, epochs=1), index)
            chunk = next(plan.chunks())
            planning = time.perf_counter() - began
            crew = population if chunk.members is None else population.part(chunk.members)
            self._rates[kind] = planning, self._seconds_a_step(crew, task, phase, chunk.steps)
        return self._rates[kind]

    def _seconds_a_step(self, crew: Population, task: int, phase: Phase, steps: Sequence[StepPlan]) -> float:
        """The first step, which allocates, only says how many others there is time for."""
        trainer = crew.trainer(task, phase)

        def timed(some: Sequence[StepPlan]) -> float:
            began = time.perf_counter()
            trainer.run(some, every=len(some), tell=lambda done, losses: None).cpu()  # a GPU is waited for
            return time.perf_counter() - began

        first = timed(steps[:1])
        others = steps[1 : 1 + int(self.moment / max(first, 1e-9))]
        return timed(others) / len(others) if others else first

    def _num_steps(self, phase: Phase, task: int) -> int:
        """Steps of an epoch; of a phase on the memory as if it were full."""
        population = self.population
        counts = [len(population.stream_rows(k, phase, task)) for k in range(population.num_members)]
        most = population.memory_size if phase.rows == "memory" else max(counts)
        return -(-most // self.training.batch_size)

    @torch.no_grad()
    def _seconds_a_row(self) -> float:
        """Seconds to judge a row; by an evaluation where that is short, else by some rows."""
        population, task = self.population, self.population.num_tasks - 1
        evaluator = population.data.evaluator(self.specs[0].scenario)
        predict, most = population.predictor(0, task), population.parts.rows_at_once

        def timed(count: int) -> float:
            began = time.perf_counter()
            predict(evaluator.table.rows(evaluator.rows[:count])).cpu()
            return (time.perf_counter() - began) / count

        few = min(32, len(evaluator.rows))
        row = timed(few)
        some = int(min(len(evaluator.rows), most, max(few, self.moment / max(row, 1e-9))))
        row = timed(some)
        if row * len(evaluator.rows) > self.moment:
            return row
        began = time.perf_counter()
        population.evaluate(task, [0])
        return (time.perf_counter() - began) / len(evaluator.rows)
