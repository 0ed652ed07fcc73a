"""The replay memory, planned ahead: which slot each stream row enters, which slots each draw reads.

Reservoir, ring and class-balanced policies depend on seeds, labels and sizes alone, never on weights. So a whole
task is planned before its first step, in NumPy; the engine then only gathers. Herding looks at features and fills
the memory at task ends. All functions are pure; `maskcl.ReplayMemory` is the same thing for one's own loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maskcl.errors import check, check_choice

__all__ = [
    "POLICIES",
    "MemoryConfig",
    "MemoryState",
    "draw_slots",
    "fill_order",
    "herding_order",
    "plan_writes",
    "rows_in_slots",
]

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """What the memory holds.

    Args:
        size: Slots, all classes together; 0 for none.
        policy: "reservoir" (uniform over the stream), "ring" (the last rows of each class), "class_balanced"
            (uniform within each class, classes as equal as the stream allows), "herding" (the rows whose features
            keep closest to their class mean, chosen at task ends).
    """

    size: int = 200
    policy: str = "reservoir"

    def __post_init__(self) -> None:
        good = isinstance(self.size, int) and not isinstance(self.size, bool) and self.size >= 0
        check(good, "memory.size", "must be 0 or more slots", self.size)
        check_choice(self.policy, "memory.policy", POLICIES)


@dataclass(frozen=True)
class MemoryState:
    """What the memory holds at one moment.

    Attributes:
        rows: Row id in each slot, -1 where empty, int64 [M].
        labels: Class in each slot, -1 where empty, int64 [M].
        num_seen: Stream rows offered so far.
        class_counts: Stream rows offered so far, by class, int64 [C].
    """

    rows: Ints
    labels: Ints
    num_seen: int
    class_counts: Ints

    @staticmethod
    def empty(size: int, num_classes: int) -> MemoryState:
        """An empty memory of `size` slots."""
        return MemoryState(np.full(size, -1), np.full(size, -1), 0, np.zeros(num_classes, np.int64))

    @property
    def filled(self) -> int:
        """Slots in use."""
        return int((self.rows >= 0).sum())

    def after(self, slots: Ints, rows: Ints, labels: Ints) -> MemoryState:
        """The state once `rows` [N] have been offered in order and gone into `slots` [N] (-1: dropped)."""
        kept = slots >= 0
        new_rows, new_labels = self.rows.copy(), self.labels.copy()
        new_rows[slots[kept]] = rows[kept]  # NumPy keeps the last of repeated indices, as the stream does
        new_labels[slots[kept]] = labels[kept]
        counts = self.class_counts + np.bincount(labels, minlength=len(self.class_counts))
        return replace(self, rows=new_rows, labels=new_labels, num_seen=self.num_seen + len(rows), class_counts=counts)


def _reservoir(state: MemoryState, labels: Ints, rng: np.random.Generator) -> Ints:
    """Algorithm R, vectorised: the n-th row (from 0) takes slot floor(u * (n + 1)) if there is one."""
    size = len(state.rows)
    seen = state.num_seen + np.arange(len(labels))
    slots = np.floor(rng.random(len(labels)) * (seen + 1)).astype(np.int64)
    slots = np.where(seen < size, seen, slots)
    return np.where(slots < size, slots, -1)


def _ring(state: MemoryState, labels: Ints, rng: np.random.Generator) -> Ints:
    """Each class owns M // C slots and overwrites its oldest row."""
    num_classes = len(state.class_counts)
    share = len(state.rows) // num_classes
    check(share >= 1, "memory.size", f"must be {num_classes} or more with policy 'ring': a slot for each class",
          len(state.rows))  # fmt: skip
    return labels * share + (state.class_counts[labels] + _rank_within(labels)) % share


def _class_balanced(state: MemoryState, labels: Ints, rng: np.random.Generator) -> Ints:
    """Class-balancing reservoir sampling (Chrysakis and Moens, ICML 2020).

    Sequential by nature, since each row's fate hangs on the class sizes at that moment; it runs once a task.
    A class that has lost a row, or is the largest, is "full": it goes on as a reservoir of its own size.
    """
    slots_of = [np.flatnonzero(state.labels == c).tolist() for c in range(len(state.class_counts))]
    free = np.flatnonzero(state.labels < 0)[::-1].tolist()
    offered = state.class_counts.tolist()
    uniform, out = rng.random((len(labels), 2)).tolist(), np.full(len(labels), -1)
    for n, label in enumerate(labels.tolist()):
        mine, (u, v) = slots_of[label], uniform[n]
        if free:
            out[n] = free.pop()
            mine.append(int(out[n]))
        else:
            largest = max(map(len, slots_of))
            if len(mine) == offered[label] < largest:  # has lost nothing yet: not full
                donors = [slots for slots in slots_of if len(slots) == largest]
                donor = donors[int(u * len(donors))]
                out[n] = donor.pop(int(v * len(donor)))
                mine.append(int(out[n]))
            elif (place := int(u * (offered[label] + 1))) < len(mine):
                out[n] = mine[place]
        offered[label] += 1
    return out


