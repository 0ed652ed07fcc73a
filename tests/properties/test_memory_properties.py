"""What every policy of the memory promises, for streams, cuts and sizes that hypothesis picks; a new one unasked."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcl import ReplayMemory
from maskcl.memory import POLICIES, MemoryState, plan_writes
from maskcl.rng import generator

PLANNED = sorted(key for key, policy in POLICIES.items() if not policy.refills)
CHECK = settings(deadline=None, max_examples=40)
NUM_CLASSES = 4


@st.composite
def streams(draw: st.DrawFn) -> tuple[np.ndarray, list[int], int, int]:
    """Labels [N], where the stream is cut into plans, slots, seed."""
    labels = np.array(draw(st.lists(st.integers(0, NUM_CLASSES - 1), max_size=60)), np.int64)
    cuts = sorted(draw(st.sets(st.integers(0, len(labels)), max_size=4)))
    return labels, cuts, draw(st.integers(NUM_CLASSES, 20)), draw(st.integers(0, 1000))


def after(policy: str, labels: np.ndarray, cuts: list[int], size: int, seed: int) -> MemoryState:
    """The memory once a stream was offered in parts; rows are numbered from 0 on."""
    state = MemoryState.empty(size, NUM_CLASSES)
    for part, offered in enumerate(np.split(labels, cuts)):
        slots = plan_writes(policy, state, offered, generator(seed, "memory", part))
        state = state.after(slots, state.num_seen + np.arange(len(offered)), offered)
    return state


@pytest.mark.parametrize("policy", PLANNED)
@CHECK
@given(stream=streams())
def test_a_memory_holds_rows_of_the_stream_each_once_under_their_own_label(policy: str, stream: Any) -> None:
    labels, cuts, size, seed = stream
    state = after(policy, labels, cuts, size, seed)
    kept = state.rows >= 0
    rows = state.rows[kept]
    assert state.filled == len(rows) <= min(size, len(labels))
    assert len(set(rows.tolist())) == len(rows)
    assert (labels[rows] == state.labels[kept]).all()
    assert (state.labels[~kept] == -1).all()
    assert state.num_seen == len(labels)
    assert state.class_counts.tolist() == np.bincount(labels, minlength=NUM_CLASSES).tolist()


@pytest.mark.parametrize("policy", PLANNED)
@CHECK
@given(stream=streams())
def test_the_same_seed_gives_the_same_memory_and_the_state_before_is_left_alone(policy: str, stream: Any) -> None:
    labels, cuts, size, seed = stream
    first, again = (after(policy, labels, cuts, size, seed) for _ in range(2))
    assert np.array_equal(first.rows, again.rows)
    before = first.rows.copy(), first.labels.copy(), first.class_counts.copy()
    first.after(plan_writes(policy, first, labels, generator(9, "memory")), np.arange(len(labels)) + 1000, labels)
    assert all(map(np.array_equal, before, (first.rows, first.labels, first.class_counts)))


@pytest.mark.parametrize("policy", ["reservoir", "class_balanced"])
@CHECK
@given(stream=streams())
def test_no_slot_stays_empty_while_there_are_rows_for_it(policy: str, stream: Any) -> None:
    labels, cuts, size, seed = stream
    assert after(policy, labels, cuts, size, seed).filled == min(size, len(labels))


@CHECK
@given(stream=streams())
def test_a_ring_holds_the_last_rows_of_each_class_however_the_stream_is_cut(stream: Any) -> None:
    labels, cuts, size, seed = stream
    state = after("ring", labels, cuts, size, seed)
    share = size // NUM_CLASSES
    for label in range(NUM_CLASSES):
        last = np.flatnonzero(labels == label)[-share:]
        assert sorted(state.rows[label * share : (label + 1) * share]) == sorted([*last, *[-1] * (share - len(last))])


@pytest.mark.parametrize("policy", ["class_balanced", "greedy"])
@CHECK
@given(stream=streams())
def test_a_class_has_its_share_of_the_slots_or_all_of_its_rows(policy: str, stream: Any) -> None:
    labels, cuts, size, seed = stream
    state = after(policy, labels, cuts, size, seed)
    kept = np.bincount(state.labels[state.rows >= 0], minlength=NUM_CLASSES)
    share = size // max(1, len(set(labels.tolist())))
    assert (kept >= np.minimum(state.class_counts, share)).all()


@CHECK
@given(stream=streams())
def test_a_class_balanced_memory_drops_rows_of_its_largest_classes_alone(stream: Any) -> None:
    labels, cuts, size, seed = stream
    state = after("class_balanced", labels, cuts, size, seed)
    kept = np.bincount(state.labels[state.rows >= 0], minlength=NUM_CLASSES)
    lost = state.class_counts > kept
    assert (kept[lost] >= kept.max() - 1).all()


@pytest.mark.parametrize("policy", PLANNED)
@CHECK
@given(stream=streams(), more=st.integers(1, 12), draws=st.integers(0, 3))
def test_a_memory_that_was_saved_goes_on_as_if_it_had_not_been(policy: str, stream: Any, more: int, draws: int) -> None:
    labels, cuts, size, seed = stream
    memory = ReplayMemory(size, policy=policy, num_classes=NUM_CLASSES, seed=seed)
    offered = torch.from_numpy(labels)
    for part in torch.tensor_split(torch.arange(len(offered)), cuts):
        if len(part):
            memory.add(part[:, None].float(), offered[part])
    for _ in range(draws if len(memory) else 0):
        memory.draw(2)
    file = io.BytesIO()
    torch.save(memory.state_dict(), file)
    file.seek(0)
    other = ReplayMemory(size, policy=policy, num_classes=NUM_CLASSES, seed=seed + 1)
    other.load_state_dict(torch.load(file, weights_only=True))
    for one in (memory, other):
        one.add(torch.full((more, 1), 500.0) + torch.arange(more)[:, None], torch.arange(more) % NUM_CLASSES)
    assert (len(memory), memory.num_seen) == (len(other), other.num_seen)
    mine, its = memory.draw(5), other.draw(5)
    assert torch.equal(mine.inputs, its.inputs)
    assert torch.equal(mine.labels, its.labels)


@pytest.mark.parametrize("policy", PLANNED)
@CHECK
@given(stream=streams(), n=st.integers(1, 30))
def test_a_draw_is_of_rows_in_the_memory_and_distinct_where_there_are_enough(policy: str, stream: Any, n: int) -> None:
    labels, _, size, seed = stream
    memory = ReplayMemory(size, policy=policy, num_classes=NUM_CLASSES, seed=seed)
    if not len(labels):
        return
    offered = torch.from_numpy(labels)
    memory.add(torch.arange(len(offered))[:, None].float(), offered)
    drawn = memory.draw(n)
    rows = drawn.inputs[:, 0].long()
    assert torch.equal(offered[rows], drawn.labels)
    there = set(memory.draw(len(memory)).inputs[:, 0].tolist())
    assert set(rows.tolist()) <= there
    assert n > len(there) or len(set(rows.tolist())) == n
