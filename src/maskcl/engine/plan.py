"""One member's task as arrays of indices, made before its first step.

Which stream rows come in step s, which slots they enter, which rows each draw reads: all of it depends on seeds,
labels and sizes alone. So the training loop has nothing to decide; it gathers, and writes logits where told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskcl import augment as A
from maskcl.engine.counts import plan_prior
from maskcl.engine.spec import RunSpec
from maskcl.engine.synthesis import plan_old_labels, plan_starts
from maskcl.mask import Mask
from maskcl.memory import MemoryState, draw_slots, fill_order, keep_order, plan_writes, rows_in_slots
from maskcl.methods import Draw
from maskcl.rng import generator

__all__ = ["MemberPlan", "plan_member", "recent_classes", "step_offsets"]

Ints = NDArray[np.int64]
NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class MemberPlan:
    """One member's phase.

    Attributes:
        order: Stream rows of all epochs in order, int64 [N].
        offsets: Where each step starts in it, and its end, int64 [S + 1].
        epochs: Epoch of each step, int64 [S].
        slots: Memory slot that each row enters, -1 where dropped, int64 [N].
        draw_slots: For each draw, the slots read, int64 [S, R]; steps before `first_replay` are meaningless.
        draw_rows: The rows found there, int64 [S, R].
        first_replay: First step with memory rows, S if there is none.
        before: The memory before the phase.
        memory: The memory after it.
        active: Classes left alone by a mask of policy "batch" or "recent", bool [S, C]; None otherwise.
        prior: What a mask that goes by counts adds to logits, float64 [S, C]; None otherwise.
        made: Old class of each CFGM sample, step by step, int64 [N * per_row]; None where none are made.
        made_views: How the start of each of them is changed, int64 [N * per_row, 3]; None: not.
        views: How each view of each row is changed, for the stream [N, V, 3] and each draw [S, R, V, 3]; empty: not.
        rates: Factor of the learning rate at each step, [S]; None: 1.
        shares: What the weights after each step weigh in their mean, 1 / (how many of them), [S]; None: no mean.
    """

    order: Ints
    offsets: Ints
    epochs: Ints
    slots: Ints
    draw_slots: tuple[Ints, ...]
    draw_rows: tuple[Ints, ...]
    first_replay: int
    before: MemoryState | None
    memory: MemoryState | None
    active: NDArray[np.bool_] | None
    prior: NDArray[np.float64] | None
    made: Ints | None
    made_views: Ints | None
    views: tuple[Ints, ...]
    rates: NDArray[np.float64] | None
    shares: NDArray[np.float64] | None

    @property
    def num_steps(self) -> int:
        """Steps, S."""
        return len(self.offsets) - 1

    def memory_at(self, step: int, labels: Ints) -> MemoryState | None:
        """The memory once `step` steps are done; labels: classes of the whole image table."""
        if self.before is None or step >= self.num_steps:
            return self.memory
        passed = slice(0, int(self.offsets[step]))
        return self.before.after(self.slots[passed], self.order[passed], labels[self.order[passed]])


def step_offsets(num_rows: int, batch_size: int, epochs: int) -> Ints:
    """Return where each step starts in the stream of all epochs, and its end: int64 [S + 1].

    >>> step_offsets(5, 2, 2)
    array([ 0,  2,  4,  5,  7,  9, 10])
    """
    starts = np.arange(0, num_rows, batch_size)
    return np.append((starts + num_rows * np.arange(epochs)[:, None]).ravel(), num_rows * epochs)


def plan_member(
    spec: RunSpec,
    *,
    task: int,
    rows: Ints,
    epochs: int,
    memory: MemoryState | None,
    last_seen: Ints,
    position: int,
    phase: int = 0,
    writes: bool = True,
    makes: bool = False,
    rates: NDArray[np.float64] | None = None,
    recent: Ints = NONE,
) -> MemberPlan:
    """Plan one member's phase of a task.

    Args:
        spec: The run.
        task: 0-based.
        rows: The row ids to be trained on, int64 [n].
        epochs: Passes.
        memory: State before the phase; None without a memory.
        last_seen: Stream position at which each class was last seen, -1 if never, int64 [C].
        position: Stream rows before this phase.
        phase: 0-based within the task.
        writes: Whether the rows are new to the memory.
        makes: Whether CFGM makes samples.
        rates: Factor of the learning rate at each step; None: 1.
        recent: Classes of the last stream rows before this phase, where the mask counts those.
    """
    seed, labels, needs = spec.seeds.sampling, spec.scenario.dataset.train_labels, spec.method.needs
    later = (phase,) if phase else ()  # a task's first phase has the random numbers of a task that has no other
    offsets = step_offsets(len(rows), spec.training.batch_size, epochs)
    num_steps = len(offsets) - 1
    order = np.concatenate(
        [rows[generator(seed, "stream", task, e, *later).permutation(len(rows))] for e in range(epochs)]
    )
    slots = np.full(len(order), -1)
    first, after = num_steps, memory
    read: list[Ints] = []
    if memory is not None and spec.memory is not None:
        if writes:
            slots = plan_writes(str(spec.memory.policy), memory, labels[order], generator(seed, "memory", task, *later))
            after = memory.after(slots, order, labels[order])
        if task >= needs.replay_from_task:
            current = spec.scenario.tasks[task]
            first, read = _plan_draws(needs.draws, memory, slots, offsets, current, seed, (task, *later))
    found = [rows_in_slots(memory, slots, order, each, offsets[:-1]) for each in read if memory is not None]
    mask, active = spec.method.mask, None
    if mask is not None and mask.policy != "task" and not mask.is_auto:
        active = recent_classes(labels[order], offsets, mask, last_seen, position)
    prior = plan_prior(
        spec, rows=rows, order=order, offsets=offsets, memory=memory, slots=slots,
        drawn=[each[first:] for each in found], recent=recent,
    )  # fmt: skip
    return MemberPlan(
        order, offsets, np.repeat(np.arange(epochs), num_steps // epochs), slots, tuple(read), tuple(found), first,
        memory, after, active, prior, _plan_made(spec, task, offsets) if makes else None,
        plan_starts(spec.method.cfgm, len(order), seed=seed, task=task) if makes and spec.method.cfgm else None,
        _plan_views(spec, len(order), num_steps, (task, *later)), rates,
        _plan_shares(spec.training.average, num_steps),
    )  # fmt: skip


def _plan_draws(
    draws: Sequence[Draw],
    memory: MemoryState,
    slots: Ints,
    offsets: Ints,
    current: tuple[int, ...],
    seed: int,
    counters: tuple[int, ...],
) -> tuple[int, list[Ints]]:
    """First step with memory rows, and the slots that each draw reads, [S, R]."""
    filling, times = fill_order(memory, slots)
    filled = np.searchsorted(times, offsets[:-1], side="right")
    read = []
    for d, draw in enumerate(draws):
        rng = generator(seed, "draws", *counters[:1], d, *counters[1:])
        picks = draw_slots(filled.clip(min=1), draw.num_drawn, rng)
        read.append(filling[picks] if len(filling) else picks)
        if draw.classes == "old":
            wanted = np.flatnonzero((memory.rows >= 0) & ~np.isin(memory.labels, current))
            kept, until = keep_order(memory, slots, wanted)
            left = np.searchsorted(-until, -offsets[:-1], side="left")  # overwritten after this step's draw, or never
            some = left > 0  # where no row of an old class is left, the draw is of all rows
            read[-1][some] = kept[draw_slots(left[some], draw.num_drawn, rng)]
    first = int(np.argmax(filled > 0)) if filled.any() else len(filled)
    return first, read


def recent_classes(labels: Ints, offsets: Ints, mask: Mask, last_seen: Ints, position: int) -> NDArray[np.bool_]:
    """Classes among the last `recent_rows` stream rows at each step, or among the step's own, bool [S, C]."""
    step = np.searchsorted(offsets, np.arange(len(labels)), side="right") - 1
    latest = np.full((len(offsets) - 1, len(last_seen)), -1)
    np.maximum.at(latest, (step, labels), np.arange(len(labels)) + position)
    if mask.recent_rows is None:
        return latest >= 0
    latest[0] = np.maximum(latest[0], last_seen)
    latest = np.maximum.accumulate(latest, 0)
    return (latest >= 0) & (latest >= position + offsets[1:, None] - mask.recent_rows)


