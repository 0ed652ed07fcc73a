from __future__ import annotations

import numpy as np
import pytest
from reference.uniformity import uniform_pvalue
from scipy import stats

from maskcl.errors import ConfigError
from maskcl.memory import (
    POLICIES,
    MemoryConfig,
    MemoryPolicy,
    MemoryState,
    draw_slots,
    herding_order,
    keep_order,
    plan_writes,
    register,
)
from maskcl.rng import generator


def _stream(policy: str, size: int, parts: list[np.ndarray], num_classes: int, *, seed: int = 0) -> MemoryState:
    """Offer parts of a stream, one plan each; rows are numbered from 0 on."""
    state = MemoryState.empty(size, num_classes)
    for task, labels in enumerate(parts):
        slots = plan_writes(policy, state, labels, generator(seed, "memory", task))
        state = state.after(slots, state.num_seen + np.arange(len(labels)), labels)
    return state


def _mixed(counts: list[int], seed: int = 0) -> np.ndarray:
    return generator(seed, "test/labels").permutation(np.repeat(np.arange(len(counts)), counts))


@pytest.mark.parametrize("parts", [[40], [3, 1, 20, 16]], ids=["in one plan", "in four"])
def test_a_reservoir_is_exactly_uniform_over_the_stream(parts: list[int]) -> None:
    counts, trials = np.zeros(40, np.int64), 3000
    labels = [np.zeros(n, np.int64) for n in parts]
    for seed in range(trials):
        counts[_stream("reservoir", 8, labels, 1, seed=seed).rows] += 1
    assert uniform_pvalue(counts, chosen=8, trials=trials) > 0.01


def test_a_reservoir_keeps_everything_until_it_is_full() -> None:
    state = _stream("reservoir", 8, [np.zeros(3, np.int64), np.zeros(4, np.int64)], 1)
    assert state.rows.tolist() == [0, 1, 2, 3, 4, 5, 6, -1]


def test_a_reservoir_does_not_look_at_labels() -> None:
    ones, mixed = ([labels] for labels in (np.ones(50, np.int64), np.arange(50) % 3))
    np.testing.assert_array_equal(
        _stream("reservoir", 8, ones, 3, seed=5).rows, _stream("reservoir", 8, mixed, 3, seed=5).rows
    )


@pytest.mark.parametrize("cuts", [[], [1, 4, 9]], ids=["in one plan", "in four"])
def test_a_ring_keeps_the_last_rows_of_each_class_in_slots_of_its_own(cuts: list[int]) -> None:
    labels = np.array([0, 1, 0, 0, 2, 0, 1, 0, 2, 2, 2, 0])
    state = _stream("ring", 7, np.split(labels, cuts), 3)
    # class 0 came as rows 0 2 3 5 7 11, class 1 as 1 6, class 2 as 4 8 9 10; two slots each, one left over
    assert state.rows.tolist() == [7, 11, 1, 6, 9, 10, -1]
    assert state.labels.tolist() == [0, 0, 1, 1, 2, 2, -1]


def test_a_ring_goes_on_where_the_last_task_left_it() -> None:
    state = _stream("ring", 6, [np.array([0, 1, 0]), np.array([0, 0, 1, 1, 0, 1, 0])], 2)
    # class 0 came as rows 0 2 3 4 7 9, class 1 as 1 5 6 8; three slots each
    assert state.rows.tolist() == [4, 7, 9, 8, 5, 6]


def test_a_ring_fills_its_slots_in_the_order_of_rows_also_where_there_are_many() -> None:
    labels = np.arange(120) % 4
    assert _stream("ring", 120, [labels], 4).rows.tolist() == [c + 4 * n for c in range(4) for n in range(30)]


@pytest.mark.parametrize("policy", ["reservoir", "ring", "class_balanced", "greedy"])
def test_the_first_rows_take_the_first_slots_and_what_is_dropped_goes_to_minus_1(policy: str) -> None:
    labels = np.zeros(40, np.int64)
    slots = plan_writes(policy, MemoryState.empty(4, 1), labels, generator(0, "memory"))
    assert slots[:4].tolist() == [0, 1, 2, 3]
    assert slots.min() == (0 if policy == "ring" else -1)


