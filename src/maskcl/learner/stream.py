"""Steps of a stream without tasks: each one planned by itself, and made as the engine makes those of a task."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcl import augment as A
from maskcl.data.checks import Inputs
from maskcl.engine.counts import newest, prior_of
from maskcl.engine.plan import recent_classes
from maskcl.engine.steps import StepPlan
from maskcl.engine.synthesis import plan_old_labels, plan_starts
from maskcl.errors import DataError, check, message
from maskcl.learner.single import tell_single_row
from maskcl.learner.undo import Undo
from maskcl.memory import MemoryState, plan_writes
from maskcl.methods import Draw, Phase
from maskcl.methods.base import overrides
from maskcl.rng import Steps, derive, generator

if TYPE_CHECKING:
    from maskcl.learner.core import Core

__all__ = ["Stream", "check_streams"]

Ints = NDArray[np.int64]


class Stream:
    """What makes steps on a core's resting population; made anew whenever that is."""

    def __init__(self, core: Core) -> None:
        self.core, self.population = core, core.population
        self.spec, self.needs = self.population.specs[0], self.population.needs
        self.policy = "" if self.spec.memory is None else str(self.spec.memory.policy)
        self.on_cpu = self.population.device.type == "cpu"
        self.task = max(0, len(core.tasks) - 1)
        self.trainer = self.population.trainer(self.task, Phase())
        self.old = [c for classes in core.tasks[: self.task] for c in classes]
        self.writing, self.drawing = (Steps(core.seed, purpose, -1) for purpose in ("memory", "draws"))
        self.new = core.num_slots + np.arange(self.spec.training.batch_size)
        state, memory = self.population.state, self.population.state.memories[0]
        if memory is not None:  # a copy of its own, which steps change in place: a copy each step would cost 30 µs
            state.memories[0] = MemoryState(
                memory.rows.copy(), memory.labels.copy(), memory.num_seen, memory.class_counts.copy()
            )
            self.filled = np.flatnonzero(memory.rows >= 0)

    @cached_property
    def undo(self) -> Undo:
        """Made with the first step: who never streams needs no copy of the weights."""
        return Undo(self.population.state)

    def step(self, inputs: Inputs, labels: Ints) -> float:
        """Learn from rows [n, *shape] of classes [n]: one step; returns its loss.

        Raises:
            DataError: The loss, or a weight after it, is not finite; the step was undone.
        """
        core, state, count = self.core, self.population.state, len(labels)
        number, memory, new = int(state.steps[0]), state.memories[0], self.new[:count]
        core.put(new, inputs)
        ids, classes, sizes, read = [new], [labels], [count], []
        slots = None
        if memory is not None:
            slots = plan_writes(self.policy, memory, labels, self.writing.at(number))
            if len(self.filled) and self.task >= self.needs.replay_from_task:
                rng = self.drawing.at(number)
                for draw in self.needs.draws:
                    picks = _drawn(draw, memory, self.filled, labels, rng)
                    ids.append(picks)
                    classes.append(memory.labels[picks])
                    sizes.append(len(picks))
                    read.append(self._sent(picks) if draw.stored_logits else None)
        plan = StepPlan(
            self._sent(np.concatenate(ids)), self._sent(np.concatenate(classes)), tuple(sizes), tuple(read),
            written=self._written(slots), active=self._active(labels), prior=self._prior(labels),
            made=self._made(count, number), made_views=self._made_views(count, number),
            views=self._views(sum(sizes), number),
        )  # fmt: skip
        self.undo.keep(plan.written)
        try:
            loss = float(self.trainer.run_one(plan))
            hint = "lower lr, or scale the inputs"
            if not math.isfinite(loss):
                raise DataError(message("Learner.partial_fit", "must have a finite loss", loss, hint=hint))
            if not self.undo.is_sound():
                must = "must leave weights that are finite, and so are their squares; this step did not, and was undone"
                raise DataError(message("Learner.partial_fit", must, hint=hint))
        except BaseException as error:  # Ctrl-C among them
            self.undo.restore()
            tell_single_row(error, self.spec)
            raise
        position = int(state.position[0])
        state.last_seen[0][labels] = position + np.arange(count)  # of a class's rows the last one counts
        state.position[0] += count
        state.recent[0] = newest(self.spec.method.mask, state.recent[0], labels)
        if memory is not None and slots is not None:
            self._store(memory, slots, inputs, labels)
        return loss

    def _store(self, memory: MemoryState, slots: Ints, inputs: Inputs, labels: Ints) -> None:
        """Keep the rows that enter the memory."""
        counts = memory.class_counts
        counts += np.bincount(labels, minlength=len(counts))
        self.population.state.memories[0] = MemoryState(
            memory.rows, memory.labels, memory.num_seen + len(labels), counts
        )
        if not _any_kept(slots):
            return
        into, last = _last_writes(slots)
        self.core.put(into, inputs[last])
        memory.rows[into], memory.labels[into] = into, labels[last]
        if len(self.filled) < len(memory.rows):
            self.filled = np.flatnonzero(memory.rows >= 0)

    def _sent(self, array: Ints) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor if self.on_cpu else tensor.to(self.population.device)

    def _written(self, slots: Ints | None) -> tuple[Tensor, Tensor] | None:
        """Slots whose logits change and the rows they come from."""
        if not self.needs.stores_logits or slots is None or not _any_kept(slots):
            return None
        into, last = _last_writes(slots)
        return self._sent(into), self._sent(last)

    def _active(self, labels: Ints) -> Tensor | None:
        mask, state = self.spec.method.mask, self.population.state
        if mask is None or mask.policy == "task" or mask.is_auto:
            return None
        offsets = np.array([0, len(labels)])
        return torch.from_numpy(
            recent_classes(labels, offsets, mask, state.last_seen[0], int(state.position[0]))
        ).to(self.population.device)  # fmt: skip

    def _prior(self, labels: Ints) -> Tensor | None:
        """What a mask that goes by counts adds to logits: the last rows, this step's among them, and the memory's."""
        mask, state = self.spec.method.mask, self.population.state
        if mask is None or not mask.is_auto:
            return None
        num_classes = self.spec.scenario.num_classes
        counts = np.bincount(newest(mask, state.recent[0], labels), minlength=num_classes)
        memory = state.memories[0]
        if memory is not None and self.needs.draws and self.task >= self.needs.replay_from_task:
            counts = np.maximum(counts, np.bincount(memory.labels[self.filled], minlength=num_classes))
        prior = prior_of(counts[None], self.spec.method.prior_power)
        return torch.tensor(prior, dtype=self.population.dtype, device=self.population.device)

    def _made(self, count: int, number: int) -> Tensor | None:
        cfgm = self.spec.method.cfgm
        if cfgm is None or self.trainer.makes is None:
            return None
        seed = derive(self.core.seed, "stream", number)
        return self._sent(
            plan_old_labels(self.old, [count * cfgm.per_row], draw=cfgm.draw, seed=seed, task=self.task)
        )  # fmt: skip

    def _made_views(self, count: int, number: int) -> Tensor | None:
        cfgm = self.spec.method.cfgm
        if cfgm is None or self.trainer.makes is None:
            return None
        found = plan_starts(cfgm, count, seed=self.core.seed, task=-1, step=number)
        return None if found is None else self._sent(found)

    def _views(self, count: int, number: int) -> Tensor | None:
        augment, views = self.spec.training.augment, self.needs.views
        random = augment is not None and augment.is_random
        if not random and views == 1:
            return None
        chosen = augment if random and augment is not None else A.Augment()
        rng = generator(self.core.seed, "views", -1, number)
        return self._sent(A.plan(chosen, count * views, rng).reshape(count, views, 3))


