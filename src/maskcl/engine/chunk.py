"""The members of a chunk in training: the others wait, and who looks on is told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from maskcl.engine.steps import Chunk, TaskPlan
from maskcl.engine.watch import Place, Watch
from maskcl.methods import Phase

if TYPE_CHECKING:
    from maskcl.engine.population import Population
    from maskcl.engine.state import Book

__all__ = ["ChunkTraining"]

TICK = 50
"""Steps between two reports of progress, at which a checkpoint may be written; fewer where they take long."""


class ChunkTraining:
    """Steps of one size that some members of a population make together.

    Args:
        population: Whose members; its state is changed.
        plan: The phase's.
        watch: Who looks on.
        task: 0-based.
        phase: Of the task.
        index: Its number, 0-based.
        before: What was counted when the phase began.
    """

    def __init__(
        self, population: Population, plan: TaskPlan, watch: Watch, *, task: int, phase: Phase, index: int, before: Book
    ) -> None:
        self.population, self.plan, self.watch = population, plan, watch
        self.task, self.phase, self.index, self.before = task, phase, index, before

    def run(self, chunk: Chunk, number: int, start: Place | None = None) -> None:
        """Train a chunk, the phase's `number`th, or what is left of it after `start`."""
        population, skip = self.population, 0 if start is None else start.step
        began, self._looking, self._told = time.perf_counter(), 0.0, 0
        self._chunk, self._number, self._skip = chunk, number, skip
        self._members = list(range(population.num_members)) if chunk.members is None else chunk.members
        self._crew = population if chunk.members is None else population.part(self._members)
        training, before = population.training, None
        tick = min(TICK, training.checkpoint_every or TICK) if training.evaluate_every is None else 1
        if start is not None:
            before = start.chunk_sum[self._members].reshape(self._crew.model.leading)
        trainer = self._crew.trainer(self.task, self.phase)
        losses = trainer.run(chunk.steps[skip:], every=tick, tell=self._tell, before=before)
        population.loss_sum[self._members] += losses.cpu().double().reshape(-1)
        if self._crew is not population:
            population.state.put(self._members, self._crew.state)
            population.timings["evaluation"] += self._crew.timings["evaluation"]
        population.timings["training"] += time.perf_counter() - began - self._looking

    def _tell(self, done: int, losses: Tensor) -> None:
        """Report what was done since the last report; `done` counts from the first step that was not skipped."""
        began, made, self._told = time.perf_counter(), done - self._told, done
        if self.watch.on_steps is not None:
            self.watch.on_steps(self._members, made)
        self._evaluate(self._skip + done)
        if self.watch.pauses is not None and self.watch.pauses.due(made):
            self.watch.pauses.pause(self._place(self._skip + done, losses))
        self._looking += time.perf_counter() - began

    def _evaluate(self, done: int) -> None:
        """Judge the members whose moment has come."""
        every, told = self.population.training.evaluate_every, self.watch.on_evaluation
        if every is None or told is None:
            return
        for j, k in enumerate(self._members):
            steps = int(self._crew.state.steps[j])
            if steps % every == 0:
                memory = self.plan.members[k].memory_at(self._chunk.starts[j] + done, self.population.data.labels)
                (found,) = self._crew.evaluate(self.task, [j], [memory])
                told(k, steps, self.task, found)

    def _place(self, step: int, losses: Tensor) -> Place:
        """Where training stands, the population's state brought to it."""
        population = self.population
        if self._crew is not population:
            population.state.put(self._members, self._crew.state)
        now, chunk_sum = population.state.book(), torch.zeros(population.num_members, dtype=losses.dtype)
        chunk_sum[self._members] = losses.cpu().reshape(-1)
        return Place(
            self.task, self.index, self._number, step, self.before, now.steps, now.updates,
            population.loss_sum.clone(), chunk_sum,
        )  # fmt: skip