@pytest.mark.parametrize("policy", ["class_balanced", "greedy"])
def test_of_two_largest_classes_each_is_as_likely_to_make_room(policy: str) -> None:
    labels = np.array([0, 1] * 4 + [2])
    lost: list[int] = []
    for seed in range(400):
        kept = np.bincount(_stream(policy, 8, [labels], 3, seed=seed).labels, minlength=3)
        lost.append(int(kept[:2].argmin()))
    assert stats.binomtest(sum(lost), len(lost)).pvalue > 0.01


def test_slots_that_are_kept_longest_come_first_and_equal_ones_as_they_were_asked_for() -> None:
    wanted = np.arange(40)
    state = MemoryState(np.arange(40), np.zeros(40, np.int64), 40, np.array([40]))
    order, until = keep_order(state, np.array([7, -1, 3, 7]), wanted)
    assert order.tolist() == [*(slot for slot in range(40) if slot not in (3, 7)), 3, 7]
    assert until.tolist() == [5] * 38 + [3, 1]


def test_a_policy_of_ones_own_is_used_by_its_key_and_may_be_defined_again() -> None:
    def define() -> type[MemoryPolicy]:
        @register("test-first")
        class First(MemoryPolicy):
            def writes(self, state: MemoryState, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
                return np.zeros(len(labels), np.int64)

        return First

    try:
        assert isinstance(POLICIES["test-first"] if define() else None, MemoryPolicy)
        again = define()
        assert type(POLICIES["test-first"]) is again
        assert _stream("test-first", 3, [np.zeros(5, np.int64)], 1).rows.tolist() == [4, -1, -1]
        with pytest.raises(ConfigError, match="memory policy key: must be new"):
            register("test-first")(type("Other", (MemoryPolicy,), {"writes": lambda *_: None}))
    finally:
        POLICIES.remove("test-first")


def test_class_balanced_shares_are_equal_however_unequal_the_classes() -> None:
    for seed in range(20):
        labels = _mixed([300, 40, 12, 90], seed)
        assert np.bincount(_stream("class_balanced", 20, [labels], 4, seed=seed).labels).tolist() == [5, 5, 5, 5]
        in_order = [np.sort(labels)[:320], np.sort(labels)[320:]]
        assert np.bincount(_stream("class_balanced", 20, in_order, 4, seed=seed).labels).tolist() == [5, 5, 5, 5]


def test_class_balanced_keeps_all_rows_of_a_class_below_its_share() -> None:
    state = _stream("class_balanced", 20, [_mixed([300, 2, 50])], 3)
    assert np.bincount(state.labels).tolist() == [9, 2, 9]


@pytest.mark.parametrize("counts", [[30, 30], [50, 14]], ids=str)
def test_class_balanced_is_uniform_within_each_class(counts: list[int]) -> None:
    trials, labels = 3000, _mixed(counts)
    kept = np.zeros(len(labels), np.int64)
    for seed in range(trials):
        kept[_stream("class_balanced", 8, np.split(labels, [20]), 2, seed=seed).rows] += 1
    for c in range(2):
        assert uniform_pvalue(kept[labels == c], chosen=4, trials=trials) > 0.01


def test_class_balanced_stays_uniform_where_a_late_class_took_slots_from_the_others() -> None:
    """A class that lost rows goes on as a reservoir, even while it is smaller than the largest."""
    trials, kept = 3000, np.zeros(66, np.int64)
    early, late = _mixed([13, 13]), _mixed([12, 12, 16], 1)
    labels = np.concatenate([early, late])
    for seed in range(trials):
        kept[_stream("class_balanced", 9, [early, late], 3, seed=seed).rows] += 1
    for c in range(3):
        assert uniform_pvalue(kept[labels == c], chosen=3, trials=trials) > 0.01


def test_class_balanced_uses_every_slot_before_it_drops_a_row() -> None:
    state = _stream("class_balanced", 10, [np.array([0] * 6 + [1] * 3)], 2)
    assert state.rows.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, -1]


