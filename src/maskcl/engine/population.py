"""One run, or K runs at once, over the tasks: what happens when a task comes, and when it ends.

A task reads as a line: plan, phases, end_task, refill, freeze; then evaluate.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskcl.engine.chunk import ChunkTraining
from maskcl.engine.counts import newest
from maskcl.engine.hooks import check_state, check_together
from maskcl.engine.masking import TaskMasking
from maskcl.engine.member import train_rows
from maskcl.engine.members import Members
from maskcl.engine.plan import plan_member, step_offsets
from maskcl.engine.samples import look_at_samples
from maskcl.engine.state import map_tensors, pairs, stack_trees
from maskcl.engine.steps import TaskPlan
from maskcl.engine.synthesis import Synthesis, makes_samples
from maskcl.engine.training import TaskTraining
from maskcl.engine.watch import OnEvaluation, OnSteps, Pauses, Place, Watch
from maskcl.memory import refilled
from maskcl.methods import Phase
from maskcl.methods.base import overrides

__all__ = ["Population"]


class Population(Members):
    """Members in training; arguments as for `Members`."""

    samples: list[dict[str, Any]] | None = None
    """What CFGM made at the last task's end, by member."""

    def stream_rows(self, member: int, phase: Phase, task: int) -> np.ndarray:
        """Row ids that a member's phase trains on."""
        spec = self.specs[member]
        if phase.rows == "memory":
            memory = self.state.memories[member]
            assert memory is not None
            return memory.rows[memory.rows >= 0]
        tasks = range(self.num_tasks) if phase.rows == "all" else (task,)
        return np.concatenate([train_rows(spec, t) for t in tasks])

    def num_steps(self, member: int, tasks: Iterable[int] | None = None) -> int:
        """Steps of tasks, or of a whole run, as far as known beforehand: of phases on the memory as if it were full."""
        total = 0
        for task in range(self.num_tasks) if tasks is None else tasks:
            for phase in self.method.phases(task, self.num_tasks):
                full = phase.rows == "memory"
                count = self.memory_size if full else len(self.stream_rows(member, phase, task))
                total += -(-count // self.training.batch_size) * (phase.epochs or self.training.epochs)
        return total

    def plan(self, task: int, phase: Phase | None = None, index: int = 0) -> TaskPlan:
        """Plan a task's phase for all members, and move their memories to its end."""
        began, state, phase = time.perf_counter(), self.state, phase or Phase()
        epochs, writes = phase.epochs or self.training.epochs, phase.rows == "task"
        makes, plans = self._makes_samples(task), []
        for k, spec in enumerate(self.specs):
            rows = self.stream_rows(k, phase, task)
            plans.append(
                plan_member(
                    spec, task=task, rows=rows, epochs=epochs, memory=state.memories[k],
                    last_seen=state.last_seen[k], position=int(state.position[k]), phase=index, writes=writes,
                    makes=makes, rates=self._rates(k, len(rows), epochs), recent=state.recent[k],
                )
            )  # fmt: skip
            order, seen = plans[-1].order, state.last_seen[k]
            np.maximum.at(seen, self.data.labels[order], state.position[k] + np.arange(len(order)))
            state.position[k] += len(order)
            state.recent[k] = newest(spec.method.mask, state.recent[k], self.data.labels[order])
            state.memories[k] = plans[-1].memory
        plan = TaskPlan(
            plans, self.data.labels, self.needs,
            stacked=self.stacked, memory_size=self.memory_size, device=self.device, dtype=self.dtype,
        )  # fmt: skip
        self.timings["planning"] += time.perf_counter() - began
        return plan

    def _rates(self, member: int, num_rows: int, epochs: int) -> np.ndarray | None:
        """Factors of the learning rate in a phase."""
        schedule = self.training.schedule
        if schedule is None or schedule.is_constant:
            return None
        steps = len(step_offsets(num_rows, self.training.batch_size, epochs)) - 1
        if schedule.span == "task":
            return schedule.factors(steps)
        done = int(self.state.steps[member])
        return schedule.factors(max(self.num_steps(member), done + steps))[done : done + steps]

    def fit_task(
        self,
        task: int,
        *,
        on_steps: OnSteps | None = None,
        on_evaluation: OnEvaluation | None = None,
        pauses: Pauses | None = None,
        start: Place | None = None,
    ) -> None:
        """Train one task.

        Args:
            task: 0-based; tasks come in order.
            on_steps: Told now and then which members have made how many more steps.
            on_evaluation: Told (member, its steps so far, task, evaluation) every `evaluate_every` steps.
            pauses: Asked now and then whether they want to know where training stands.
            start: Where training stood, the state being as it was there; None: at the task's beginning.
        """
        phases, watch = self.method.phases(task, self.num_tasks), Watch(on_steps, on_evaluation, pauses)
        if start is None:
            if self.policy is not None and all(phase.rows != "task" for phase in phases):
                self._pass_by(task)
            self.loss_sum = torch.zeros(self.num_members, dtype=torch.float64)
        for index, phase in enumerate(phases):
            if start is not None and index <= start.phase:
                if index == start.phase:
                    self._fit_phase(task, phase, index, watch, start)
                continue
            if phase.fresh:
                self._start_afresh()
            self._fit_phase(task, phase, index, watch)
        if phases:
            self._end_task(task)

    def _fit_phase(self, task: int, phase: Phase, index: int, watch: Watch, start: Place | None = None) -> None:
        """Train a phase, or what is left of it after `start`."""
        before = self.state.book()
        plan = self.plan(task, phase, index)
        first = 0 if start is None else start.chunk
        if start is not None:
            self.state.count(steps=start.steps, updates=start.updates)
            self.loss_sum = start.loss_sum.clone()
        training = ChunkTraining(self, plan, watch, task=task, phase=phase, index=index, before=before)
        for number, chunk in enumerate(plan.chunks(first), first):
            training.run(chunk, number, start if number == first else None)

    def trainer(self, task: int, phase: Phase) -> TaskTraining:
        """What trains the members on steps of a phase."""
        masking = self.masking(task, phase.rows)
        return TaskTraining(
            self.method, self.model, self.state, self.data.train, masking,
            label_smoothing=self.training.label_smoothing, makes=self._makes(masking, task),
        )  # fmt: skip

    def _makes_samples(self, task: int) -> bool:
        """Whether CFGM acts in a task."""
        trained = self.state.frozen is not None
        return all(makes_samples(self.method.cfgm, spec.scenario.tasks, task, trained=trained) for spec in self.specs)

    def _makes(self, masking: TaskMasking, task: int) -> Synthesis | None:
        """What makes samples of old classes in a task, if anything."""
        cfgm, frozen, model = self.method.cfgm, self.state.frozen, self.model
        if cfgm is None or frozen is None or not self._makes_samples(task):
            return None
        return Synthesis(
            cfgm,
            current=lambda x: model.at(map_tensors(Tensor.detach, model.weights), x).logits,
            frozen=lambda x: model.at(frozen, x).logits,
            bounds=self.data.train.bounds(self.specs[0].scenario.dataset.input_range),
            visible=masking.visible,
            black=self.data.train.black,
            by_row=model.by_row,
        )

    def masking(self, task: int, rows: str = "task") -> TaskMasking:
        """Active and visible classes in a phase on some rows of a task."""
        each = [torch.from_numpy(spec.scenario.task_of_class) for spec in self.specs]
        task_of_class = (each[0] if self.share_tasks else torch.stack(each)[:, None]).to(self.device)
        return TaskMasking(self.method, task_of_class, task, rows=rows)

    def _pass_by(self, task: int) -> None:
        """Offer a task's rows to the memories; nothing is trained on them."""
        for k, spec in enumerate(self.specs):
            passed = plan_member(
                spec, task=task, rows=self.stream_rows(k, Phase(), task), epochs=1, memory=self.state.memories[k],
                last_seen=self.state.last_seen[k], position=int(self.state.position[k]),
            )  # fmt: skip
            self.state.memories[k] = passed.memory

    @torch.no_grad()
    def _start_afresh(self) -> None:
        """Initial weights and a new optimiser; memories and what the method remembers stay."""
        first = self._start()
        for name in ("weights", "optimizer"):
            for now, new in pairs(getattr(self.state, name), getattr(first, name)):
                now.copy_(new)
        self.state.updates[:] = 0

    @torch.no_grad()
    def _end_task(self, task: int) -> None:
        """What happens once a task has been trained: average, look at samples, take stock, refill, freeze."""
        if self.state.average is not None:
            for now, mean in pairs(self.state.weights, self.state.average):
                now.copy_(mean)
        self.samples = self._look_at_samples(task)
        if overrides(self.method, "end_task"):
            found = []
            for k in range(self.num_members):
                found.append(self.specs[k].method.end_task(self.own_state(k), self.view(k, task)))
                check_state(self.method, "end_task", found[k], self.own_state(k))
            check_together(self.method, "end_task", found)
            self.state.method = stack_trees(found)
        if self.policy is not None and self.policy.refills:
            for k in range(self.num_members):
                self._refill(k, task)
        self.freeze()

    def freeze(self) -> None:
        """Keep a copy of the networks as they are now, if anybody asks for one in later tasks."""
        if self.needs.teacher or self.method.cfgm is not None:
            self.state.frozen = map_tensors(lambda t: t.detach().clone(), self.model.weights)

    def _look_at_samples(self, task: int) -> list[dict[str, Any]] | None:
        """What CFGM makes at a task's end, a record a member; each by itself where members have their own tasks."""
        if not self.share_tasks:
            each = [self.part([k])._look_at_samples(task) for k in range(self.num_members)]
            return [records[0] for records in each if records is not None] or None
        makes = self._makes(self.masking(task), task)
        if makes is None:
            return None
        return look_at_samples(self.specs, makes, self.data.train, self.model.leading, task)

    def _refill(self, member: int, task: int) -> None:
        """Let the policy choose a member's memory anew; logits stay with their rows, and are made for new ones."""
        before = self.state.memories[member]
        assert before is not None
        view = self.view(member, task)
        after = self.state.memories[member] = refilled(str(self.specs[member].memory.policy), before, view)  # type: ignore[union-attr]
        if self.needs.stores_logits:
            stored = self.state.stored[member] if self.stacked else self.state.stored
            old, slot_of = stored.clone(), {int(r): s for s, r in enumerate(before.rows.tolist()) if r >= 0}
            slots = np.flatnonzero(after.rows >= 0)
            kept = np.array([s for s in slots if int(after.rows[s]) in slot_of], np.int64)
            new = np.setdiff1d(slots, kept)
            stored[kept] = old[[slot_of[int(after.rows[s])] for s in kept]]
            stored[new] = view.outputs(after.rows[new]).logits
