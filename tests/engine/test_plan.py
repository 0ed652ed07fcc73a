from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engine.plans import LABELS, NUM_CLASSES, member, scenario_of
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.plain_memory import SlowMemory
from scipy import stats

from maskcl.augment import Augment
from maskcl.cfgm import Cfgm
from maskcl.engine.plan import MemberPlan, step_offsets
from maskcl.engine.synthesis import plan_old_labels
from maskcl.mask import Mask
from maskcl.methods import Draw


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
    plan = member(np.arange(rows), batch_size=batch_size, epochs=epochs)
    assert plan.offsets.tolist() == offsets
    assert plan.num_steps == len(offsets) - 1
    each = (len(offsets) - 1) // epochs
    assert plan.epochs.tolist() == [step // each for step in range(len(offsets) - 1)]


def test_every_epoch_shows_every_row_once_in_an_order_of_its_own() -> None:
    rows = np.arange(10, 31)
    order = member(rows, epochs=3).order.reshape(3, -1)
    assert [sorted(epoch.tolist()) for epoch in order] == [rows.tolist()] * 3
    assert len({tuple(epoch.tolist()) for epoch in order}) == 3


def test_a_plan_depends_on_seed_task_and_phase() -> None:
    rows = np.arange(20)
    first, again = member(rows), member(rows)
    np.testing.assert_array_equal(first.order, again.order)
    np.testing.assert_array_equal(first.draw_rows[0], again.draw_rows[0])
    for other in (member(rows, seed=1), member(rows, task=1)):
        assert not np.array_equal(first.order, other.order)
        assert not np.array_equal(first.slots[5:], other.slots[5:])
        assert not np.array_equal(first.draw_rows[0], other.draw_rows[0])
    later = member(rows, phase=1)
    assert not np.array_equal(first.order, later.order)
    assert not np.array_equal(first.draw_slots[0], later.draw_slots[0])


def test_the_two_draws_are_independent_and_do_not_depend_on_each_other_being_there() -> None:
    both = member(np.arange(20), draws=(Draw(3), Draw(3)))
    assert not np.array_equal(both.draw_rows[0], both.draw_rows[1])
    np.testing.assert_array_equal(both.draw_rows[0], member(np.arange(20), draws=(Draw(3),)).draw_rows[0])


def test_rows_are_drawn_before_the_steps_own_are_inserted() -> None:
    plan = member(np.arange(40), size=12)
    for step in range(1, 10):
        drawn = set(plan.draw_rows[0][step].tolist())
        assert drawn <= set(plan.order[: plan.offsets[step]].tolist())
    drawn = set(plan.draw_rows[0][1].tolist())
    assert len(drawn) == 3
    assert drawn <= set(plan.order[:4].tolist())


def test_the_first_step_of_the_first_task_replays_nothing() -> None:
    assert member(np.arange(20)).first_replay == 1
    second = member(np.arange(20), task=1, memory=member(np.arange(40, 60)).memory)
    assert second.first_replay == 0


def test_no_step_replays_before_its_first_task() -> None:
    assert member(np.arange(20), replay_from_task=1).first_replay == 5
    assert member(np.arange(20), replay_from_task=1, task=1, memory=member(np.arange(40, 60)).memory).first_replay == 0


def test_rows_that_are_in_the_memory_already_are_not_written_again() -> None:
    before = member(np.arange(40, 60)).memory
    plan = member(np.arange(20), memory=before, task=1, writes=False)
    assert plan.slots.tolist() == [-1] * 20
    assert plan.memory is before
    assert plan.first_replay == 0
    assert before is not None
    assert set(plan.draw_rows[0].ravel().tolist()) <= set(before.rows.tolist())


def replayed(plan: MemberPlan, step: int) -> SlowMemory:
    """The memory that a step finds, written one row at a time."""
    assert plan.before is not None
    slow = SlowMemory(plan.before.rows.tolist())
    passed = slice(0, int(plan.offsets[step]))
    for slot, row in zip(plan.slots[passed].tolist(), plan.order[passed].tolist(), strict=True):
        slow.write(slot, row)
    return slow


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 100),
    size=st.integers(1, 12),
    rows=st.integers(1, 30),
    epochs=st.integers(1, 2),
    policy=st.sampled_from(["reservoir", "ring", "class_balanced", "greedy"]),
)
def test_the_memory_at_a_step_is_the_one_that_has_been_written_by_then(
    seed: int, size: int, rows: int, epochs: int, policy: str
) -> None:
    size = max(size, NUM_CLASSES) if policy == "ring" else size
    before = member(np.arange(60, 75), size=size, seed=seed, policy=policy).memory
    plan = member(np.arange(rows), size=size, seed=seed, policy=policy, memory=before, task=1, epochs=epochs)
    for step in range(plan.num_steps + 1):
        found, slow = plan.memory_at(step, LABELS), replayed(plan, step)
        assert found is not None
        assert found.rows.tolist() == slow.rows
        assert found.labels.tolist() == [int(LABELS[row]) if row >= 0 else -1 for row in slow.rows]
        passed = np.concatenate([np.arange(60, 75), plan.order[: plan.offsets[step]]])
        assert found.num_seen == len(passed)
        assert found.class_counts.tolist() == np.bincount(LABELS[passed], minlength=NUM_CLASSES).tolist()
    assert plan.memory is plan.memory_at(plan.num_steps, LABELS)


