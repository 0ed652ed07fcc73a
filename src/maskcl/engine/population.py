"""One run, or K runs at once, over the tasks: their state, and what happens at task ends.

With a `StackModel` every tensor has a leading member dimension, with a `LoopModel` none has. The engine's unit is a
task, `fit_task(t)`; between tasks the whole state is one tree of tensors and memory states.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskcl.engine.dials import cut_settings, stack_settings
from maskcl.engine.evaluate import Evaluation, Evaluator, load_data
from maskcl.engine.herding import herd
from maskcl.engine.loop import LoopModel
from maskcl.engine.masking import TaskMasking
from maskcl.engine.plan import TaskPlan, plan_member, step_offsets
from maskcl.engine.regulariser import Regulariser
from maskcl.engine.samples import look_at_samples
from maskcl.engine.spec import RunSpec
from maskcl.engine.stack import StackModel
from maskcl.engine.synthesis import Forward
from maskcl.engine.training import OnEvaluation, OnSteps, TaskTraining
from maskcl.memory import MemoryState
from maskcl.methods import Method
from maskcl.networks import build_network
from maskcl.rng import generator

__all__ = ["Population"]


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
        self.samples: list[dict[str, Any]] | None = None  # what CFGM made at the last task's end, by member
        self.frozen: Forward | None = None  # the networks as the last task left them, where somebody asks for them
        memory = first.memory
        self.memories: list[MemoryState | None] = [
            MemoryState.empty(memory.size, num_classes) if memory is not None else None for _ in specs
        ]
        self.stores_logits = any(draw.stored_logits for draw in self.method.draws)
        self.memory_size = memory.size if memory is not None else 0
        self.logits = torch.zeros(self.memory_size * len(specs) * self.stores_logits, num_classes, dtype=dtype)
        self.last_seen = [np.full(num_classes, -1) for _ in specs]
        self.position = self.num_steps = 0
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
        training = TaskTraining(self, task, plan.steps())
        training.run(on_steps=on_steps, on_evaluation=on_evaluation)
        self.samples = None if training.synthesis is None else look_at_samples(self, training.synthesis, task)
        if self.regulariser is not None:
            self.regulariser.end_task(self.model.optimizer.params, lambda count: self._fisher(task, count))
        if self.specs[0].memory is not None and self.specs[0].memory.policy == "herding":
            for k in range(self.num_members):
                self._refill(k, task)
        self._freeze()

    def _fisher(self, task: int, count: int) -> list[Tensor]:
        """Mean squared per-row gradients of log p of the label over up to `count` rows of a task, like the weights."""
        members = []
        for k, spec in enumerate(self.specs):
            rows = generator(spec.seeds.stream, "fisher", task).permutation(self.scenario.train_rows[task])[:count]
            members.append(self.model.squared_gradients(k, self.inputs[rows], torch.from_numpy(self.labels[rows])))
        return [torch.stack(parts) for parts in zip(*members, strict=True)] if self.stacked else members[0]

    def _refill(self, k: int, task: int) -> None:
        """Herding: choose one member's memory anew at a task's end."""
        state = self.memories[k]
        assert state is not None
        kept, after = herd(
            state, self.scenario, task, lambda rows: self.model.features(k, self.inputs[rows]).double().numpy()
        )
        self.memories[k] = after
        if self.stores_logits:
            mine, count = self.logits.view(-1, self.memory_size, self.logits.shape[1])[k], len(kept)
            mine[:count] = mine[torch.from_numpy(kept)].clone()
            mine[count : after.filled] = self.model.predict(k, self.inputs[after.rows[count : after.filled]])

    def evaluate(self, task: int) -> list[Evaluation]:
        """Evaluate every member after (or within) task `task`."""
        began = time.perf_counter()
        visible = TaskMasking(self.method, self.task_of_class, task).visible
        members = range(self.num_members)
        out = [self.evaluator(partial(self.model.predict, k), task, visible) for k in members]
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
        self.specs = [self.specs[k] for k in members]
        self.memories = [self.memories[k] for k in members]
        self.last_seen = [self.last_seen[k] for k in members]
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