def _herding(state: MemoryState, labels: Ints, rng: np.random.Generator) -> Ints:
    """Nothing enters during a task; the engine fills the memory at its end."""
    return np.full(len(labels), -1)


POLICIES: dict[str, Callable[[MemoryState, Ints, np.random.Generator], Ints]] = {
    "reservoir": _reservoir,
    "ring": _ring,
    "class_balanced": _class_balanced,
    "herding": _herding,
}


def plan_writes(policy: str, state: MemoryState, labels: Ints, rng: np.random.Generator) -> Ints:
    """Return the slot that each of the next stream rows enters, -1 where it is dropped.

    Args:
        policy: A key of `POLICIES`.
        state: The memory before the first of them.
        labels: Their classes in stream order, int64 [N].
        rng: Source of chance.

    Returns:
        int64 [N]; a later row overwrites an earlier one in the same slot.
    """
    if len(state.rows) == 0:
        return np.full(len(labels), -1)
    return POLICIES[policy](state, labels, rng)


def draw_slots(filled: Ints, size: int, rng: np.random.Generator) -> Ints:
    """Draw `size` distinct positions below each of `filled`, or with replacement where there are fewer.

    Floyd's algorithm, for all steps at once: the cost depends on the draw, not on the memory.

    Args:
        filled: How many there are to draw from at each step, 1 or more, int64 [S].
        size: R, draws a step.
        rng: Source of chance.

    Returns:
        int64 [S, R], each row uniform over the subsets (its order is not random).
    """
    uniform = rng.random((len(filled), size))
    out = np.empty((len(filled), size), np.int64)
    few = filled < size
    out[few] = uniform[few] * filled[few, None]
    many, limit = ~few, filled[~few]
    chosen = np.empty((int(many.sum()), size), np.int64)
    for r in range(size):
        last = limit - size + r
        pick = (uniform[many, r] * (last + 1)).astype(np.int64)
        taken = (chosen[:, :r] == pick[:, None]).any(1)
        chosen[:, r] = np.where(taken, last, pick)
    out[many] = chosen
    return out


def fill_order(state: MemoryState, slots: Ints) -> tuple[Ints, Ints]:
    """Return the slots in the order in which they are first filled, and when.

    Args:
        state: The memory before the first write.
        slots: Slot of each stream row, -1 where dropped, int64 [N].

    Returns:
        The slots in use before or after, int64 [F], and how many stream rows have to pass for each, ascending, int64
        [F]: 0 for those in use before.
    """
    before = np.flatnonzero(state.rows >= 0)
    used, first = np.unique(slots, return_index=True)
    new = ~np.isin(used, before) & (used >= 0)
    order = np.argsort(first[new])
    times = np.concatenate([np.zeros(len(before), np.int64), first[new][order] + 1])
    return np.concatenate([before, used[new][order]]), times


def rows_in_slots(state: MemoryState, slots: Ints, rows: Ints, reads: Ints, times: Ints) -> Ints:
    """Return which row each read finds: the last one written to its slot before its time.

    Args:
        state: The memory before the first write.
        slots: Slot of each stream row, -1 where dropped, int64 [N].
        rows: Row ids of the stream, int64 [N].
        reads: Slots read, int64 [S, R].
        times: For each read step, how many stream rows came before it, int64 [S].

    Returns:
        Row ids, int64 [S, R]; -1 where the slot is still empty.
    """
    kept = np.flatnonzero(slots >= 0)
    kept = kept[np.argsort(slots[kept], kind="stable")]
    stride = len(slots) + 1
    keys = slots[kept] * stride + kept
    before = np.searchsorted(keys, reads * stride + times[:, None], side="left") - 1
    if len(kept) == 0:
        return state.rows[reads]
    found = kept[before.clip(0)]
    return np.where((before >= 0) & (slots[found] == reads), rows[found], state.rows[reads])


def herding_order(features: NDArray[np.floating], count: int) -> Ints:
    """Choose `count` rows whose running mean keeps closest to the mean of all: herding.

    Args:
        features: Features of one class, L2-normalised by the caller where wanted, [N, D].
        count: How many, at most N.

    Returns:
        Row numbers in the order chosen, int64 [min(count, N)]: any prefix is the choice for a smaller count.

    Source: arXiv 1611.07725, algorithm 4, without repeats.

    >>> herding_order(np.array([[0.0], [4.0], [5.0]]), 3)
    array([1, 0, 2])
    """
    mean, total = features.mean(0), np.zeros(features.shape[1])
    left = np.ones(len(features), bool)
    out = []
    for j in range(min(count, len(features))):
        distance = ((mean - (total + features) / (j + 1)) ** 2).sum(1)
        out.append(int(np.where(left, distance, np.inf).argmin()))
        left[out[-1]] = False
        total += features[out[-1]]
    return np.array(out, np.int64)


def _rank_within(labels: Ints) -> Ints:
    """For each row, how many earlier rows have the same label."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    starts = np.searchsorted(ordered, ordered)
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels)) - starts
    return rank
