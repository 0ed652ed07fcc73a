"""Metrics against hand-made matrices (where other code bases go wrong), slow loops, and properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from maskcl import metrics
from maskcl.errors import ConfigError, ShapeError

NAN = math.nan
BY_HAND = np.array([[0.9, NAN, NAN], [0.5, 0.8, NAN], [0.6, 0.4, 0.7]])
MATRIX_METRICS = [
    metrics.final_accuracy,
    metrics.average_incremental_accuracy,
    metrics.forgetting,
    metrics.forgetting_with_last,
    metrics.backward_transfer,
    metrics.learning_accuracy,
    metrics.stability,
]


def loop(name, a, weights=None, baseline=None):
    """The same formulas, as plain loops over one matrix."""
    num_tasks = len(a)
    w = np.ones(num_tasks) if weights is None else weights

    def mean(pairs):
        pairs = list(pairs)
        total = sum(weight for weight, _ in pairs)
        return sum(weight * value for weight, value in pairs) / total if pairs and total > 0 else NAN

    def lost(last_row):
        return mean((w[u], max(a[t, u] for t in range(u, last_row)) - a[-1, u]) for u in range(num_tasks - 1))

    if name == "final_accuracy":
        return mean((w[u], a[-1, u]) for u in range(num_tasks))
    if name == "average_incremental_accuracy":
        return mean((1.0, mean((w[u], a[t, u]) for u in range(t + 1))) for t in range(num_tasks))
    if name == "forgetting":
        return lost(num_tasks - 1)
    if name == "forgetting_with_last":
        return lost(num_tasks)
    if name == "backward_transfer":
        return mean((w[u], a[-1, u] - a[u, u]) for u in range(num_tasks - 1))
    if name == "forward_transfer":
        return mean((w[u], a[u - 1, u] - baseline[u]) for u in range(1, num_tasks))
    if name == "learning_accuracy":
        return mean((w[u], a[u, u]) for u in range(num_tasks))
    learnt = loop("learning_accuracy", a, w)
    return NAN if num_tasks == 1 or learnt == 0 else min(max(1 - lost(num_tasks - 1) / learnt, 0.0), 1.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("final_accuracy", (0.6 + 0.4 + 0.7) / 3),
        ("average_incremental_accuracy", (0.9 + (0.5 + 0.8) / 2 + (0.6 + 0.4 + 0.7) / 3) / 3),
        ("forgetting", ((0.9 - 0.6) + (0.8 - 0.4)) / 2),
        ("backward_transfer", ((0.6 - 0.9) + (0.4 - 0.8)) / 2),
        ("learning_accuracy", (0.9 + 0.8 + 0.7) / 3),
        ("stability", 1 - 0.35 / 0.8),
    ],
)
def test_values_by_hand_with_nan_above_the_diagonal(name, expected):
    assert getattr(metrics, name)(BY_HAND) == pytest.approx(expected)


def test_forgetting_is_negative_where_old_tasks_improved_and_zero_with_the_last_row():
    improved = [[0.5, 0.0, 0.0], [0.6, 0.7, 0.0], [0.9, 0.8, 0.7]]
    assert metrics.forgetting(improved) == pytest.approx(-((0.9 - 0.6) + (0.8 - 0.7)) / 2)
    assert metrics.forgetting_with_last(improved) == 0.0
    assert metrics.stability(improved) == 1.0


def test_forgetting_takes_the_best_past_row_and_not_the_diagonal():
    peak_later = [[0.5, 0, 0], [0.9, 0.5, 0], [0.4, 0.5, 0.5]]
    assert metrics.forgetting(peak_later) == pytest.approx((0.9 - 0.4) / 2)
    assert metrics.backward_transfer(peak_later) == pytest.approx((0.4 - 0.5) / 2)


def test_forgetting_ignores_accuracies_on_tasks_not_learnt_yet():
    lucky_before = [[0.5, 0.99, 0.99], [0.5, 0.6, 0.99], [0.5, 0.6, 0.7]]
    assert metrics.forgetting(lucky_before) == 0.0
    assert metrics.forgetting_with_last(lucky_before) == 0.0


def test_forgetting_divides_by_the_number_of_old_tasks_not_of_all():
    assert metrics.forgetting([[1.0, 0.0], [0.0, 1.0]]) == 1.0


def test_forward_transfer_reads_the_row_before_and_the_baseline():
    a = [[0.9, 0.3, 0.2], [0.9, 0.9, 0.5], [0.9, 0.9, 0.9]]
    assert metrics.forward_transfer(a, [0.7, 0.1, 0.1]) == pytest.approx((0.2 + 0.4) / 2)


def test_stability_is_zero_when_more_is_lost_than_learnt_and_nan_when_nothing_was():
    assert metrics.stability([[0.0, 0, 0], [1.0, 0, 0], [0, 0, 0.1]]) == 0.0
    assert np.isnan(metrics.stability(np.zeros((3, 3))))


def test_one_task_has_accuracies_but_no_forgetting_and_no_transfer():
    one = [[0.8]]
    for name in ("final_accuracy", "average_incremental_accuracy", "learning_accuracy"):
        assert getattr(metrics, name)(one) == 0.8
    for name in ("forgetting", "forgetting_with_last", "backward_transfer", "stability", "confidence_collapse"):
        assert np.isnan(getattr(metrics, name)(one))
    assert np.isnan(metrics.forward_transfer(one, [0.1]))
    assert np.isnan(metrics.stability_gap(one, [[0.5]], [0]))
    assert np.isnan(metrics.worst_case_accuracy(one, [[0.5]], [0]))
    assert np.isnan(metrics.newest_task_bias([1.0]))


def test_weights_count_unequal_tasks_by_their_rows():
    a = np.array([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.2, 0.6, 0.9]])
    sizes = [100, 300, 600]
    assert metrics.final_accuracy(a, weights=sizes) == pytest.approx(0.02 + 0.18 + 0.54)
    assert metrics.forgetting(a, weights=sizes) == pytest.approx((100 * 0.8 + 300 * 0.4) / 400)
    assert metrics.backward_transfer(a, weights=sizes) == pytest.approx(-(100 * 0.8 + 300 * 0.4) / 400)
    assert metrics.average_incremental_accuracy(a, weights=sizes) == pytest.approx((1 + 350 / 400 + 0.74) / 3)


def test_a_run_trained_only_at_the_end_has_final_accuracy_alone():
    joint = np.full((3, 3), NAN)
    joint[-1] = [0.9, 0.8, 1.0]
    assert metrics.final_accuracy(joint) == pytest.approx(0.9)
    for metric in MATRIX_METRICS[1:]:
        assert np.isnan(metric(joint))


matrices = st.integers(1, 7).flatmap(lambda n: arrays(np.float64, (2, n, n), elements=st.floats(0, 1, width=16)))


@settings(deadline=None, max_examples=60)
@given(matrices, st.randoms(use_true_random=False), st.booleans())
def test_every_metric_equals_its_plain_loop_whatever_lies_above_the_diagonal(stacked, random, weighted):
    num_tasks = stacked.shape[-1]
    weights = [random.randint(1, 9) for _ in range(num_tasks)] if weighted else None
    emptied = np.where(np.tri(num_tasks, dtype=bool), stacked, NAN)
    for metric in MATRIX_METRICS:
        expected = [loop(metric.__name__, a, weights) for a in stacked]
        for given_matrix in (stacked, emptied):
            np.testing.assert_allclose(metric(given_matrix, weights=weights), expected, atol=1e-12)
    baseline = stacked[:, 0]
    expected = [loop("forward_transfer", a, weights, b) for a, b in zip(stacked, baseline, strict=True)]
    np.testing.assert_allclose(metrics.forward_transfer(stacked, baseline, weights=weights), expected, atol=1e-12)


def test_two_hundred_tasks_equal_the_plain_loop():
    a = np.random.default_rng(0).random((200, 200))
    for metric in MATRIX_METRICS:
        assert metric(a) == pytest.approx(loop(metric.__name__, a))


def test_forgetting_with_last_is_forgetting_floored_task_by_task():
    a = np.random.default_rng(1).random((50, 6, 6))
    per_task = [np.maximum(a[:, u:-1, u].max(1) - a[:, -1, u], 0) for u in range(5)]
    np.testing.assert_allclose(metrics.forgetting_with_last(a), np.mean(per_task, 0))


@pytest.mark.parametrize("metric", MATRIX_METRICS)
def test_leading_dimensions_equal_a_loop_over_them(metric):
    a = np.random.default_rng(2).random((3, 4, 5, 5))
    found = metric(a)
    assert found.shape == (3, 4)
    np.testing.assert_allclose(found, [[metric(one) for one in row] for row in a])


# -- between task ends ------------------------------------------------------------------------------------------------

TASKS = np.array([0, 0, 1, 1, 2])
STEPS = np.array([[0.5, 0, 0], [0.8, 0, 0], [0.3, 0.4, 0], [0.6, 0.7, 0], [0.5, 0.1, 0.6]])
ENDS = np.array([[0.9, 0, 0], [0.6, 0.8, 0], [0.4, 0.5, 0.7]])


def test_average_anytime_accuracy_counts_tasks_met_so_far():
    expected = (0.5 + 0.8 + 0.35 + 0.65 + 0.4) / 5
    assert metrics.average_anytime_accuracy(STEPS, TASKS) == pytest.approx(expected)
    assert np.isnan(metrics.average_anytime_accuracy(np.zeros((0, 3)), []))


def test_stability_gap_goes_from_the_end_of_a_task_to_the_lowest_point_of_the_next():
    drops = [0.9 - 0.3, ((0.6 - 0.4) + (0.8 - 0.1)) / 2]
    np.testing.assert_allclose(metrics.switch_drops(ENDS, STEPS, TASKS), drops)
    assert metrics.stability_gap(ENDS, STEPS, TASKS) == pytest.approx(np.mean(drops))


def test_worst_case_accuracy_is_the_lowest_after_a_task_was_learnt():
    assert metrics.worst_case_accuracy(ENDS, STEPS, TASKS) == pytest.approx((0.3 + 0.1) / 2)


def test_confidence_collapse_without_anytime_compares_task_ends():
    expected = ((0.9 - 0.6) + ((0.6 - 0.4) + (0.8 - 0.5)) / 2) / 2
    assert metrics.confidence_collapse(ENDS) == pytest.approx(expected)
    assert metrics.confidence_collapse(ENDS, STEPS, TASKS) >= metrics.confidence_collapse(ENDS)


def test_a_task_without_evaluations_falls_back_on_its_end():
    kept = TASKS != 1
    np.testing.assert_allclose(metrics.switch_drops(ENDS, STEPS[kept], TASKS[kept])[0], 0.9 - 0.6)


def test_anytime_metrics_keep_leading_dimensions():
    rng = np.random.default_rng(3)
    ends, steps = rng.random((2, 4, 3, 3)), rng.random((2, 4, 5, 3))
    for metric in (metrics.stability_gap, metrics.worst_case_accuracy, metrics.confidence_collapse):
        found = metric(ends, steps, TASKS, weights=[1, 2, 3])
        assert found.shape == (2, 4)
        assert found[1, 2] == pytest.approx(metric(ends[1, 2], steps[1, 2], TASKS, weights=[1, 2, 3]))


def test_newest_task_share_and_bias():
    shares = [1.0, 0.8, 0.5]
    assert metrics.newest_task_share(shares) == 0.5
    assert metrics.newest_task_bias(shares) == pytest.approx(((0.8 - 1 / 2) + (0.5 - 1 / 3)) / 2)
    assert metrics.newest_task_bias([1.0, 0.75, 0.5], weights=[1, 3, 4]) == pytest.approx(0)


# -- intervals --------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, st.integers(2, 20), elements=st.floats(-1, 1)), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_interval_is_students_t(values, confidence):
    found = metrics.interval(values, confidence)
    scale = values.std(ddof=1) / math.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean(), abs=1e-12)
    assert found.half == pytest.approx(stats.t.ppf(0.5 + confidence / 2, len(values) - 1) * scale, abs=1e-12)


def test_one_seed_has_a_mean_and_no_interval():
    found = metrics.interval([0.5])
    assert (found.mean, found.n) == (0.5, 1)
    assert np.isnan(found.half)
    assert not found.excludes_zero


def test_diverged_seeds_are_left_out_and_counted():
    found = metrics.interval([[0.5, NAN, 0.7], [NAN, NAN, NAN]])
    np.testing.assert_array_equal(found.n, [2, 0])
    np.testing.assert_allclose(found.mean, [0.6, NAN])
    assert found.half[0] == pytest.approx(metrics.interval([0.5, 0.7]).half)
    assert metrics.interval([]).n == 0


def test_paired_difference_takes_out_what_the_seeds_share():
    seeds = np.array([0.1, 0.5, 0.9, 0.3])
    noise = np.array([0.0, 0.001, -0.001, 0.0])
    found = metrics.paired_difference(seeds + 0.05 + noise, seeds)
    assert found.mean == pytest.approx(0.05)
    assert found.excludes_zero
    assert not metrics.Interval(*metrics.interval(seeds + 0.05 - seeds.mean())).excludes_zero


# -- all of them ------------------------------------------------------------------------------------------------------


def test_summary_names_every_metric_and_its_task_incremental_twin():
    found = metrics.summary(BY_HAND, BY_HAND + 0.05)
    assert set(found) == {m.__name__ + suffix for m in MATRIX_METRICS for suffix in ("", "_task_incremental")}
    assert found["final_accuracy_task_incremental"] == pytest.approx(found["final_accuracy"] + 0.05)


def test_summary_adds_what_further_data_allows():
    full = np.nan_to_num(BY_HAND)
    anytime = {"step": [1, 2, 3, 4, 5], "task": TASKS, "class_incremental": STEPS, "confidence": STEPS}
    found = metrics.summary(
        full,
        full,
        untrained={"class_incremental": [0.1] * 3, "task_incremental": [0.5] * 3},
        confidence=ENDS,
        newest_share=[1, 0.6, 0.4],
        anytime=anytime,
        weights=[10, 20, 30],
    )
    assert found["forward_transfer"] == pytest.approx(-0.1)
    assert found["forward_transfer_task_incremental"] == pytest.approx(-0.5)
    assert found["final_accuracy_weighted"] == pytest.approx(metrics.final_accuracy(full, weights=[1, 2, 3]))
    assert found["confidence_collapse"] == metrics.confidence_collapse(ENDS, STEPS, TASKS)
    assert {"newest_task_share", "newest_task_bias", "average_anytime_accuracy", "worst_case_accuracy"} < set(found)
    assert all(type(value) is float for value in found.values())


def test_summary_of_equal_tasks_has_no_weighted_twins():
    assert not [name for name in metrics.summary(BY_HAND, BY_HAND, weights=[5, 5, 5]) if "weighted" in name]


def test_summary_of_a_diverged_run_is_nan_without_a_warning():
    lost = np.full((4, 4), NAN)
    found = metrics.summary(lost, lost, confidence=lost, newest_share=lost[0])
    assert all(math.isnan(value) for value in found.values())


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: metrics.final_accuracy([0.5, 0.5]), ShapeError),
        (lambda: metrics.forgetting(np.zeros((2, 3))), ShapeError),
        (lambda: metrics.stability(np.zeros((0, 0))), ShapeError),
        (lambda: metrics.final_accuracy(BY_HAND, weights=[1, 2]), ShapeError),
        (lambda: metrics.final_accuracy(BY_HAND, weights=[1, 2, -1]), ConfigError),
        (lambda: metrics.forward_transfer(BY_HAND, [0.1]), ShapeError),
        (lambda: metrics.average_anytime_accuracy(STEPS, [0, 1]), ShapeError),
        (lambda: metrics.stability_gap(BY_HAND, STEPS[:, :2], TASKS), ShapeError),
        (lambda: metrics.interval([1, 2], confidence=95), ConfigError),
        (lambda: metrics.paired_difference([1, 2], [1, 2, 3]), ShapeError),
    ],
)
def test_wrong_shapes_and_values_are_one_sentence(call, error):
    with pytest.raises(error, match=r"must .*, got "):
        call()