def test_without_a_memory_there_is_none_at_any_step() -> None:
    plan = member(np.arange(20), size=None)
    assert [plan.memory_at(step, LABELS) for step in range(6)] == [None] * 6
    assert plan.first_replay == 5


OLD, NEW = np.flatnonzero(np.isin(LABELS, [0, 2])), np.flatnonzero(np.isin(LABELS, [1, 3]))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 500), size=st.integers(1, 12), epochs=st.integers(1, 3), old=st.integers(1, 12))
def test_draws_of_old_classes_are_rows_of_earlier_tasks_that_are_still_there(
    seed: int, size: int, epochs: int, old: int
) -> None:
    common: dict[str, Any] = {"size": size, "seed": seed, "draws": (Draw(3, classes="old"), Draw(2))}
    before = member(OLD[:old], **common).memory
    plan = member(NEW[:25], task=1, memory=before, epochs=epochs, **common)
    plain = member(NEW[:25], task=1, memory=before, epochs=epochs, **(common | {"draws": (Draw(3), Draw(2))}))
    np.testing.assert_array_equal(plan.draw_rows[1], plain.draw_rows[1])  # other draws do not notice
    for step in range(plan.num_steps):
        there = replayed(plan, step).rows
        left = [row for row in there if row >= 0 and LABELS[row] in (0, 2)]
        drawn = plan.draw_rows[0][step].tolist()
        assert [there[slot] for slot in plan.draw_slots[0][step]] == drawn
        if left:
            assert set(drawn) <= set(left)
            assert len(set(drawn)) == 3 or len(left) < 3
        else:  # a draw from all that is there
            assert drawn == plain.draw_rows[0][step].tolist()


def test_a_draw_of_old_classes_is_uniform_over_them() -> None:
    before = member(OLD[:6], size=40, draws=(Draw(2, classes="old"),)).memory
    counts = np.zeros(100, np.int64)
    for seed in range(60):
        plan = member(
            NEW[:30], size=40, task=1, memory=before, draws=(Draw(2, classes="old"),), seed=seed, batch_size=1
        )
        np.add.at(counts, plan.draw_rows[0].ravel(), 1)
    assert np.flatnonzero(counts).tolist() == OLD[:6].tolist()
    assert stats.chisquare(counts[OLD[:6]]).pvalue > 0.01


def test_in_the_first_task_there_are_no_old_classes_and_all_rows_are_drawn_from() -> None:
    old, plain = (member(OLD[:20], draws=(Draw(3, classes=classes),)) for classes in ("old", "all"))
    assert old.first_replay == plain.first_replay == 1
    np.testing.assert_array_equal(old.draw_rows[0], plain.draw_rows[0])


def test_candidates_are_what_is_drawn() -> None:
    assert [Draw(3).num_drawn, Draw(3, candidates=7).num_drawn] == [3, 7]
    plan = member(np.arange(40), size=12, draws=(Draw(3, candidates=7), Draw(2)))
    assert [rows.shape for rows in plan.draw_rows] == [(10, 7), (10, 2)]
    np.testing.assert_array_equal(plan.draw_rows[0], member(np.arange(40), size=12, draws=(Draw(7),)).draw_rows[0])


