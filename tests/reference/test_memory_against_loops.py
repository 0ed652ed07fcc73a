"""The vectorised memory plan against a memory that is written one row at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.plain_memory import SlowMemory, herding_row_by_row

from maskcl.memory import MemoryState, fill_order, herding_order, rows_in_slots


@st.composite
def _writes(draw: st.DrawFn) -> tuple[MemoryState, np.ndarray, np.ndarray]:
    """A memory of at most 6 slots, partly filled; slots and rows of up to 15 writes."""
    size = draw(st.integers(1, 6))
    before = np.array(draw(st.lists(st.integers(-1, 3), min_size=size, max_size=size)))
    slots = np.array(draw(st.lists(st.integers(-1, size - 1), max_size=15)), np.int64)
    state = MemoryState(np.where(before >= 0, before + 100, -1), before, 40, np.full(4, 10))
    return state, slots, np.arange(len(slots)) + 1000


@settings(deadline=None, max_examples=150)
@given(writes=_writes(), data=st.data())
def test_reads_find_the_last_row_written_before_them(
    writes: tuple[MemoryState, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    state, slots, rows = writes
    times = sorted(data.draw(st.lists(st.integers(0, len(slots)), min_size=1, max_size=5)))
    reads = np.array([data.draw(st.lists(st.integers(0, len(state.rows) - 1), min_size=3, max_size=3)) for _ in times])
    found = rows_in_slots(state, slots, rows, reads, np.array(times))
    for step, time in enumerate(times):
        slow = SlowMemory(state.rows.tolist())
        for slot, row in zip(slots[:time].tolist(), rows[:time].tolist(), strict=True):
            slow.write(slot, row)
        assert found[step].tolist() == [slow.rows[slot] for slot in reads[step]]


@settings(deadline=None, max_examples=150)
@given(writes=_writes())
def test_slots_fill_in_order_and_at_their_time(writes: tuple[MemoryState, np.ndarray, np.ndarray]) -> None:
    state, slots, rows = writes
    order, times = fill_order(state, slots)
    slow = SlowMemory(state.rows.tolist())
    for time in range(len(slots) + 1):
        assert order[times <= time].tolist() == slow.order
        if time < len(slots):
            slow.write(int(slots[time]), int(rows[time]))


@settings(deadline=None, max_examples=150)
@given(writes=_writes())
def test_the_state_after_is_that_of_single_writes(writes: tuple[MemoryState, np.ndarray, np.ndarray]) -> None:
    state, slots, rows = writes
    labels = rows % 4
    after, slow = state.after(slots, rows, labels), SlowMemory(state.rows.tolist())
    for slot, row in zip(slots.tolist(), rows.tolist(), strict=True):
        slow.write(slot, row)
    assert after.rows.tolist() == slow.rows
    written = after.rows >= 1000
    assert (after.labels[written] == after.rows[written] % 4).all()
    assert (after.labels[~written] == state.labels[~written]).all()
    assert after.num_seen == 40 + len(rows)
    assert (after.class_counts == 10 + np.bincount(labels, minlength=4)).all()
    assert after.filled == len(slow.order)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), number=st.integers(1, 12), count=st.integers(1, 14))
def test_herding_is_greedy(seed: int, number: int, count: int) -> None:
    features = np.random.default_rng(seed).normal(size=(number, 3))
    assert herding_order(features, count).tolist() == herding_row_by_row(features, count)
