"""Metrics against their formulas as plain loops, their ranges, and what must not change them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maskcl import metrics
from maskcl.metrics.summary import OF_MATRIX

CHECK = settings(deadline=None, max_examples=60)
FRACTIONS = st.floats(0, 1)


@st.composite
def runs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accuracies at task ends [T, T], evaluations in between [E, T], the task in training at each [E]."""
    tasks, evaluations = draw(st.integers(1, 5)), draw(st.integers(0, 8))
    numbers = draw(st.lists(FRACTIONS, min_size=(tasks + evaluations) * tasks, max_size=(tasks + evaluations) * tasks))
    values = np.array(numbers).reshape(-1, tasks)
    current = sorted(draw(st.lists(st.integers(0, tasks - 1), min_size=evaluations, max_size=evaluations)))
    return values[:tasks], values[tasks:], np.array(current, np.int64)


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def lowest(a: np.ndarray, between: np.ndarray, current: np.ndarray, t: int, u: int) -> float:
    """The lowest accuracy on task u while task t was trained, its end included."""
    return min([a[t, u], *(between[e, u] for e in range(len(between)) if current[e] == t)])


def average_anytime(a: np.ndarray, between: np.ndarray, current: np.ndarray) -> float:
    return mean([mean([row[u] for u in range(t + 1)]) for row, t in zip(between, current, strict=True)])


def worst_case(a: np.ndarray, between: np.ndarray, current: np.ndarray) -> float:
    last = len(a) - 1
    return mean([min(lowest(a, between, current, t, u) for t in range(u + 1, last + 1)) for u in range(last)])


def gap(a: np.ndarray, between: np.ndarray, current: np.ndarray) -> float:
    return mean([mean([a[t - 1, u] - lowest(a, between, current, t, u) for u in range(t)]) for t in range(1, len(a))])


@CHECK
@given(run=runs())
def test_anytime_metrics_are_their_formulas(run: Any) -> None:
    a, between, current = run
    close = {"nan_ok": True, "abs": 1e-12}
    assert float(metrics.average_anytime_accuracy(between, current)) == pytest.approx(average_anytime(*run), **close)
    assert float(metrics.worst_case_accuracy(a, between, current)) == pytest.approx(worst_case(*run), **close)
    assert float(metrics.stability_gap(a, between, current)) == pytest.approx(gap(*run), **close)
    assert float(metrics.confidence_collapse(a, between, current)) == pytest.approx(gap(*run), **close)
    ends = gap(a, between[:0], current[:0])
    assert float(metrics.confidence_collapse(a)) == pytest.approx(ends, **close)
    assert math.isnan(ends) or gap(*run) >= ends - 1e-12, "task ends alone show no more than every step does"


@CHECK
@given(run=runs(), baseline=FRACTIONS)
@example(run=(np.array([[0.0, 0.0], [1.0, 2.3e-309]]), np.zeros((0, 2)), np.zeros(0, int)), baseline=0.0)
def test_metrics_stay_in_their_ranges_and_in_their_order(run: Any, baseline: float) -> None:
    a, between, current = run
    found = {metric.__name__: float(metric(a)) for metric in OF_MATRIX}
    for name in ("final_accuracy", "average_incremental_accuracy", "learning_accuracy"):
        assert -1e-12 <= found[name] <= 1 + 1e-12
    if len(a) == 1:
        lone = ("forgetting", "forgetting_with_last", "backward_transfer", "stability")
        assert all(math.isnan(found[name]) for name in lone)
        return
    assert -1 <= found["backward_transfer"] <= 1
    assert 0 <= found["forgetting_with_last"] <= 1
    assert found["forgetting"] <= found["forgetting_with_last"] + 1e-12
    assert found["forgetting"] >= -found["backward_transfer"] - 1e-12, "the best is at least what was learnt"
    assert math.isnan(found["stability"]) or 0 <= found["stability"] <= 1
    assert -1 <= float(metrics.forward_transfer(a, np.full(len(a), baseline))) <= 1
    assert float(metrics.worst_case_accuracy(a, between, current)) <= np.mean(a[-1, :-1]) + 1e-12


@CHECK
@given(run=runs(), scale=st.floats(0.1, 10))
def test_weights_count_by_their_ratios_alone_and_equal_ones_not_at_all(run: Any, scale: float) -> None:
    a, _, _ = run
    weights = np.arange(1.0, len(a) + 1)
    for metric in OF_MATRIX:
        close = {"nan_ok": True, "abs": 1e-9}
        assert float(metric(a, weights=weights * scale)) == pytest.approx(float(metric(a, weights=weights)), **close)
        assert float(metric(a, weights=np.full(len(a), scale))) == pytest.approx(float(metric(a)), **close)


@CHECK
@given(
    pairs=st.lists(st.tuples(FRACTIONS, FRACTIONS), min_size=1, max_size=12),
    order=st.randoms(use_true_random=False),
    shift=st.floats(-1, 1),
)
def test_the_order_of_seeds_changes_no_interval_and_a_shift_moves_its_mean_alone(
    pairs: list[tuple[float, float]], order: Any, shift: float
) -> None:
    shuffled = order.sample(pairs, len(pairs))
    (x, y), (p, q) = np.array(pairs).T, np.array(shuffled).T
    for one, other in (
        (metrics.interval(x), metrics.interval(p)),
        (metrics.paired_difference(x, y), metrics.paired_difference(p, q)),
        (metrics.paired_difference(x, y), metrics.paired_difference(x + shift, y + shift)),
    ):
        np.testing.assert_allclose([one.mean, one.half, one.n], [other.mean, other.half, other.n], atol=1e-12)
    moved, back = metrics.interval(x + shift), metrics.paired_difference(y, x)
    np.testing.assert_allclose([moved.mean - shift, moved.half], metrics.interval(x)[:2], atol=1e-12)
    np.testing.assert_allclose(back.mean, -metrics.paired_difference(x, y).mean, atol=1e-12)


@CHECK
@given(run=runs(), other=runs())
def test_a_metric_of_several_runs_is_that_of_each(run: Any, other: Any) -> None:
    if len(run[0]) != len(other[0]):
        return
    stacked = np.stack([run[0], other[0]])
    for metric in OF_MATRIX:
        np.testing.assert_array_equal(metric(stacked), [metric(run[0]), metric(other[0])])