def test_class_balanced_with_fewer_slots_than_classes_stays_full_of_distinct_classes() -> None:
    state = _stream("class_balanced", 3, [np.repeat(np.arange(6), 10)], 6)
    assert len(set(state.labels.tolist())) == 3


@pytest.mark.parametrize("policy", ["reservoir", "class_balanced", "ring"])
def test_rows_in_the_memory_are_distinct_and_carry_their_own_label(policy: str) -> None:
    labels = _mixed([40, 30, 20])
    state = _stream(policy, 12, np.split(labels, [17, 50]), 3)
    assert len(set(state.rows.tolist())) == 12
    np.testing.assert_array_equal(labels[state.rows], state.labels)
    assert (state.num_seen, state.class_counts.tolist()) == (90, [40, 30, 20])


def test_herding_takes_nothing_during_a_task_and_no_slots_take_nothing_ever() -> None:
    labels = np.zeros(5, np.int64)
    assert (plan_writes("herding", MemoryState.empty(3, 1), labels, generator(0, "memory")) == -1).all()
    for policy in ("reservoir", "ring", "class_balanced"):
        assert (plan_writes(policy, MemoryState.empty(0, 1), labels, generator(0, "memory")) == -1).all()


def test_a_ring_without_a_slot_for_each_class_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"memory\.size: must be 3 or more with policy 'ring'.*, got 2"):
        plan_writes("ring", MemoryState.empty(2, 3), np.zeros(4, np.int64), generator(0, "memory"))


def test_draws_are_distinct_and_every_subset_is_equally_likely() -> None:
    drawn = np.sort(draw_slots(np.full(20_000, 5), 3, generator(0, "draws")), 1)
    subsets, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(subsets) == 10
    assert (np.diff(subsets, axis=1) > 0).all()
    assert stats.chisquare(counts).pvalue > 0.01


def test_draws_below_the_replay_batch_are_uniform_with_replacement() -> None:
    drawn = draw_slots(np.full(5000, 4), 6, generator(1, "draws"))
    counts = np.bincount(drawn.ravel())
    assert len(counts) == 4
    assert stats.chisquare(counts).pvalue > 0.01
    assert any(len(set(row)) < 4 for row in drawn.tolist())


def test_each_step_draws_from_as_many_as_it_has() -> None:
    filled = np.array([1, 2, 3, 3, 7, 50, 4])
    drawn = draw_slots(filled, 3, generator(0, "draws"))
    assert (drawn < filled[:, None]).all()
    for slots in drawn[filled >= 3].tolist():
        assert len(set(slots)) == 3
    assert drawn[2].max() == 2  # all three of three


def test_herding_order_of_the_checked_vector() -> None:
    # mean 3: 4 is nearest; then (4 + 0) / 2 = 2 beats (4 + 5) / 2 = 4.5
    assert herding_order(np.array([[0.0], [4.0], [5.0]]), 3).tolist() == [1, 0, 2]


def test_a_prefix_of_herdings_order_is_the_choice_for_fewer_rows() -> None:
    features = np.random.default_rng(0).normal(size=(30, 4))
    assert herding_order(features, 9).tolist() == herding_order(features, 30)[:9].tolist()
    assert sorted(herding_order(features, 99).tolist()) == list(range(30))
    assert herding_order(features, 0).dtype == np.int64


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"size": -1}, "memory.size: must be 0 or more slots, got -1"),
        ({"size": 1.5}, "memory.size: must be 0 or more slots, got 1.5"),
        ({"size": True}, "memory.size: must be 0 or more slots, got True"),
        ({"policy": "rings"}, "memory.policy: must be one of .* Did you mean 'ring'"),
    ],
)
def test_bad_settings_are_refused_by_name(settings: dict, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        MemoryConfig(**settings)
