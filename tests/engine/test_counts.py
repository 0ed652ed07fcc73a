"""What each step of a plan can draw on, by hand and against a loop that keeps the sets of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engine.plans import LABELS, NUM_CLASSES, member, scenario_of
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcl.engine.counts import prior_of, recent_counts, slot_counts, task_counts, with_repeats
from maskcl.engine.plan import MemberPlan
from maskcl.mask import Mask
from maskcl.memory import MemoryState
from maskcl.methods import Draw

AUTO = Mask(leak="auto")


def rows_of(plan: MemberPlan, power: float = 1.0) -> np.ndarray:
    """Counts up to a factor, from what a plan adds to logits."""
    assert plan.prior is not None
    return np.exp(np.asarray(plan.prior) / power)


def test_slots_count_until_the_step_after_they_are_overwritten() -> None:
    """Slots hold 0 0 1 -; rows of classes 2 2 | 0 2 | 1 enter slots 0 - | 0 3 | 2."""
    found = slot_counts(
        np.array([0, 0, 1, -1]), np.array([0, -1, 0, 3, 2]), np.array([2, 2, 0, 2, 1]), np.array([0, 2, 4, 5]), 3
    )
    assert found.tolist() == [[2, 1, 0], [1, 1, 1], [2, 1, 1]]


def test_rows_of_a_task_count_once_and_old_ones_as_long_as_they_are_there() -> None:
    """Rows 10 to 13 of classes 0 0 1 0; two epochs of two steps; slots hold rows 1 (class 2), 2 (class 2), 10."""
    labels = np.array([9, 2, 2, 9, 9, 9, 9, 9, 9, 9, 0, 0, 1, 0])
    memory = MemoryState(np.array([1, 2, 10]), np.array([2, 2, 0]), 3, np.zeros(3, np.int64))
    slots = np.array([-1, 1, -1, -1, -1, 2, 0, -1])
    found = task_counts(np.arange(10, 14), labels, memory, slots, np.array([0, 2, 4, 6, 8]), 3)
    assert found.tolist() == [[3, 1, 2], [3, 1, 1], [3, 1, 1], [3, 1, 1]]
    assert task_counts(np.arange(10, 14), labels, None, slots, np.array([0, 4, 8]), 3).tolist() == [[3, 1, 0]] * 2


def test_the_last_rows_by_hand() -> None:
    """Before: classes 0 1; then 2 2 | 1 | 0, the last three rows at each step."""
    found = recent_counts(np.array([0, 1]), np.array([2, 2, 1, 0]), np.array([0, 2, 3, 4]), 3, 3)
    assert found.tolist() == [[0, 1, 2], [0, 1, 2], [1, 1, 1]]


def test_a_class_without_rows_counts_one() -> None:
    found = np.exp(prior_of(np.array([[8, 0, 0.25], [8, 2, 0]]), 1.0))
    np.testing.assert_allclose(found, [[1, 1 / 8, 1 / 8], [1, 1 / 4, 1 / 8]])


def test_repeats_count_nothing_a_share_or_all() -> None:
    """Four rows once, one row four times: 1 + 1/2 + 1/3 + 1/4 of a row."""
    counts, times = np.array([[4, 1, 0]]), np.array([4.0, 4.0, 0.0])
    assert with_repeats(counts, times, "visits")[0].tolist() == pytest.approx([4.0, 25 / 12, 0.0])
    assert with_repeats(counts, times, "steps").tolist() == [[4.0, 4.0, 0.0]]


def test_a_plan_adds_the_logarithms_of_its_counts() -> None:
    """Labels 0 1 2 3 0 1 ...; task 1 has the classes 1 and 3: 25 rows each beside 4 slots, none of them overwritten."""
    memory = MemoryState(np.array([0, 2, 4, 6, -1]), np.array([0, 2, 0, 2, -1]), 500, np.full(NUM_CLASSES, 200))
    rows = np.flatnonzero(LABELS % 2)
    plan = member(rows, task=1, memory=memory, policy="herding", mask=AUTO, last_seen=np.array([8, -1, 9, -1]))
    assert plan.prior is not None
    half = [(2 / 25) ** 0.5, 1.0, (2 / 25) ** 0.5, 1.0]  # stored logits are drawn: the root
    np.testing.assert_allclose(np.exp(plan.prior), [half] * plan.num_steps)
    labels_alone = member(rows, task=1, memory=memory, policy="herding", mask=AUTO, draws=(Draw(2),))
    np.testing.assert_allclose(rows_of(labels_alone), [[2 / 25, 1, 2 / 25, 1]] * plan.num_steps)


def test_what_no_step_draws_is_not_counted() -> None:
    memory = MemoryState(np.array([0, 2, 4, 6, -1]), np.array([0, 2, 0, 2, -1]), 500, np.full(NUM_CLASSES, 200))
    rows = np.flatnonzero(LABELS % 2)
    for draws, first in (((), 0), ((Draw(2),), 2)):
        plan = member(rows, task=1, memory=memory, mask=AUTO, draws=draws, replay_from_task=first)
        np.testing.assert_allclose(rows_of(plan), [[1 / 25, 1, 1 / 25, 1]] * plan.num_steps)


def test_classes_that_never_came_count_one_row_in_the_first_task() -> None:
    plan = member(np.flatnonzero(LABELS % 2 == 0), mask=AUTO, draws=(Draw(2),))
    np.testing.assert_allclose(rows_of(plan), [[1, 1 / 25, 1, 1 / 25]] * plan.num_steps)


def test_steps_and_visits_count_what_is_drawn() -> None:
    memory = MemoryState(np.array([0, 2, 4, 6, -1]), np.array([0, 2, 0, 2, -1]), 500, np.full(NUM_CLASSES, 200))
    rows = np.flatnonzero(LABELS % 2)
    common: dict[str, Any] = {"task": 1, "memory": memory, "policy": "herding", "epochs": 2,
                              "draws": (Draw(3, stored_logits=True), Draw(4, candidates=8))}  # fmt: skip
    plan = member(rows, mask=Mask(leak="auto", count="steps", power=1.0), **common)
    drawn = np.bincount(LABELS[plan.draw_rows[1]].ravel(), minlength=NUM_CLASSES) / 2  # 4 of 8 are replayed
    seen = np.bincount(LABELS[plan.order], minlength=NUM_CLASSES)
    np.testing.assert_allclose(rows_of(plan), [(drawn + seen) / (drawn + seen).max()] * plan.num_steps)
    plan = member(rows, mask=Mask(leak="auto", count="visits", power=1.0), **common)
    distinct = np.array([2, 25, 2, 25])
    visits = (drawn + seen) / distinct
    harmonic = [sum(1 / k for k in range(1, int(r) + 1)) for r in visits]
    ratio = rows_of(plan)[0] / (distinct * harmonic / (25 * harmonic[1]))
    assert (visits >= 1).all()
    whole = visits == visits.astype(int)
    np.testing.assert_allclose(ratio[whole], 1)
    assert (np.abs(ratio - 1) < 0.1).all()


def test_a_mask_that_does_not_go_by_counts_plans_none() -> None:
    assert member(np.arange(5), mask=Mask(leak=0.1)).prior is None
    assert member(np.arange(5)).prior is None
    assert member(np.arange(5), mask=AUTO).active is None


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 50),
    rows=st.integers(1, 25),
    batch_size=st.integers(1, 7),
    window=st.integers(7, 30),
    epochs=st.integers(1, 2),
    size=st.integers(1, 9),
    policy=st.sampled_from(["reservoir", "class_balanced", "greedy"]),
)
def test_counts_are_those_of_a_loop_over_sets_of_rows(
    seed: int, rows: int, batch_size: int, window: int, epochs: int, size: int, policy: str
) -> None:
    """Two tasks; some rows of the first come again in the second."""
    memory, stream = MemoryState.empty(size, NUM_CLASSES), list[int]()
    tasks = scenario_of(LABELS, [[0, 2], [1, 3]])
    for task in range(2):
        table = np.random.default_rng((seed, task)).permutation(100)[:rows]
        common: dict[str, Any] = {
            "task": task, "seed": seed, "epochs": epochs, "batch_size": batch_size, "memory": memory, "size": size,
            "policy": policy, "draws": (Draw(2),), "tasks": tasks,
        }  # fmt: skip
        plan = member(table, mask=AUTO, **common)
        recent = member(table, mask=Mask(leak="auto", policy="recent", recent_rows=window),
                        recent=LABELS[np.array(stream, int)][-window:], **common)  # fmt: skip
        for s in range(plan.num_steps):
            there = plan.memory_at(s, LABELS)
            assert there is not None
            kept = there.rows[there.rows >= 0].tolist()  # with two epochs a row may be in two slots
            older = [row for row in kept if row not in table]
            whole = _counts([*table, *older])
            np.testing.assert_allclose(rows_of(plan)[s], whole / whole.max())
            so_far = stream + recent.order[: recent.offsets[s + 1]].tolist()
            larger = np.maximum(_counts(so_far[-window:]), _counts(kept))
            np.testing.assert_allclose(rows_of(recent)[s], larger / larger.max())
        memory, stream = plan.memory or memory, stream + plan.order.tolist()


def _counts(rows: list[int]) -> np.ndarray:
    return np.bincount(LABELS[np.array(rows, int)], minlength=NUM_CLASSES).clip(min=1)
