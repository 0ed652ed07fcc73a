from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcl.engine.plan import MemberPlan, StepPlan, TaskPlan, plan_member, step_offsets
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig, MemoryState
from maskcl.methods import Draw

NUM_CLASSES = 4
LABELS = np.arange(100) % NUM_CLASSES


def _member(rows: np.ndarray, *, size: int = 5, batch_size: int = 4, epochs: int = 1, **changes: Any) -> MemberPlan:
    settings: dict[str, Any] = {
        "rows": rows, "labels": LABELS, "offsets": step_offsets(len(rows), batch_size, epochs), "epochs": epochs,
        "task": 0, "seed": 0, "memory": MemoryState.empty(size, NUM_CLASSES),
        "memory_config": MemoryConfig(size=size), "draws": (Draw(3, stored_logits=True), Draw(2)),
        "replay_from_task": 0, "mask": None, "last_seen": np.full(NUM_CLASSES, -1), "position": 0,
    }  # fmt: skip
    return plan_member(**(settings | changes))


def _steps(members: list[MemberPlan], offsets: np.ndarray, *, stacked: bool = True, size: int = 5) -> list[StepPlan]:
    draws = (Draw(3, stored_logits=True), Draw(2))
    return TaskPlan(members, offsets, LABELS, draws, stacked=stacked, memory_size=size).steps()


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs", "offsets"),
    [
        (4, 2, 1, [0, 2, 4]),
        (5, 2, 2, [0, 2, 4, 5, 7, 9, 10]),
        (3, 3, 3, [0, 3, 6, 9]),
        (2, 5, 2, [0, 2, 4]),
    ],
)
def test_partial_batches_end_each_epoch(rows: int, batch_size: int, epochs: int, offsets: list[int]) -> None:
    assert step_offsets(rows, batch_size, epochs).tolist() == offsets


def test_every_epoch_shows_every_row_once_in_an_order_of_its_own() -> None:
    rows = np.arange(10, 31)
    order = _member(rows, epochs=3).order.reshape(3, -1)
    assert [sorted(epoch.tolist()) for epoch in order] == [rows.tolist()] * 3
    assert len({tuple(epoch.tolist()) for epoch in order}) == 3


def test_a_plan_depends_on_seed_and_task() -> None:
    rows = np.arange(20)
    first, again, seed, task = _member(rows), _member(rows), _member(rows, seed=1), _member(rows, task=1)
    np.testing.assert_array_equal(first.order, again.order)
    np.testing.assert_array_equal(first.draw_rows[0], again.draw_rows[0])
    for other in (seed, task):
        assert not np.array_equal(first.order, other.order)
        assert not np.array_equal(first.slots[5:], other.slots[5:])
        assert not np.array_equal(first.draw_rows[0], other.draw_rows[0])


def test_the_two_draws_are_independent_and_do_not_depend_on_each_other_being_there() -> None:
    both = _member(np.arange(20), draws=(Draw(3), Draw(3)))
    assert not np.array_equal(both.draw_rows[0], both.draw_rows[1])
    np.testing.assert_array_equal(both.draw_rows[0], _member(np.arange(20), draws=(Draw(3),)).draw_rows[0])


def test_rows_are_drawn_before_the_steps_own_are_inserted() -> None:
    member, offsets = _member(np.arange(40), size=12), step_offsets(40, 4, 1)
    for step in range(1, 10):
        drawn = set(member.draw_rows[0][step].tolist())
        assert drawn <= set(member.order[: offsets[step]].tolist())
    drawn = set(member.draw_rows[0][1].tolist())
    assert len(drawn) == 3
    assert drawn <= set(member.order[:4].tolist())


def test_the_first_step_of_the_first_task_replays_nothing() -> None:
    assert _member(np.arange(20)).first_replay == 1
    second = _member(np.arange(20), task=1, memory=_member(np.arange(40, 60)).memory)
    assert second.first_replay == 0


def test_no_step_replays_before_its_first_task() -> None:
    assert _member(np.arange(20), replay_from_task=1).first_replay == 5
    assert (
        _member(np.arange(20), replay_from_task=1, task=1, memory=_member(np.arange(40, 60)).memory).first_replay == 0
    )


def test_steps_show_stream_rows_then_each_draw() -> None:
    rows, offsets = np.arange(10), step_offsets(10, 4, 1)
    members = [_member(rows, seed=seed) for seed in range(2)]
    steps = _steps(members, offsets)
    assert [step.sizes for step in steps] == [(4,), (4, 3, 2), (2, 3, 2)]
    for s, step in enumerate(steps):
        table = step.rows.view(2, -1).numpy()
        np.testing.assert_array_equal(LABELS[table], step.labels)
        for k, member in enumerate(members):
            drawn = [draw[s] for draw in member.draw_rows] if s else []
            own = np.concatenate([member.order[offsets[s] : offsets[s + 1]], *drawn])
            np.testing.assert_array_equal(table[k], own)
    stored = steps[1].stored
    assert stored[1] is None
    assert stored[0] is not None
    np.testing.assert_array_equal(
        stored[0].view(2, 3), np.stack([m.draw_slots[0][1] + 5 * k for k, m in enumerate(members)])
    )


