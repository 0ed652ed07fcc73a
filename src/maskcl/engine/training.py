"""The training loop: the same one for one run and for a population, whose tensors have one more leading dimension."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from maskcl.engine.evaluate import Evaluation
from maskcl.engine.masking import TaskMasking
from maskcl.engine.plan import StepPlan
from maskcl.engine.synthesis import Synthesis, plan_old_labels
from maskcl.methods import Step

if TYPE_CHECKING:
    from maskcl.engine.population import Population

__all__ = ["OnEvaluation", "OnSteps", "TaskTraining"]

OnSteps: TypeAlias = Callable[[int], None]
OnEvaluation: TypeAlias = Callable[[int, int, list[Evaluation]], None]

TICK = 50
"""Steps between two reports of progress."""


class TaskTraining:
    """Planned steps of one task, ready to be trained on a population's networks and memory."""

    def __init__(self, population: Population, task: int, steps: Sequence[StepPlan]) -> None:
        self.population, self.task, self.steps = population, task, steps
        self.model, self.method = population.model, population.method
        self.rows = len(population.lead)  # the dimension that counts rows
        self.masking = TaskMasking(self.method, population.task_of_class, task)
        self.old = (population.task_of_class >= 0) & (population.task_of_class < task)
        self.stores_after = getattr(self.method, "store", "before") == "after"
        self.synthesis = self._set_up_synthesis()
        self.uses_stream = self.synthesis is not None or self.method.needs_teacher or self.stores_after
        self._buffers: dict[int, Tensor] = {}

    def run(self, *, on_steps: OnSteps | None = None, on_evaluation: OnEvaluation | None = None) -> None:
        """Train all steps; arguments as for `Population.fit_task`."""
        population = self.population
        began, evaluating = time.perf_counter(), 0.0
        every = population.training.evaluate_every
        losses = torch.zeros(population.lead, dtype=population.inputs.dtype)
        for s, step in enumerate(self.steps):
            losses += self._train(s, step)
            population.num_steps += 1
            if on_steps is not None and (s + 1) % TICK == 0:
                on_steps(TICK)
            if every is not None and on_evaluation is not None and population.num_steps % every == 0:
                paused = time.perf_counter()
                on_evaluation(population.num_steps, self.task, population.evaluate(self.task))
                evaluating += time.perf_counter() - paused
        if on_steps is not None:
            on_steps(len(self.steps) % TICK)
        population.loss_sum = losses.double().reshape(-1)
        population.timings["training"] += time.perf_counter() - began - evaluating

    def _train(self, s: int, step: StepPlan) -> Tensor:
        """One step; returns its loss, [...]."""
        inputs, synthesis = self._gather(step), self.synthesis
        stream = inputs.narrow(self.rows, 0, step.sizes[0]) if self.uses_stream else inputs
        if synthesis is not None and synthesis.cfgm.update == "joint":
            made, target = synthesis.make(stream, s)
            sizes = (*step.sizes, made.shape[self.rows])
            logits = self._forward(torch.cat([inputs, made], self.rows), sizes)
            logits, of_made = logits.split((sum(step.sizes), sizes[-1]), -2)
            loss = self._loss(step, stream, logits) + synthesis.loss(of_made, target)
        else:
            logits = self._forward(inputs, step.sizes)
            loss = self._loss(step, stream, logits)
        if step.written is not None and not self.stores_after:
            self._store(step, logits.detach())
        self.model.update(loss, self.population.regulariser)
        if synthesis is not None and synthesis.cfgm.update == "separate":
            made, target = synthesis.make(stream, s)
            self.model.update(synthesis.loss(self.model.forward(made), target), self.population.regulariser)
        if step.written is not None and self.stores_after:
            with torch.no_grad():  # in evaluation mode: a second pass must not move BatchNorm's statistics again
                self._store(step, self.model.current(stream))
        return loss.detach()

    def _gather(self, step: StepPlan) -> Tensor:
        """The step's inputs, [..., n, *shape]. index_select is five times faster than indexing."""
        table, count = self.population.inputs, len(step.rows)
        if count not in self._buffers:  # a fresh batch each step would cost page faults: 2 MB at 32 x 20 rows
            self._buffers[count] = torch.empty(count, *table.shape[1:], dtype=table.dtype)
        torch.index_select(table, 0, step.rows, out=self._buffers[count])
        return self._buffers[count].view(*self.population.lead, -1, *table.shape[1:])

    def _forward(self, inputs: Tensor, sizes: tuple[int, ...]) -> Tensor:
        """Logits of all rows: in one batch, or source by source where that is what the method says, and matters."""
        if len(sizes) == 1 or self.method.joint_forward or not self.model.mixes_rows:
            return self.model.forward(inputs)
        return torch.cat([self.model.forward(part) for part in inputs.split(sizes, self.rows)], self.rows)

    def _loss(self, step: StepPlan, stream: Tensor, logits: Tensor) -> Tensor:
        stored = tuple(None if slots is None else self._stored(slots) for slots in step.stored)
        teacher = None
        if self.method.needs_teacher and self.population.frozen is not None:
            with torch.no_grad():
                teacher = self.population.frozen(stream)
        active, visible = self.masking(step)
        return self.method.loss(Step(logits, step.labels, step.sizes, stored, active, visible, teacher, self.old))

    def _stored(self, slots: Tensor) -> Tensor:
        """Stored logits of a draw, [..., R, C]."""
        logits = self.population.logits
        return logits.index_select(0, slots).view(*self.population.lead, -1, logits.shape[1])

    def _store(self, step: StepPlan, logits: Tensor) -> None:
        """Keep the logits of the stream rows that enter the memory."""
        assert step.written is not None
        slots, sources = step.written
        stream = logits.narrow(-2, 0, step.sizes[0]).reshape(-1, logits.shape[-1])
        self.population.logits.index_copy_(0, slots, stream.index_select(0, sources))

    def _set_up_synthesis(self) -> Synthesis | None:
        """What makes samples of old classes in this task, if anything."""
        population, cfgm = self.population, self.method.cfgm
        if cfgm is None or self.task < cfgm.from_task or population.frozen is None:
            return None
        sizes = [step.sizes[0] * cfgm.per_row for step in self.steps]
        old = [c for classes in population.scenario.tasks[: self.task] for c in classes]
        labels = [
            plan_old_labels(old, sizes, draw=cfgm.draw, seed=spec.seeds.stream, task=self.task)
            for spec in population.specs
        ]
        parts = torch.from_numpy(np.stack(labels) if population.stacked else labels[0]).split(sizes, -1)
        bounds = population.scenario.dataset.input_range
        return Synthesis(
            cfgm,
            parts,
            current=self.model.current,
            frozen=population.frozen,
            bounds=bounds,
            visible=self.masking.visible,
        )