def test_views_are_planned_for_the_stream_and_each_draw() -> None:
    augment = Augment(crop=2, flip=True)
    plan = member(np.arange(10), augment=augment, epochs=2, views=2)
    assert [views.shape for views in plan.views] == [(20, 2, 3), (6, 3, 2, 3), (6, 2, 2, 3)]
    for views in plan.views:
        assert set(views[..., :2].ravel().tolist()) <= set(range(5))
        assert set(views[..., 2].ravel().tolist()) == {0, 1}
    assert not np.array_equal(plan.views[0][:, 0], plan.views[0][:, 1])
    assert not np.array_equal(plan.views[0][:10], plan.views[0][10:])
    again = member(np.arange(10), augment=augment, epochs=2, views=2)
    for mine, other in zip(plan.views, again.views, strict=True):
        np.testing.assert_array_equal(mine, other)
    for changes in ({"seed": 1}, {"task": 1}, {"phase": 1}):
        other = member(np.arange(10), augment=augment, epochs=2, views=2, **changes)
        assert not np.array_equal(plan.views[0], other.views[0])
        assert not np.array_equal(plan.views[1], other.views[1])


def test_one_view_of_what_is_not_augmented_at_random_needs_no_numbers() -> None:
    assert member(np.arange(10)).views == ()
    assert member(np.arange(10), augment=Augment(normalise=((0.5,), (0.5,)))).views == ()
    plan = member(np.arange(10), augment=Augment(flip=True))
    assert [views.shape for views in plan.views] == [(10, 1, 3), (3, 3, 1, 3), (3, 2, 1, 3)]


def test_several_views_without_augmentation_are_the_same() -> None:
    plan = member(np.arange(10), views=3)
    assert [views.shape for views in plan.views] == [(10, 3, 3), (3, 3, 3, 3), (3, 2, 3, 3)]
    assert not any(views.any() for views in plan.views)


def test_augmenting_changes_no_other_random_number() -> None:
    plain, augmented = (member(np.arange(30), augment=augment) for augment in (None, Augment(crop=1, flip=True)))
    for name in ("order", "slots"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(augmented, name))
    for mine, other in zip(plain.draw_rows, augmented.draw_rows, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_old_classes_of_samples_are_those_of_the_members_own_earlier_tasks() -> None:
    cfgm = Cfgm(step=1.0, per_row=2)
    plan = member(NEW[:10], task=1, makes=True, cfgm=cfgm, seed=3)
    expected = plan_old_labels([0, 2], [8, 8, 4], draw=cfgm.draw, seed=3, task=1)
    assert plan.made is not None
    assert plan.made.tolist() == expected.tolist()
    other = scenario_of(LABELS, [[3], [1, 2, 0]])
    swapped = member(NEW[:10], task=1, makes=True, cfgm=cfgm, seed=3, tasks=other)
    assert swapped.made is not None
    assert set(swapped.made.tolist()) == {3}
    assert member(NEW[:10], task=1, cfgm=cfgm).made is None


def test_varied_starts_have_numbers_of_their_own_and_change_no_other() -> None:
    plain, varied = (
        member(NEW[:10], task=1, makes=True, cfgm=Cfgm(step=1.0, per_row=2, crop=crop, flip=crop > 0), seed=3)
        for crop in (0, 1)
    )
    assert plain.made_views is None
    assert varied.made_views is not None
    assert varied.made_views.shape == (20, 3)
    assert [sorted(set(column.tolist())) for column in varied.made_views.T] == [[0, 1, 2], [0, 1, 2], [0, 1]]
    for name in ("order", "slots", "made"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(varied, name))


def test_rates_are_kept_as_they_are() -> None:
    rates = np.linspace(1.0, 0.0, 3)
    assert member(np.arange(10), rates=rates).rates is rates
    assert member(np.arange(10)).rates is None


def test_recent_classes_by_hand() -> None:
    """Labels 0 1 | 2 2 | 3, two seen before; a window of 3 rows, the step's own included."""
    labels = np.array([0, 1, 2, 2, 3])
    plan = member(
        np.arange(5), batch_size=2, size=None, draws=(), task=1, tasks=scenario_of(labels, [[0, 2], [1, 3]]),
        mask=Mask(leak=0.1, policy="recent", recent_rows=3), last_seen=np.array([-1, 7, 8, 9]), position=10,
    )  # fmt: skip
    seen = [3, *labels[plan.order].tolist()]  # position 9, then 10 to 14
    expected = [[c in seen[max(0, end - 2) : end + 1] for c in range(4)] for end in (2, 4, 5)]
    assert plan.active is not None
    assert plan.active.tolist() == expected


def test_a_mask_by_task_plans_no_classes() -> None:
    assert member(np.arange(5), mask=Mask(leak=0.1)).active is None
    assert member(np.arange(5)).active is None


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
        recent = member(table, mask=Mask(leak=0.1, policy="recent", recent_rows=window), **common)
        batch = member(table, mask=Mask(leak=0.1, policy="batch"), **common)
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