def test_one_run_has_no_leading_dimension() -> None:
    step = _steps([_member(np.arange(10))], step_offsets(10, 4, 1), stacked=False)[1]
    assert step.labels.shape == (9,)
    assert step.rows.shape == (9,)


def test_steps_from_the_middle_are_the_same_steps() -> None:
    offsets = step_offsets(22, 4, 2)
    plan = TaskPlan([_member(np.arange(22), epochs=2)], offsets, LABELS, (Draw(3, stored_logits=True), Draw(2)),
                    stacked=False, memory_size=5)  # fmt: skip
    whole = plan.steps()
    for start in (0, 1, 5, 6, 11):
        rest = plan.steps(start)
        assert len(rest) == len(whole) - start
        for mine, other in zip(rest, whole[start:], strict=True):
            assert mine.sizes == other.sizes
            assert torch.equal(mine.rows, other.rows)


def test_of_two_rows_of_a_batch_for_one_slot_the_last_is_written() -> None:
    """Slots 2 0 2 -1 | 1 1 1: rows 1 and 2 of the first batch enter, row 2 of the second; members share no slot."""
    members = []
    for slots in ([2, 0, 2, -1, 1, 1, 1], [0, -1, -1, -1, -1, -1, -1]):
        member = _member(np.arange(7), size=3)
        members.append(MemberPlan(**{**member.__dict__, "slots": np.array(slots)}))
    first, second = _steps(members, step_offsets(7, 4, 1), size=3)
    assert first.written is not None
    assert second.written is not None
    assert sorted(zip(*(part.tolist() for part in first.written), strict=True)) == [(0, 1), (2, 2), (3, 4)]
    assert sorted(zip(*(part.tolist() for part in second.written), strict=True)) == [(1, 2)]


def test_a_step_that_writes_nothing_says_so() -> None:
    member = _member(np.arange(8), size=3)
    silent = MemberPlan(**{**member.__dict__, "slots": np.array([0, -1, -1, -1, -1, -1, -1, -1])})
    first, second = _steps([silent], step_offsets(8, 4, 1), size=3)
    assert first.written is not None
    assert second.written is None


def test_logits_are_written_where_the_memory_says_the_row_is() -> None:
    offsets = step_offsets(30, 7, 1)
    members = [_member(np.arange(30), batch_size=7, seed=seed) for seed in range(3)]
    written = torch.full((15,), -1)
    for s, step in enumerate(_steps(members, offsets)):
        if step.written is not None:
            slots, sources = step.written
            assert len(set(slots.tolist())) == len(slots)
            stream = step.rows.view(3, -1)[:, : step.sizes[0]].reshape(-1)
            written[slots] = stream[sources]
        assert step.sizes[0] == offsets[s + 1] - offsets[s]
    rows = np.concatenate([member.memory.rows for member in members if member.memory is not None])
    assert written.tolist() == rows.tolist()


def test_recent_classes_by_hand() -> None:
    """Labels 0 1 | 2 2 | 3, two seen before; a window of 3 rows, the step's own included."""
    labels = np.array([0, 1, 2, 2, 3])
    member = plan_member(
        rows=np.arange(5), labels=labels, offsets=step_offsets(5, 2, 1), epochs=1, task=1, seed=0, memory=None,
        memory_config=None, draws=(), replay_from_task=0, mask=Mask(leak=0.1, policy="recent", recent_rows=3),
        last_seen=np.array([-1, 7, 8, 9]), position=10,
    )  # fmt: skip
    seen = [3, *labels[member.order].tolist()]  # position 9, then 10 to 14
    expected = [[c in seen[max(0, end - 2) : end + 1] for c in range(4)] for end in (2, 4, 5)]
    assert member.active is not None
    assert member.active.tolist() == expected


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 50),
    rows=st.integers(1, 25),
    batch_size=st.integers(1, 7),
    window=st.integers(1, 30),
    epochs=st.integers(1, 2),
)
def test_recent_and_batch_classes_are_those_of_the_last_rows_over_tasks(
    seed: int, rows: int, batch_size: int, window: int, epochs: int
) -> None:
    stream: list[int] = []
    last_seen = np.full(NUM_CLASSES, -1)
    for task in range(2):
        table = np.random.default_rng((seed, task)).permutation(100)[:rows]
        offsets = step_offsets(rows, batch_size, epochs)
        common: dict[str, Any] = {"task": task, "seed": seed, "epochs": epochs, "batch_size": batch_size,
                                  "last_seen": last_seen, "position": len(stream)}  # fmt: skip
        recent = _member(table, mask=Mask(leak=0.1, policy="recent", recent_rows=window), **common)
        batch = _member(table, mask=Mask(leak=0.1, policy="batch"), **common)
        assert recent.active is not None
        assert batch.active is not None
        own = LABELS[recent.order].tolist()
        for s in range(len(offsets) - 1):
            so_far = stream + own[: offsets[s + 1]]
            assert set(np.flatnonzero(recent.active[s])) == set(so_far[-window:])
            assert set(np.flatnonzero(batch.active[s])) == set(own[offsets[s] : offsets[s + 1]])
        stream += own
        for c in range(NUM_CLASSES):
            last_seen[c] = max((i for i, label in enumerate(stream) if label == c), default=-1)
