"""Seconds of a run of each structure, by a few steps: the only part of an estimate that is measured.

A step of the first task and one of a later task (which replays) are timed for a moment, in the first group of each
structure. The machine is taken to be as busy as it is now. Where there are too many structures for the time there is,
those that differ in mask or size of memory alone are taken to be alike.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, cast

import torch

from maskcl.engine.dials import structure
from maskcl.engine.groups import Group
from maskcl.engine.population import Population
from maskcl.engine.spec import RunSpec
from maskcl.engine.steps import StepPlan
from maskcl.memory import POLICIES
from maskcl.methods import Phase
from maskcl.methods.base import overrides

__all__ = ["Measured"]

MOMENT = 1.0
"""Seconds of measured steps for a structure, beside building its networks and planning an epoch of two tasks."""
ALL_MOMENTS = 20.0
"""The same for all structures together."""
PATIENCE = 30.0
"""Seconds after which no other structure is measured: 50 of a full ResNet-18, of which each takes 2 s to build, to plan
and for its first steps, were two minutes on an idle core, and seven on a busy one."""


class Measured:
    """Seconds of a member of each structure: measured while there is time, the first of each kin before the others.

    Args:
        specs: The runs.
        groups: Their groups; those of one structure have one `choice`.

    Attributes:
        seconds: By `id(choice)`; None where a short look tells nothing, nothing where there was no time.
        structures: How many there are, as are the other two.
        likened: Not measured, and taken to be like the first of their kin.
        left_out: Not measured, and like none that was.
    """

    def __init__(self, specs: Sequence[RunSpec], groups: Sequence[Group]) -> None:
        began, firsts = time.perf_counter(), {id(group.choice): group for group in reversed(groups)}
        moment = min(MOMENT, ALL_MOMENTS / max(1, len(firsts)))
        self.seconds: dict[int, float | None] = {}
        self.likened = 0
        kins: dict[Hashable, list[Group]] = {}
        for group in reversed(firsts.values()):
            kins.setdefault(_kin(group, specs[group.indices[0]]), []).append(group)
        for rank in zip_longest(*kins.values()):
            for group, (first, *_) in zip(rank, kins.values(), strict=True):
                if group is not None and time.perf_counter() - began < PATIENCE:
                    taken = _seconds(group, [specs[i] for i in group.indices], moment)
                    self.seconds[id(group.choice)] = None if taken is None else taken / len(group.indices)
                elif group is not None and id(first.choice) in self.seconds:
                    self.seconds[id(group.choice)] = self.seconds[id(first.choice)]
                    self.likened += 1
        self.structures, self.left_out = len(firsts), len(firsts) - len(self.seconds)


def _kin(group: Group, spec: RunSpec) -> Hashable:
    """What is equal for structures of which a step takes about as long; nothing, if a method of one's own does not say.

    Of the 50 of experiments/cifar10_published.toml, all measured, those of a kin were within 7 % of its first one.
    """
    try:
        kin = _all_but_the_mask(group, spec)
        hash(kin)
    except Exception:  # its run will tell what is wrong; an estimate of the others is of use before
        return id(group.choice)
    return kin


def _all_but_the_mask(group: Group, spec: RunSpec) -> Hashable:
    """All settings but the mask, and of the memory's places as many as are looked at."""
    method, memory = spec.method, spec.memory
    places = None
    if memory is not None:  # all of which count where it is gone through whole, else those that a draw can fill
        whole = any(phase.rows == "memory" for phase in spec.phases) or POLICIES.find(str(memory.policy)).refills
        drawn = max((draw.num_drawn for draw in method.needs.draws), default=0)
        places = memory.size if whole else min(memory.size, drawn)
    kind, *settings = cast("tuple[Any, ...]", structure(method))
    return (
        id(group.data), spec.scenario.num_tasks, group.choice.stacked, group.threads, len(group.indices), kind,
        *(one for one in settings if one[0] != "mask"),
        memory and memory.policy, places, *map(structure, (spec.network, spec.optimizer, spec.training)),
    )  # fmt: skip


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