def _any_kept(slots: Ints) -> bool:
    """Whether any of the rows enters the memory; a single one is looked at without the words of an array."""
    return bool(slots[0] >= 0) if len(slots) == 1 else bool((slots >= 0).any())


def _last_writes(slots: Ints) -> tuple[Ints, Ints]:
    """Slots that are written to, of which there are some, and the last row that each gets."""
    if len(slots) == 1:
        return slots, np.zeros(1, np.int64)
    sources = np.flatnonzero(slots >= 0)[::-1]
    into, last = np.unique(slots[sources], return_index=True)
    return into, sources[last]


def _drawn(draw: Draw, memory: MemoryState, filled: Ints, labels: Ints, rng: np.random.Generator) -> Ints:
    """Slots of one draw: distinct ones, or with replacement while there are fewer."""
    if draw.classes == "old":
        others = filled[~np.isin(memory.labels[filled], labels)]
        filled = others if len(others) else filled
    count, size = len(filled), draw.num_drawn
    if size * size < count:  # most samples have no row twice, and drawing anew until one has none is fast: 3 of 12 µs
        while True:
            places = (rng.random(size) * count).astype(np.int64)
            if len(set(places.tolist())) == size:
                return filled[places]
    return rng.choice(filled, size, replace=count < size)


def check_streams(core: Core) -> None:
    """Refuse settings that need tasks which end.

    Raises:
        ConfigError: In one sentence.
    """
    method, where = core.config.method, "Learner.partial_fit"
    mask = method.mask
    policies = "'recent'" if mask is not None and mask.is_auto else "'batch' or 'recent'"  # a batch has no counts
    hint = f"fit learns batches of new classes; policy {policies} masks without tasks"
    good = mask is None or mask.policy != "task"
    check(good, f"{where}: mask.policy", f"must be {policies} in a stream without tasks", "task", hint=hint)
    key = method.key
    ends = overrides(method, "end_task") or any(phase != Phase() for phase in method.phases(0, 1))
    check(not ends, f"{where}: method", f"must not need tasks that end, as {key!r} does", key,
          hint="fit learns batches of new classes")  # fmt: skip
    policy = core.population.policy
    refills = policy is not None and policy.refills
    name = core.population.specs[0].memory and core.population.specs[0].memory.policy
    check(not refills, f"{where}: memory.policy", "must not choose its rows when tasks end", name)
