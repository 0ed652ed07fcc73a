"""One member of a population as methods and memory policies see it when a task ends."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcl.engine.model import Model, squared_gradients
from maskcl.engine.spec import RunSpec
from maskcl.engine.table import Table
from maskcl.memory import MemoryState
from maskcl.rng import generator
from maskcl.view import Outputs

__all__ = ["MemberView", "held_out", "memory_slots", "train_rows"]

Ints = NDArray[np.int64]


def memory_slots(spec: RunSpec) -> int:
    """Slots that stream rows may enter: those of the settings, less what is set aside for held-out rows."""
    return 0 if spec.memory is None else spec.memory.size - _set_aside(spec)


def _set_aside(spec: RunSpec) -> int:
    return 0 if spec.memory is None else spec.method.needs.slots_aside(spec.memory.size)


def held_out(spec: RunSpec, task: int) -> dict[int, Ints]:
    """Rows of each class of a task that nothing is trained on: the first of a permutation, so any prefix will do."""
    share, rows, labels = spec.method.needs.held_out, spec.scenario.train_rows[task], spec.scenario.dataset.train_labels
    if not share:
        return {}
    found = {}
    for c in spec.scenario.tasks[task]:
        own = rows[labels[rows] == c]
        order = generator(spec.seeds.sampling, "held_out", c).permutation(len(own))
        found[c] = own[order[: spec.method.needs.rows_aside(len(own))]]
    return found


def train_rows(spec: RunSpec, task: int) -> Ints:
    """Rows of a task that are trained on, held-out ones left out; ascending."""
    rows, out = spec.scenario.train_rows[task], held_out(spec, task)
    return np.setdiff1d(rows, np.concatenate(list(out.values()))) if out else rows


class MemberView:
    """See `maskcl.view.View`."""

    def __init__(
        self, spec: RunSpec, model: Model, member: int, table: Table, task: int, memory: MemoryState | None
    ) -> None:
        self._spec, self._model, self._member, self._table = spec, model, member, table
        self._task, self._memory = task, memory
        self._forward = model.one(member)

    @property
    def task(self) -> int:
        """The task."""
        return self._task

    @property
    def tasks(self) -> tuple[tuple[int, ...], ...]:
        """Classes of each task so far."""
        return self._spec.scenario.tasks[: self._task + 1]

    @property
    def weights(self) -> list[Tensor]:
        """The network's parameters."""
        return list(self._model.own(self._member).params.values())

    @property
    def task_rows(self) -> Ints:
        """Training rows of the task."""
        return train_rows(self._spec, self._task)

    @property
    def memory_rows(self) -> Ints:
        """Rows in the memory."""
        return np.zeros(0, np.int64) if self._memory is None else self._memory.rows[self._memory.rows >= 0]

    @property
    def held_out_rows(self) -> Ints:
        """As many held-out rows of each class so far as the slots set aside allow."""
        of_class = [rows for t in range(self._task + 1) for rows in held_out(self._spec, t).values()]
        if not of_class:
            return np.zeros(0, np.int64)
        quota = max(1, _set_aside(self._spec) // len(of_class))
        return np.concatenate([rows[:quota] for rows in of_class])

    def labels(self, rows: Ints) -> Tensor:
        """Classes of rows."""
        return torch.from_numpy(self._spec.scenario.dataset.train_labels[rows]).to(self._table.stored.device)

    def outputs(self, rows: Ints) -> Outputs:
        """What the network gives for rows, in evaluation mode."""
        some = self._model.parts.rows_at_once
        parts = [self._forward(self._table.rows(rows[i : i + some])) for i in range(0, max(1, len(rows)), some)]
        return Outputs.joined(parts, 0)

    def squared_gradients(self, num_rows: int) -> list[Tensor]:
        """Mean squared gradients over rows of the task."""
        seed = self._spec.seeds.sampling
        rows = generator(seed, "fisher", self._task).permutation(self.task_rows)[:num_rows]
        return squared_gradients(
            self._model.parts, self._model.own(self._member), self._table.rows(rows), self.labels(rows)
        )
