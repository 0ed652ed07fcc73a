"""A task as arrays of indices, made before its first step.

Which stream rows come in step s, which slots they enter, which rows each draw reads: all of it depends on seeds,
labels and sizes alone. So the training loop has nothing to decide; it gathers, and writes logits where told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcl.mask import Mask
from maskcl.memory import MemoryConfig, MemoryState, draw_slots, fill_order, plan_writes, rows_in_slots
from maskcl.methods import Draw
from maskcl.rng import generator

__all__ = ["MemberPlan", "StepPlan", "TaskPlan", "plan_member", "step_offsets"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class MemberPlan:
    """One member's task.

    Attributes:
        order: Stream rows of all epochs in order, int64 [N].
        slots: Memory slot that each enters, -1 where dropped, int64 [N].
        draw_slots: For each draw, the slots read, int64 [S, R]; steps before `first_replay` are meaningless.
        draw_rows: The rows found there, int64 [S, R].
        first_replay: First step with memory rows, S if there is none.
        memory: The memory after the task.
        active: Classes left alone by a mask of policy "batch" or "recent", bool [S, C]; None otherwise.
    """

    order: Ints
    slots: Ints
    draw_slots: tuple[Ints, ...]
    draw_rows: tuple[Ints, ...]
    first_replay: int
    memory: MemoryState | None
    active: NDArray[np.bool_] | None


def step_offsets(num_rows: int, batch_size: int, epochs: int) -> Ints:
    """Return where each step starts in the stream of all epochs, and its end: int64 [S + 1].

    >>> step_offsets(5, 2, 2)
    array([ 0,  2,  4,  5,  7,  9, 10])
    """
    starts = np.arange(0, num_rows, batch_size)
    return np.append((starts + num_rows * np.arange(epochs)[:, None]).ravel(), num_rows * epochs)


def plan_member(
    *,
    rows: Ints,
    labels: Ints,
    offsets: Ints,
    epochs: int,
    task: int,
    seed: int,
    memory: MemoryState | None,
    memory_config: MemoryConfig | None,
    draws: Sequence[Draw],
    replay_from_task: int,
    mask: Mask | None,
    last_seen: Ints,
    position: int,
) -> MemberPlan:
    """Plan one member's task.

    Args:
        rows: The task's row ids, int64 [n].
        labels: Classes of the whole image table, int64.
        offsets: From `step_offsets`.
        epochs: Passes.
        task: 0-based.
        seed: The run's stream seed.
        memory: State before the task; None without a memory.
        memory_config: Its settings.
        draws: The method's draws.
        replay_from_task: First task with replay.
        mask: For the policies "batch" and "recent".
        last_seen: Stream position at which each class was last seen, -1 if never, int64 [C].
        position: Stream rows before this task.
    """
    num_steps = len(offsets) - 1
    order = np.concatenate([rows[generator(seed, "stream", task, e).permutation(len(rows))] for e in range(epochs)])
    slots = np.full(len(order), -1)
    first, after = num_steps, memory
    read: list[Ints] = []
    found: list[Ints] = []
    if memory is not None and memory_config is not None:
        slots = plan_writes(memory_config.policy, memory, labels[order], generator(seed, "memory", task))
        after = memory.after(slots, order, labels[order])
        filling, times = fill_order(memory, slots)
        filled = np.searchsorted(times, offsets[:-1], side="right")
        if task >= replay_from_task and filled.any():
            first = int(np.argmax(filled > 0))
        for d, draw in enumerate(draws):
            picks = draw_slots(filled.clip(min=1), draw.size, generator(seed, "draws", task, d))
            read.append(filling[picks] if len(filling) else picks)
            found.append(rows_in_slots(memory, slots, order, read[-1], offsets[:-1]))
    active = None
    if mask is not None and mask.policy != "task":
        window = mask.recent_rows if mask.policy == "recent" else None
        active = _recent_classes(labels[order], offsets, window, last_seen, position)
    return MemberPlan(order, slots, tuple(read), tuple(found), first, after, active)


def _recent_classes(
    labels: Ints, offsets: Ints, window: int | None, last_seen: Ints, position: int
) -> NDArray[np.bool_]:
    """Classes among the last `window` stream rows at each step (None: among the step's own), bool [S, C]."""
    step = np.searchsorted(offsets, np.arange(len(labels)), side="right") - 1
    latest = np.full((len(offsets) - 1, len(last_seen)), -1)
    np.maximum.at(latest, (step, labels), np.arange(len(labels)) + position)
    if window is None:
        return latest >= 0
    latest[0] = np.maximum(latest[0], last_seen)
    latest = np.maximum.accumulate(latest, 0)
    return (latest >= 0) & (latest >= position + offsets[1:, None] - window)


@dataclass(frozen=True)
class StepPlan:
    """One step of a population (or of one run, without the leading K).

    Attributes:
        rows: Row ids in the image table, stream rows first, then each draw, int64 [K * n].
        labels: Their classes, int64 [K, n].
        sizes: Rows of each source, adding up to n.
        stored: For each draw, slots to read logits from, int64 [K * R] into [K * M]; None where not wanted.
        written: Slots to write logits to and the stream rows they come from, int64 each, into [K * M] and [K * B].
        active: For mask policies "batch" and "recent", bool [K, 1, C].
    """

    rows: Tensor
    labels: Tensor
    sizes: tuple[int, ...]
    stored: tuple[Tensor | None, ...]
    written: tuple[Tensor, Tensor] | None
    active: Tensor | None


class TaskPlan:
    """The members' plans side by side, as tensors ready for the training loop."""

    def __init__(
        self,
        members: Sequence[MemberPlan],
        offsets: Ints,
        labels: Ints,
        draws: Sequence[Draw],
        *,
        stacked: bool,
        memory_size: int,
    ) -> None:
        self.offsets, self.draws, self.stacked, self.num_members = offsets, tuple(draws), stacked, len(members)
        self.memory_size, self.num_steps = memory_size, len(offsets) - 1
        self.first_replay = members[0].first_replay
        assert all(member.first_replay == self.first_replay for member in members)
        self._labels = labels
        self._order = np.stack([member.order for member in members])
        self._draw_rows = [np.stack([m.draw_rows[d] for m in members], 1) for d in range(len(draws))]
        self._draw_slots: list[Ints | None] = [None] * len(draws)
        for d, draw in enumerate(draws):
            if draw.stored_logits and members[0].draw_slots:
                slots = [member.draw_slots[d] + k * memory_size for k, member in enumerate(members)]
                self._draw_slots[d] = np.stack(slots, 1)
        self._active = None
        if members[0].active is not None:
            active = torch.from_numpy(np.stack([m.active for m in members if m.active is not None], 1))
            self._active = active[:, :, None] if stacked else active
        stores = any(draw.stored_logits for draw in draws)
        self._writes = _writes_by_step(members, offsets, memory_size) if stores else None

    def steps(self, start: int = 0) -> list[StepPlan]:
        """Return the steps from `start` on, as views into a few large tensors."""
        out: list[StepPlan] = []
        for begin, end in self._segments(start):
            out += self._segment(begin, end)
        return out

    def _segments(self, start: int) -> list[tuple[int, int]]:
        """Runs of consecutive steps with equal batch size and the same draws."""
        sizes = np.diff(self.offsets)
        cuts = np.flatnonzero(np.diff(sizes)) + 1
        edges = np.unique(np.concatenate([[start, self.num_steps], cuts, [self.first_replay]]))
        edges = edges[(edges >= start) & (edges <= self.num_steps)]
        return [(int(a), int(b)) for a, b in pairwise(edges)]

    def _segment(self, begin: int, end: int) -> list[StepPlan]:
        count, members = end - begin, self.num_members
        size = int(self.offsets[begin + 1] - self.offsets[begin])
        stream = self._order[:, self.offsets[begin] : self.offsets[end]].reshape(members, count, size)
        parts, replaying = [stream.transpose(1, 0, 2)], begin >= self.first_replay
        stored: list[tuple[Tensor, ...] | None] = []
        if replaying:
            parts += [rows[begin:end] for rows in self._draw_rows]
            stored = [
                None if slots is None else torch.from_numpy(slots[begin:end].reshape(count, -1)).unbind(0)
                for slots in self._draw_slots
            ]
        sizes = tuple(part.shape[2] for part in parts)
        rows = np.concatenate(parts, 2)
        labels = torch.from_numpy(self._labels[rows])
        if not self.stacked:
            labels = labels[:, 0]
        each_rows, each_labels = torch.from_numpy(rows.reshape(count, -1)).unbind(0), labels.unbind(0)
        return [
            StepPlan(
                each_rows[i],
                each_labels[i],
                sizes,
                tuple(None if slots is None else slots[i] for slots in stored),
                self._writes[begin + i] if self._writes is not None else None,
                self._active[begin + i] if self._active is not None else None,
            )
            for i in range(count)
        ]


def _writes_by_step(
    members: Sequence[MemberPlan], offsets: Ints, memory_size: int
) -> list[tuple[Tensor, Tensor] | None]:
    """For each step, the slots whose logits change and the stream rows they come from; a slot's last write wins."""
    sizes = np.diff(offsets)
    step_of_row = np.repeat(np.arange(len(sizes)), sizes)
    steps, slots, sources = [], [], []
    for k, member in enumerate(members):
        at = np.flatnonzero(member.slots >= 0)[::-1]
        step = step_of_row[at]
        _, last = np.unique(step * memory_size + member.slots[at], return_index=True)
        at, step = at[last], step[last]
        steps.append(step)
        slots.append(member.slots[at] + k * memory_size)
        sources.append(at - offsets[step] + k * sizes[step])
    step = np.concatenate(steps)
    order = np.argsort(step, kind="stable")
    counts = np.bincount(step, minlength=len(sizes)).tolist()
    slot_parts = torch.from_numpy(np.concatenate(slots)[order]).split(counts)
    source_parts = torch.from_numpy(np.concatenate(sources)[order]).split(counts)
    return [(a, b) if len(a) else None for a, b in zip(slot_parts, source_parts, strict=True)]
