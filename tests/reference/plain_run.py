"""A whole run as one would write it at first: a loop over rows, `torch.optim`, a list of slots.

It shares with maskcl the random numbers, the memory's policy (held against loops of its own) and the initial network.
Losses, masks, the order of drawing and inserting, penalties and updates are written anew.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from reference.plain_memory import SlowMemory
from torch import Tensor, nn

from maskcl.engine import RunSpec
from maskcl.mask import Mask
from maskcl.memory import MemoryState, draw_slots, plan_writes
from maskcl.networks import build_network
from maskcl.rng import generator

METHODS = ("finetune", "joint", "er", "der", "derpp", "er_ace", "lwf", "ewc", "si")
"""Keys of the methods that are written out here."""


def row_loss(z: Tensor, y: int, classes: dict[str, set[int]], mask: Mask | None) -> Tensor:
    """Masked cross-entropy of one row: a term for each visible class, one after the other."""
    terms: list[Tensor] = []
    masked = [c for c in classes["visible"] if c not in classes["active"]]
    for c in sorted(classes["visible"]):
        term = z[c]
        if mask is not None and classes["scaled"]:
            scale = mask.new_scale if c in classes["active"] else mask.old_scale
            term = scale * term + (1 - scale) * term.detach()
        if mask is not None and c in masked:
            if mask.leak is not None:
                term = term + torch.tensor(mask.leak, dtype=z.dtype).log()
            else:
                level = mask.value if mask.mass is None else mask.mass - np.log(len(masked))
                term = torch.tensor(level, dtype=z.dtype)
        terms.append(term)
    own = terms[sorted(classes["visible"]).index(y)]
    return torch.logsumexp(torch.stack(terms), 0) - own


class PlainRun:
    """One run, from `__init__` to `train`."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec, self.method, self.scenario = spec, spec.method, spec.scenario
        data = self.scenario.dataset
        self.inputs, self.labels = torch.from_numpy(data.train_inputs).double(), data.train_labels
        shape, self.num_classes = data.train_inputs.shape[1:], self.scenario.num_classes
        self.network = build_network(spec.network, shape, self.num_classes, seed=spec.seeds.initialisation).double()
        params, o = list(self.network.parameters()), spec.optimizer
        if o.name == "adam":
            self.optimizer: torch.optim.Optimizer = torch.optim.Adam(params, lr=o.lr, weight_decay=o.weight_decay)
        else:
            self.optimizer = torch.optim.SGD(params, lr=o.lr, momentum=o.momentum, weight_decay=o.weight_decay)
        size = spec.memory.size if spec.memory is not None else 0
        self.state, self.slots = MemoryState.empty(size, self.num_classes), SlowMemory([-1] * size)
        self.logits = torch.zeros(size, self.num_classes, dtype=torch.float64)
        self.seen: list[int] = []  # labels of all stream rows so far
        self.teacher: nn.Module | None = None
        self.penalty: dict[str, list[Tensor]] = {
            name: [torch.zeros_like(p) for p in params] for name in ("importance", "path")
        } | {"anchor": [p.detach().clone() for p in params]}

    def train(self) -> PlainRun:
        """All tasks."""
        for task in range(self.scenario.num_tasks):
            if self.method.key != "joint" or task == self.scenario.num_tasks - 1:
                self._task(task)
        return self

    def _task(self, task: int) -> None:
        seed, size = self.spec.seeds.sampling, self.spec.training.batch_size
        rows = (
            np.concatenate(self.scenario.train_rows) if self.method.key == "joint" else self.scenario.train_rows[task]
        )
        batches: list[np.ndarray] = []
        for epoch in range(self.spec.training.epochs):
            order = rows[generator(seed, "stream", task, epoch).permutation(len(rows))]
            batches += [order[start : start + size] for start in range(0, len(order), size)]
        order = np.concatenate(batches)
        if self.spec.memory is not None:
            policy, rng = str(self.spec.memory.policy), generator(seed, "memory", task)
            writes = plan_writes(policy, self.state, self.labels[order], rng)
            self.state = self.state.after(writes, order, self.labels[order])
        else:
            writes = np.full(len(order), -1)
        self.slots = SlowMemory(self.slots.rows)  # draws number the slots in use anew at a task's start
        filled, ahead, position = [], SlowMemory(self.slots.rows), 0
        for batch in batches:
            filled.append(len(ahead.order))
            for row in batch:
                ahead.write(int(writes[position]), int(row))
                position += 1
        picks = [
            draw_slots(np.array(filled).clip(min=1), draw.size, generator(seed, "draws", task, d))
            for d, draw in enumerate(self.method.needs.draws)
        ]
        position = 0
        for step, batch in enumerate(batches):
            drawn = []
            if filled[step] > 0 and task >= getattr(self.method, "replay_from_task", 0):
                drawn = [[self.slots.order[i] for i in pick[step]] for pick in picks]
            self._step(task, batch, drawn, writes[position : position + len(batch)])
            position += len(batch)
        self._end_task(task)

    def _step(self, task: int, batch: np.ndarray, drawn: list[list[int]], writes: np.ndarray) -> None:
        method = self.method
        self.seen += self.labels[batch].tolist()
        before = self.network(self.inputs[batch])
        new = [self._row(task, z, row, batch, memory=False) for z, row in zip(before, batch, strict=True)]
        rows = [[self.slots.rows[slot] for slot in slots] for slots in drawn]
        now = [self.network(self.inputs[each]) for each in rows]
        replayed = [
            [self._row(task, z, row, batch, memory=True) for z, row in zip(logits, each, strict=True)]
            for logits, each in zip(now, rows, strict=True)
        ]
        loss = _mean(new)
        if drawn and method.key in ("er", "er_ace"):
            joined = method.key == "er" and method.reduction == "joined"
            loss = _mean(new + replayed[0]) if joined else loss + _mean(replayed[0])
        elif drawn:
            loss = loss + method.alpha * (now[0] - self.logits[drawn[0]]).square().mean()
            if method.key == "derpp":
                loss = loss + method.beta * _mean(replayed[1])
        if method.key == "lwf" and self.teacher is not None:
            old = [c for classes in self.scenario.tasks[:task] for c in classes]
            with torch.no_grad():
                said = (self.teacher(self.inputs[batch])[:, old] / method.temperature).softmax(1)
            says = (before[:, old] / method.temperature).log_softmax(1)
            loss = loss + method.alpha * _mean([(p * (p.log() - q)).sum() for p, q in zip(said, says, strict=True)])
        self._update(loss)
        after = self.network(self.inputs[batch]).detach()
        for i, (slot, row) in enumerate(zip(writes.tolist(), batch.tolist(), strict=True)):
            self.slots.write(slot, row)
            if slot >= 0:
                self.logits[slot] = after[i] if getattr(method, "store", "before") == "after" else before[i].detach()

    def _row(self, task: int, z: Tensor, row: int, batch: np.ndarray, *, memory: bool) -> Tensor:
        """Loss of one row under the run's mask."""
        mask, everything, tasks = self.method.mask, set(range(self.num_classes)), self.scenario.tasks
        met = {c for classes in tasks[: task + 1] for c in classes}
        classes: dict[str, Any] = {"visible": everything, "active": everything, "scaled": not memory}
        y = int(self.labels[row])
        if mask is not None and mask.visible == "seen":
            classes["visible"] = met
        if mask is not None and task >= mask.from_task:
            if mask.policy == "task":
                active = set(tasks[task])
            else:
                window = len(batch) if mask.policy == "batch" else mask.recent_rows
                active = set(self.seen[-window:])
            if mask.keep_future:
                active |= everything - met
            if not memory:
                classes["active"] = active
            elif mask.memory_rows == "own-task":
                classes["active"] = next(set(group) for group in tasks if y in group)
        else:
            mask = None
        return row_loss(z, y, classes, mask)

    def _update(self, loss: Tensor) -> None:
        method, params = self.method, list(self.network.parameters())
        plain = torch.autograd.grad(loss, params, retain_graph=True)
        strength = {"ewc": lambda: method.strength / 2, "si": lambda: method.c}.get(method.key)
        if strength is not None:
            parts = zip(params, self.penalty["anchor"], self.penalty["importance"], strict=True)
            loss = loss + strength() * sum((weight * (p - anchor).square()).sum() for p, anchor, weight in parts)
        before = [p.detach().clone() for p in params]
        self.optimizer.zero_grad()
        loss.backward()
        if self.spec.optimizer.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(params, self.spec.optimizer.clip_norm)
        self.optimizer.step()
        for path, grad, p, b in zip(self.penalty["path"], plain, params, before, strict=True):
            path -= grad * (p.detach() - b)

    def _end_task(self, task: int) -> None:
        params = list(self.network.parameters())
        if self.method.key == "ewc":
            order = generator(self.spec.seeds.sampling, "fisher", task).permutation(self.scenario.train_rows[task])
            rows = order[: self.method.fisher_rows]
            for importance in self.penalty["importance"]:
                importance *= self.method.gamma
            for row in rows:
                log_p = self.network(self.inputs[row][None]).log_softmax(1)[0, self.labels[row]]
                for importance, grad in zip(
                    self.penalty["importance"], torch.autograd.grad(log_p, params), strict=True
                ):
                    importance += grad.square() / len(rows)
        if self.method.key == "si":
            parts = zip(self.penalty["importance"], self.penalty["path"], params, self.penalty["anchor"], strict=True)
            for importance, path, p, anchor in parts:
                importance += path.clamp(min=0) / ((p.detach() - anchor).square() + self.method.xi)
                path.zero_()
        self.penalty["anchor"] = [p.detach().clone() for p in params]
        self.teacher = copy.deepcopy(self.network)


def _mean(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).mean()
