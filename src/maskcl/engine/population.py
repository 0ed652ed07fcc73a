"""One run, or K runs at once, over the tasks: state, the training loop, evaluation.

There is one training loop for both: with a `StackModel` every tensor has a leading member dimension, with a
`LoopModel` none has. The engine's unit is a task, `fit_task(t)`; between tasks the whole state is one tree of tensors
and memory states.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from maskcl.engine.dials import cut_settings, stack_settings
from maskcl.engine.evaluate import Evaluation, Evaluator
from maskcl.engine.loop import LoopModel
from maskcl.engine.masking import TaskMasking
from maskcl.engine.plan import StepPlan, TaskPlan, plan_member, step_offsets
from maskcl.engine.regulariser import Regulariser
from maskcl.engine.spec import RunSpec
from maskcl.engine.stack import StackModel
from maskcl.engine.synthesis import Forward, Synthesis, plan_old_labels
from maskcl.memory import MemoryState, herding_order
from maskcl.methods import Method, Step
from maskcl.networks import build_network
from maskcl.rng import generator

__all__ = ["Population", "load_data"]

OnSteps: TypeAlias = Callable[[int], None]
OnEvaluation: TypeAlias = Callable[[int, int, list[Evaluation]], None]

TICK = 50
"""Steps between two reports of progress."""


class Population:
    """Runs that are trained together."""

    def __init__(
        self, specs: Sequence[RunSpec], *, stacked: bool, data: tuple[Tensor, Evaluator] | None = None
    ) -> None:
        """Set up initial weights, an empty memory, optimisers.

        Args:
            specs: Members' settings, of one `structure`; exactly one unless stacked.
            stacked: Train with a leading member dimension.
            data: Image table and evaluator of the scenario, shared between populations; None: made here.
        """
        self.specs, self.stacked = list(specs), stacked
        first = specs[0]
        self.scenario, self.training = first.scenario, first.training
        dtype = getattr(torch, self.training.dtype)
        self.inputs, self.evaluator = data if data is not None else load_data(first)
        self.labels = self.scenario.dataset.train_labels
        self.method: Method = stack_settings([spec.method for spec in specs], dtype)
        shape, num_classes = self.scenario.dataset.train_inputs.shape[1:], self.scenario.num_classes
        modules = [
            build_network(spec.network, shape, num_classes, seed=spec.seeds.initialisation).to(dtype) for spec in specs
        ]
        optimizer = stack_settings([spec.optimizer for spec in specs], dtype)
        regularises = bool(self.method.weight_state)
        self.model = (StackModel if stacked else LoopModel)(modules, optimizer, fuse=not regularises)
        self.regulariser = Regulariser(self.method, self.model.optimizer.params) if regularises else None
        self.frozen: Forward | None = None  # the networks as the last task left them, where somebody asks for them
        self.joins = self.method.joint_forward or not self.model.mixes_rows
        memory = first.memory
        self.memories: list[MemoryState | None] = [
            MemoryState.empty(memory.size, num_classes) if memory is not None else None for _ in specs
        ]
        self.stores_logits = any(draw.stored_logits for draw in self.method.draws)
        self.memory_size = memory.size if memory is not None else 0
        self.logits = torch.zeros(self.memory_size * len(specs) * self.stores_logits, num_classes, dtype=dtype)
        self.last_seen = [np.full(num_classes, -1) for _ in specs]
        self.position = self.num_steps = 0
        self._buffers: dict[int, Tensor] = {}
        self.loss_sum = torch.zeros(len(specs), dtype=torch.float64)
        self.timings = {"planning": 0.0, "training": 0.0, "evaluation": 0.0}
        self.task_of_class = torch.from_numpy(self.scenario.task_of_class)

    @property
    def num_members(self) -> int:
        """Members still in training."""
        return len(self.specs)

    @property
    def lead(self) -> tuple[int, ...]:
        """Leading dimensions of all tensors: (K,) or none."""
        return (len(self.specs),) if self.stacked else ()

    @property
    def first_task(self) -> int:
        """The first task in which anything is trained."""
        return 0 if self.method.trains_on == "task" else self.scenario.num_tasks - 1

    def task_rows(self, task: int) -> np.ndarray:
        """Row ids trained on when task `task` comes; empty where the method does not train then."""
        if self.method.trains_on == "task":
            return self.scenario.train_rows[task]
        last = task == self.scenario.num_tasks - 1
        return np.concatenate(self.scenario.train_rows) if last else np.zeros(0, np.int64)

    def plan(self, task: int, *, max_steps: int | None = None) -> TaskPlan:
        """Plan one task for all members (or, for measuring, its first steps), and move their memories to its end."""
        began = time.perf_counter()
        training, method = self.training, self.method
        rows = self.task_rows(task)[: None if max_steps is None else max_steps * training.batch_size]
        offsets = step_offsets(len(rows), training.batch_size, training.epochs)
        members = [
            plan_member(
                rows=rows, labels=self.labels, offsets=offsets, epochs=training.epochs, task=task,
                seed=spec.seeds.stream, memory=memory, memory_config=spec.memory, draws=method.draws,
                replay_from_task=getattr(method, "replay_from_task", 0), mask=method.mask,
                last_seen=last_seen, position=self.position,
            )
            for spec, memory, last_seen in zip(self.specs, self.memories, self.last_seen, strict=True)
        ]  # fmt: skip
        self.memories = [member.memory for member in members]
        for member, last_seen in zip(members, self.last_seen, strict=True):
            np.maximum.at(last_seen, self.labels[member.order], self.position + np.arange(len(member.order)))
        self.position += int(offsets[-1])
        plan = TaskPlan(members, offsets, self.labels, method.draws, stacked=self.stacked, memory_size=self.memory_size)
        self.timings["planning"] += time.perf_counter() - began
        return plan

    def fit_task(
        self, task: int, *, on_steps: OnSteps | None = None, on_evaluation: OnEvaluation | None = None
    ) -> None:
        """Train one task.

        Args:
            task: 0-based; tasks come in order.
            on_steps: Told now and then how many more steps are done.
            on_evaluation: Told (steps of all tasks so far, task, members' evaluations) every `evaluate_every` steps.
        """
        plan = self.plan(task)
        self.train_steps(task, plan.steps(), on_steps=on_steps, on_evaluation=on_evaluation)
        if self.regulariser is not None:
            self.regulariser.end_task(self.model.optimizer.params, lambda count: self._fisher(task, count))
        if self.specs[0].memory is not None and self.specs[0].memory.policy == "herding":
            for k in range(self.num_members):
                self._herd(k, task)
        self._freeze()

    def train_steps(
        self,
        task: int,
        steps: Sequence[StepPlan],
        *,
        on_steps: OnSteps | None = None,
        on_evaluation: OnEvaluation | None = None,
    ) -> None:
        """Train planned steps of a task: the one training loop, for one run and for a population."""
        began, evaluating = time.perf_counter(), 0.0
        masking = TaskMasking(self.method, self.task_of_class, task)
        store_after = getattr(self.method, "store", "before") == "after"
        every = self.training.evaluate_every if on_evaluation is not None else None
        losses = torch.zeros(self.lead, dtype=self.inputs.dtype)
        synthesis = self._synthesis(task, steps)
        joint = synthesis is not None and synthesis.cfgm.update == "joint"
        old = (self.task_of_class >= 0) & (self.task_of_class < task)
        for s, step in enumerate(steps):
            inputs = self._gather(step)
            stream = inputs.narrow(len(self.lead), 0, step.sizes[0])
            sizes, made, target = step.sizes, None, None
            if joint and synthesis is not None:
                made, target = synthesis.make(stream, s)
                inputs = torch.cat([inputs, made], len(self.lead))
                sizes = (*step.sizes, made.shape[len(self.lead)])
            logits = self._forward(inputs, sizes)
            own = logits if made is None else logits.narrow(-2, 0, sum(step.sizes))
            stored = tuple(None if z is None else self._stored(z) for z in step.stored)
            teacher = self._teach(stream) if self.method.needs_teacher else None
            loss = self.method.loss(Step(own, step.labels, step.sizes, stored, *masking(step), teacher, old))
            if made is not None and synthesis is not None and target is not None:
                loss = loss + synthesis.loss(logits.narrow(-2, sum(step.sizes), sizes[-1]), target)
            losses += loss.detach()
            if step.written is not None and not store_after:
                self._store(step, logits.detach())
            self.model.update(loss, self.regulariser)
            if synthesis is not None and not joint:
                made, target = synthesis.make(stream, s)
                self.model.update(synthesis.loss(self.model.forward(made), target), self.regulariser)
            if step.written is not None and store_after:
                with torch.no_grad():
                    self._store(step, self.model.forward(stream))
            self.num_steps += 1
            if on_steps is not None and (s + 1) % TICK == 0:
                on_steps(TICK)
            if every is not None and self.num_steps % every == 0:
                paused = time.perf_counter()
                on_evaluation(self.num_steps, task, self.evaluate(task))  # type: ignore[misc]
                evaluating += time.perf_counter() - paused
        if on_steps is not None:
            on_steps(len(steps) % TICK)
        self.loss_sum = losses.double().reshape(-1)
        self.timings["training"] += time.perf_counter() - began - evaluating

    def _gather(self, step: StepPlan) -> Tensor:
        """The step's inputs [..., n, *shape]. index_select is five times faster than indexing."""
        count = len(step.rows)
        if count not in self._buffers:  # a fresh batch each step would cost page faults: 2 MB at 32 x 20 rows
            self._buffers[count] = torch.empty(count, *self.inputs.shape[1:], dtype=self.inputs.dtype)
        torch.index_select(self.inputs, 0, step.rows, out=self._buffers[count])
        return self._buffers[count].view(*self.lead, -1, *self.inputs.shape[1:])

    def _forward(self, inputs: Tensor, sizes: tuple[int, ...]) -> Tensor:
        if self.joins or len(sizes) == 1:
            return self.model.forward(inputs)
        rows = len(self.lead)
        return torch.cat([self.model.forward(part) for part in inputs.split(sizes, rows)], rows)

    def _stored(self, slots: Tensor) -> Tensor:
        """Stored logits of a draw, [..., R, C]."""
        return self.logits.index_select(0, slots).view(*self.lead, -1, self.logits.shape[1])

    def _synthesis(self, task: int, steps: Sequence[StepPlan]) -> Synthesis | None:
        """What makes samples of old classes in this task, if anything."""
        cfgm = self.method.cfgm
        if cfgm is None or task < cfgm.from_task or self.frozen is None:
            return None
        sizes = [step.sizes[0] * cfgm.per_row for step in steps]
        old = [c for classes in self.scenario.tasks[:task] for c in classes]
        labels = np.stack(
            [plan_old_labels(old, sizes, draw=cfgm.draw, seed=spec.seeds.stream, task=task) for spec in self.specs]
        )
        parts = torch.from_numpy(labels if self.stacked else labels[0]).split(sizes, -1)
        bounds = self.scenario.dataset.input_range
        return Synthesis(cfgm, parts, current=self.model.current, frozen=self.frozen, bounds=bounds)

    @torch.no_grad()
    def _teach(self, stream: Tensor) -> Tensor | None:
        """Logits of the frozen previous networks on stream rows, [..., B, C]."""
        return None if self.frozen is None else self.frozen(stream)

    def _fisher(self, task: int, count: int) -> list[Tensor]:
        """Mean squared per-row gradients of log p of the label over up to `count` rows of a task, like the weights."""
        members = []
        for k, spec in enumerate(self.specs):
            rows = generator(spec.seeds.stream, "fisher", task).permutation(self.scenario.train_rows[task])[:count]
            members.append(self.model.squared_gradients(k, self.inputs[rows], torch.from_numpy(self.labels[rows])))
        return [torch.stack(parts) for parts in zip(*members, strict=True)] if self.stacked else members[0]

    def _store(self, step: StepPlan, logits: Tensor) -> None:
        """Keep the logits of the stream rows that enter the memory."""
        assert step.written is not None
        slots, sources = step.written
        stream = logits[..., : step.sizes[0], :].reshape(-1, logits.shape[-1])
        self.logits.index_copy_(0, slots, stream.index_select(0, sources))

    def _herd(self, k: int, task: int) -> None:
        """Refill one member's memory with the rows nearest to their class means, as many of each class seen."""
        state, size = self.memories[k], self.memory_size
        assert state is not None
        seen = [c for classes in self.scenario.tasks[: task + 1] for c in classes]
        quota = max(1, size // len(seen))
        new = set(self.scenario.tasks[task])
        kept = [np.flatnonzero(state.labels == c)[:quota] for c in seen if c not in new]  # a prefix of herding's order
        slots = np.concatenate([np.zeros(0, np.int64), *kept])
        rows = [state.rows[slots]]
        for c in self.scenario.tasks[task]:
            own = self.scenario.train_rows[task][self.labels[self.scenario.train_rows[task]] == c]
            features = torch.nn.functional.normalize(self.model.features(k, self.inputs[own]).double(), dim=1)
            rows.append(own[herding_order(features.numpy(), quota)])
        chosen = np.concatenate(rows)[:size]
        refilled = MemoryState.empty(size, self.scenario.num_classes)
        refilled.rows[: len(chosen)], refilled.labels[: len(chosen)] = chosen, self.labels[chosen]
        self.memories[k] = replace(refilled, num_seen=state.num_seen, class_counts=state.class_counts)
        if self.stores_logits:
            mine, count = self.logits.view(-1, size, self.logits.shape[1])[k], min(len(slots), size)
            mine[:count] = mine[torch.from_numpy(slots[:count])].clone()
            mine[count : len(chosen)] = self.model.predict(k, self.inputs[chosen[count:]])

    def evaluate(self, task: int) -> list[Evaluation]:
        """Evaluate every member after (or within) task `task`."""
        began = time.perf_counter()
        visible = TaskMasking(self.method, self.task_of_class, task).visible
        out = [self.evaluator(lambda x, k=k: self.model.predict(k, x), task, visible) for k in range(self.num_members)]
        self.timings["evaluation"] += time.perf_counter() - began
        return out

    @property
    def num_parameters(self) -> int:
        """Weights of one member's network."""
        return sum(p.numel() for p in self.model.optimizer.params) // max(1, len(self.specs) * self.stacked)

    @property
    def memory_bytes(self) -> int:
        """Bytes of one member's replay memory: row ids, labels, stored logits; images are not copied."""
        logits = self.logits.numel() * self.logits.element_size() // max(1, len(self.specs))
        return 16 * self.memory_size + logits

    def finite(self) -> list[bool]:
        """Which members' losses and weights are still finite."""
        return (self.model.finite() & self.loss_sum.isfinite()).tolist()

    def keep(self, members: Sequence[int]) -> None:
        """Go on with these members alone."""
        self.specs, self.memories, self.last_seen = (
            [items[k] for k in members] for items in (self.specs, self.memories, self.last_seen)
        )
        index = torch.tensor(members)
        self.method = cut_settings(self.method, index)
        self.model.keep(members)
        if self.regulariser is not None:
            self.regulariser.method = self.method
            self.regulariser.keep(index)
        self._freeze()  # the frozen networks are the present ones: members end between tasks
        self.loss_sum = self.loss_sum[index]
        if len(self.logits):
            self.logits = self.logits.view(-1, self.memory_size, self.logits.shape[1])[index].flatten(0, 1)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that training changes, by name; the tensors themselves."""
        found = self.model.tensors() | {"memory.logits": self.logits}
        return found if self.regulariser is None else found | self.regulariser.tensors()

    def state_dict(self) -> dict[str, Any]:
        """The whole state between two tasks: tensors by name, memories, counters (copies)."""
        return {
            "tensors": {name: tensor.detach().clone() for name, tensor in self.tensors().items()},
            "memories": list(self.memories),
            "last_seen": [seen.copy() for seen in self.last_seen],
            "position": self.position,
            "num_steps": self.num_steps,
            "optimizer_steps": self.model.optimizer.num_steps,
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state made by `state_dict` of a population of the same specs."""
        for name, tensor in self.tensors().items():
            tensor.copy_(state["tensors"][name])
        self.memories = list(state["memories"])
        self.last_seen = [seen.copy() for seen in state["last_seen"]]
        self.position, self.num_steps = state["position"], state["num_steps"]
        self.model.optimizer.num_steps = state["optimizer_steps"]
        self._freeze()

    def _freeze(self) -> None:
        """Keep the networks as they are at a task's end, where something asks for them."""
        if self.position and (self.method.needs_teacher or self.method.cfgm is not None):
            self.frozen = self.model.freeze()


def load_data(spec: RunSpec) -> tuple[Tensor, Evaluator]:
    """Return the image table and the evaluator of a run's scenario, to be shared by all its populations."""
    dtype = getattr(torch, spec.training.dtype)
    return torch.from_numpy(spec.scenario.dataset.train_inputs).to(dtype), Evaluator(spec.scenario, dtype)
