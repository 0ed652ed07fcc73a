"""The members' plans side by side: who steps together, and what each step shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from engine.plans import LABELS, member
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcl.augment import Augment
from maskcl.cfgm import Cfgm
from maskcl.engine.plan import MemberPlan
from maskcl.engine.steps import Chunk, StepPlan, TaskPlan
from maskcl.mask import Mask
from maskcl.methods import Draw, Needs

NEEDS = Needs(draws=(Draw(3, stored_logits=True), Draw(2)))


def task_plan(members: Sequence[MemberPlan], *, stacked: bool = True, size: int = 5, needs: Needs = NEEDS) -> TaskPlan:
    return TaskPlan(members, LABELS, needs, stacked=stacked, memory_size=size)


def all_steps(members: Sequence[MemberPlan], **options: Any) -> list[StepPlan]:
    """The steps of members that have the same number of rows, and so take part in each of them."""
    chunks = list(task_plan(members, **options).chunks())
    assert all(chunk.members is None for chunk in chunks)
    return [step for chunk in chunks for step in chunk.steps]


def test_steps_show_stream_rows_then_each_draw() -> None:
    members = [member(np.arange(10), seed=seed) for seed in range(2)]
    offsets = members[0].offsets
    steps = all_steps(members)
    assert [step.sizes for step in steps] == [(4,), (4, 3, 2), (2, 3, 2)]
    for s, step in enumerate(steps):
        table = step.rows.view(2, -1).numpy()
        np.testing.assert_array_equal(LABELS[table], step.labels)
        for k, plan in enumerate(members):
            drawn = [draw[s] for draw in plan.draw_rows] if s else []
            own = np.concatenate([plan.order[offsets[s] : offsets[s + 1]], *drawn])
            np.testing.assert_array_equal(table[k], own)
    stored = steps[1].stored
    assert stored[1] is None
    assert stored[0] is not None
    np.testing.assert_array_equal(
        stored[0].view(2, 3), np.stack([m.draw_slots[0][1] + 5 * k for k, m in enumerate(members)])
    )


def test_one_run_has_no_leading_dimension() -> None:
    step = all_steps([member(np.arange(10))], stacked=False)[1]
    assert step.labels.shape == (9,)
    assert step.rows.shape == (9,)


def test_steps_from_the_middle_are_the_same_steps() -> None:
    plan = task_plan([member(np.arange(22), epochs=2)], stacked=False)
    chunks = list(plan.chunks())
    assert [(chunk.starts, len(chunk.steps)) for chunk in chunks] == [([0], 1), ([1], 4), ([5], 1), ([6], 5), ([11], 1)]
    for chunk in chunks:
        (start,), count = chunk.starts, len(chunk.steps)
        for skipped in range(count):
            rest = plan.steps([0], [start + skipped], count - skipped)
            assert len(rest) == count - skipped
            for mine, other in zip(rest, chunk.steps[skipped:], strict=True):
                assert mine.sizes == other.sizes
                assert torch.equal(mine.rows, other.rows)


def test_of_two_rows_of_a_batch_for_one_slot_the_last_is_written() -> None:
    """Slots 2 0 2 -1 | 1 1 1: rows 1 and 2 of the first batch enter, row 2 of the second; members share no slot."""
    members = [
        replace(member(np.arange(7), size=3), slots=np.array(slots))
        for slots in ([2, 0, 2, -1, 1, 1, 1], [0, -1, -1, -1, -1, -1, -1])
    ]
    first, second = all_steps(members, size=3)
    assert first.written is not None
    assert second.written is not None
    assert sorted(zip(*(part.tolist() for part in first.written), strict=True)) == [(0, 1), (2, 2), (3, 4)]
    assert sorted(zip(*(part.tolist() for part in second.written), strict=True)) == [(1, 2)]


def test_a_step_that_writes_nothing_says_so() -> None:
    silent = replace(member(np.arange(8), size=3), slots=np.array([0, -1, -1, -1, -1, -1, -1, -1]))
    first, second = all_steps([silent], size=3)
    assert first.written is not None
    assert second.written is None


def test_a_method_that_stores_no_logits_writes_none() -> None:
    plain = Needs(draws=(Draw(3), Draw(2)))
    assert all(step.written is None for step in all_steps([member(np.arange(8))], needs=plain))


@pytest.mark.parametrize("numbers", [[30, 30, 30], [30, 17, 22], [3, 30, 7]], ids=str)
def test_logits_are_written_where_the_memory_says_the_row_is(numbers: list[int]) -> None:
    members = [member(np.arange(count), batch_size=7, seed=seed) for seed, count in enumerate(numbers)]
    written = torch.full((3, 5), -1)
    for chunk in task_plan(members).chunks():
        took_part = range(3) if chunk.members is None else chunk.members
        into = written[list(took_part)].view(-1)
        for i, step in enumerate(chunk.steps):
            if step.written is not None:
                slots, sources = step.written
                assert len(set(slots.tolist())) == len(slots)
                stream = step.rows.view(len(took_part), -1)[:, : step.sizes[0]].reshape(-1)
                into[slots] = stream[sources]
            for k, start in zip(took_part, chunk.starts, strict=True):
                assert step.sizes[0] == members[k].offsets[start + i + 1] - members[k].offsets[start + i]
        written[list(took_part)] = into.view(-1, 5)
    for k, plan in enumerate(members):
        assert plan.memory is not None
        assert written[k].tolist() == plan.memory.rows.tolist()


def steps_of(chunks: Sequence[Chunk], num_members: int) -> list[list[int]]:
    """The steps that each member makes, in the order in which it makes them."""
    made: list[list[int]] = [[] for _ in range(num_members)]
    for chunk in chunks:
        took_part = range(num_members) if chunk.members is None else chunk.members
        for k, start in zip(took_part, chunk.starts, strict=True):
            made[k] += range(start, start + len(chunk.steps))
    return made


@settings(deadline=None, max_examples=100)
@given(
    numbers=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    batch_size=st.integers(1, 9),
    epochs=st.integers(1, 3),
    task=st.integers(0, 1),
)
def test_members_with_different_numbers_of_rows_make_all_their_steps_in_order(
    numbers: list[int], batch_size: int, epochs: int, task: int
) -> None:
    filled = member(np.arange(60, 75)).memory if task else None
    options: dict[str, Any] = {"batch_size": batch_size, "epochs": epochs, "task": task, "memory": filled}
    members = [member(np.arange(count), seed=seed, **options) for seed, count in enumerate(numbers)]
    chunks = list(task_plan(members).chunks())
    assert steps_of(chunks, len(members)) == [list(range(plan.num_steps)) for plan in members]
    epoch = 0
    for chunk in chunks:
        assert len(chunk.steps) > 0
        assert chunk.members is None or 0 < len(set(chunk.members)) == len(chunk.members) < len(members)
        took_part = range(len(members)) if chunk.members is None else chunk.members
        assert len(chunk.starts) == len(took_part)
        assert len({step.sizes for step in chunk.steps}) == 1
        for k, start in zip(took_part, chunk.starts, strict=True):
            own = set(members[k].epochs[start : start + len(chunk.steps)].tolist())
            assert own == {max(own)}
            assert max(own) >= epoch
            epoch = max(own)
        for i, step in enumerate(chunk.steps):
            table = step.rows.view(len(took_part), -1).numpy()
            assert step.labels.shape == table.shape
            for row, k, start in zip(table, took_part, chunk.starts, strict=True):
                s, plan = start + i, members[k]
                drawn = [draw[s] for draw in plan.draw_rows] if s >= plan.first_replay else []
                own_rows = np.concatenate([plan.order[plan.offsets[s] : plan.offsets[s + 1]], *drawn])
                assert row.tolist() == own_rows.tolist()


def test_members_that_have_rows_left_go_on_and_the_others_wait() -> None:
    """12, 6 and 8 rows in batches of 4, the memory in use: 3, 1 and 2 whole steps, and one of 2 rows."""
    filled = member(np.arange(60, 75)).memory
    members = [member(np.arange(count), task=1, memory=filled) for count in (12, 6, 8)]
    found = [(chunk.members, chunk.starts, [step.sizes[0] for step in chunk.steps])
             for chunk in task_plan(members).chunks()]  # fmt: skip
    assert found == [
        (None, [0, 0, 0], [4]),
        ([0, 2], [1, 1], [4]),
        ([0], [2], [4]),
        ([1], [1], [2]),
    ]


def test_active_classes_samples_views_and_rates_are_each_members_own() -> None:
    members = [
        member(
            np.arange(count), seed=seed, task=1, mask=Mask(leak=0.1, policy="batch"), makes=True, epochs=2, views=2,
            cfgm=Cfgm(step=1.0, per_row=3, crop=1), augment=Augment(crop=1, flip=True),
            memory=member(np.arange(60, 75)).memory,
            rates=np.linspace(1.0, 0.1 * (seed + 1), 2 * -(-count // 4)),
        )
        for seed, count in enumerate((10, 22, 10))
    ]  # fmt: skip
    chunks = list(task_plan(members).chunks())
    assert steps_of(chunks, 3) == [list(range(plan.num_steps)) for plan in members]
    for chunk in chunks:
        took_part = range(3) if chunk.members is None else chunk.members
        for i, step in enumerate(chunk.steps):
            assert step.active is not None
            assert step.made is not None
            assert step.views is not None
            size, total = step.sizes[0], sum(step.sizes)
            assert step.active.shape == (len(took_part), 1, 4)
            assert step.made.shape == (len(took_part), 3 * size)
            assert step.made_views is not None
            assert step.made_views.shape == (len(took_part) * 3 * size, 3)
            made_views = step.made_views.view(len(took_part), 3 * size, 3)
            assert step.views.shape == (len(took_part) * total, 2, 3)
            views = step.views.view(len(took_part), total, 2, 3)
            rates = step.rate if isinstance(step.rate, torch.Tensor) else torch.full((len(took_part),), step.rate)
            for j, (k, start) in enumerate(zip(took_part, chunk.starts, strict=True)):
                s, plan = start + i, members[k]
                span = slice(int(plan.offsets[s]), int(plan.offsets[s + 1]))
                assert plan.active is not None
                assert plan.made is not None
                assert plan.rates is not None
                assert step.active[j, 0].tolist() == plan.active[s].tolist()
                assert step.made[j].tolist() == plan.made[3 * span.start : 3 * span.stop].tolist()
                assert plan.made_views is not None
                assert made_views[j].tolist() == plan.made_views[3 * span.start : 3 * span.stop].tolist()
                own = np.concatenate([plan.views[0][span], plan.views[1][s], plan.views[2][s]])
                assert views[j].tolist() == own.tolist()
                assert rates[j].item() == pytest.approx(plan.rates[s], rel=1e-6)


def test_one_run_has_its_active_classes_samples_views_and_rate_without_a_member_dimension() -> None:
    plan = member(
        np.arange(10), task=1, mask=Mask(leak=0.1, policy="batch"), makes=True, cfgm=Cfgm(step=1.0),
        augment=Augment(flip=True), memory=member(np.arange(60, 75)).memory, rates=np.array([1.0, 0.5, 0.25]),
    )  # fmt: skip
    step = all_steps([plan], stacked=False)[1]
    assert step.active is not None
    assert step.made is not None
    assert step.views is not None
    assert (step.active.shape, step.made.shape, step.views.shape) == ((1, 4), (4,), (9, 1, 3))
    assert step.made_views is None
    assert step.rate == 0.5


def test_a_rate_that_all_members_have_is_a_number_and_others_are_a_tensor() -> None:
    rates = ([1.0, 0.5, 0.25], [1.0, 0.5, 0.125])
    members = [member(np.arange(12), seed=k, rates=np.array(own)) for k, own in enumerate(rates)]
    found = [step.rate for step in all_steps(members)]
    assert found[:2] == [1.0, 0.5]
    assert isinstance(found[2], torch.Tensor)
    assert found[2].tolist() == [0.25, 0.125]
    assert [step.rate for step in all_steps([member(np.arange(12))])] == [1.0] * 3


def test_candidates_are_shown_in_the_place_of_the_draw() -> None:
    needs = Needs(draws=(Draw(3, candidates=7, stored_logits=True), Draw(2)))
    steps = all_steps([member(np.arange(10), seed=k, draws=needs.draws) for k in range(2)], needs=needs)
    assert [step.sizes for step in steps] == [(4,), (4, 7, 2), (2, 7, 2)]
    assert steps[1].stored[0] is not None
    assert len(steps[1].stored[0]) == 2 * 7