def _plan_made(spec: RunSpec, task: int, offsets: Ints) -> Ints:
    """Old class of each CFGM sample."""
    cfgm = spec.method.cfgm
    assert cfgm is not None
    old = [c for classes in spec.scenario.tasks[:task] for c in classes]
    sizes = (np.diff(offsets) * cfgm.per_row).tolist()
    return plan_old_labels(old, sizes, draw=cfgm.draw, seed=spec.seeds.sampling, task=task)


def _plan_shares(average: float, num_steps: int) -> NDArray[np.float64] | None:
    """Share of each step's weights in the running mean: 0 at first, then 1, 1/2, 1/3, ...; the last step has one."""
    if not average:
        return None
    count = max(1, round(average * num_steps))
    return np.concatenate([np.zeros(num_steps - count), 1 / np.arange(1, count + 1)])


def _plan_views(spec: RunSpec, num_rows: int, num_steps: int, counters: tuple[int, ...]) -> tuple[Ints, ...]:
    """How each view of each row is changed: stream, then draws."""
    augment, needs, seed = spec.training.augment, spec.method.needs, spec.seeds.sampling
    if augment is None or not augment.is_random:
        if needs.views == 1:
            return ()
        augment = A.Augment()  # views that are all the same
    shapes: list[tuple[int, ...]] = [(num_rows,), *((num_steps, draw.num_drawn) for draw in needs.draws)]
    found = []
    for source, shape in enumerate(shapes):
        rng = generator(seed, "views", counters[0], source, *counters[1:])
        count = int(np.prod(shape)) * needs.views
        found.append(A.plan(augment, count, rng).reshape(*shape, needs.views, 3))
    return tuple(found)
