"""Drawing from a memory whose writes are planned: which slots, and which rows are found there."""

from __future__ import annotations

import numpy as np

from maskcl.memory.base import Ints, MemoryState

__all__ = ["draw_slots", "fill_order", "keep_order", "rows_in_slots"]


def draw_slots(filled: Ints, size: int, rng: np.random.Generator) -> Ints:
    """Draw `size` distinct positions below each of `filled`, or with replacement where there are fewer.

    Floyd's algorithm, for all steps at once: the cost depends on the draw, not on the memory.

    Args:
        filled: How many there are to draw from at each step, 1 or more, int64 [S].
        size: R, draws a step.
        rng: Source of chance.

    Returns:
        int64 [S, R], each row uniform over the subsets. Its order is not random: shuffle what is cut in two.
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


def keep_order(state: MemoryState, slots: Ints, wanted: Ints) -> tuple[Ints, Ints]:
    """Return some of the filled slots, those that are overwritten last first, and how many are left at each moment.

    Args:
        state: The memory before the first write.
        slots: Slot of each stream row, -1 where dropped, int64 [N].
        wanted: Slots to look at, filled, int64 [F].

    Returns:
        The slots, int64 [F], and after how many stream rows each is overwritten, descending, N + 1 for never, int64
        [F].
    """
    first = np.full(len(state.rows), len(slots) + 1)
    used, at = np.unique(slots, return_index=True)
    first[used[used >= 0]] = at[used >= 0] + 1
    order = np.argsort(-first[wanted], kind="stable")
    return wanted[order], first[wanted][order]
