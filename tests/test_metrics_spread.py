"""Variance taken apart, and rank correlations: by hand, against scipy, on drawn numbers whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from maskcl import metrics
from maskcl.errors import ConfigError, ShapeError


def drawn(order, seed, rest, shape=(40, 30), at=0):
    rng = np.random.default_rng(at)
    effects = (order * rng.standard_normal((shape[0], 1)), seed * rng.standard_normal((1, shape[1])))
    return 0.7 + effects[0] + effects[1] + rest * rng.standard_normal(shape)


def test_parts_by_hand():
    """Row means 0.2 and 0.4, column means 0.25 and 0.35, left over +-0.05."""
    x = np.array([[0.1, 0.3], [0.4, 0.4]])
    parts = metrics.variance_parts(x)
    assert parts.rest.value == pytest.approx(4 * 0.05**2)
    assert parts.order.value == pytest.approx(0.02 - 0.01 / 2)
    assert parts.seed.value == 0  # 0.005 - 0.01 / 2
    assert parts.share.value == pytest.approx(0.015 / 0.025)


def test_parts_of_drawn_numbers_come_back_within_their_intervals():
    hits = 0
    for at in range(20):
        parts = metrics.variance_parts(drawn(0.1, 0.03, 0.05, at=at))
        assert parts.order.value == pytest.approx(0.01, rel=0.6)
        assert parts.seed.value == pytest.approx(0.0009, rel=0.9)
        assert parts.rest.value == pytest.approx(0.0025, rel=0.15)
        hits += parts.order.low <= 0.01 <= parts.order.high
    assert hits >= 16


def test_an_order_that_does_nothing_has_a_part_of_about_0():
    parts = metrics.variance_parts(drawn(0.0, 0.05, 0.05))
    assert parts.order.value < 0.0003
    assert parts.share.high < 0.2
    assert parts.order.low == 0


def test_the_same_numbers_give_the_same_intervals_and_transposing_swaps_the_parts():
    x = drawn(0.1, 0.03, 0.05, (8, 6))
    assert metrics.variance_parts(x) == metrics.variance_parts(x)
    assert metrics.variance_parts(x.T).seed.value == pytest.approx(metrics.variance_parts(x).order.value)


def test_equal_values_have_no_parts_and_no_share():
    parts = metrics.variance_parts(np.full((3, 4), 0.5))
    assert [parts.order.value, parts.seed.value, parts.rest.value] == [0, 0, 0]
    assert np.isnan(parts.share).all()


@pytest.mark.parametrize(
    ("values", "error"),
    [([0.1, 0.2], ShapeError), ([[0.1, 0.2]], ShapeError), ([[0.1, np.nan], [0.2, 0.3]], ConfigError)],
)
def test_what_cannot_be_taken_apart_is_refused(values, error):
    with pytest.raises(error, match="values"):
        metrics.variance_parts(values)


def test_rank_correlation_is_spearmans_with_ties():
    rng = np.random.default_rng(1)
    x = rng.integers(0, 8, 60).astype(float)
    y = x + rng.integers(0, 8, 60)
    found = metrics.rank_correlation(x, y)
    assert found.value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.low < found.value < found.high
    assert 0 < found.low < found.high < 1


def test_intervals_are_over_settings_and_not_over_their_seeds():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 12))
    y += x
    alone = metrics.rank_correlation(x, y)
    seeds = metrics.rank_correlation(np.repeat(x, 20), np.repeat(y, 20), np.repeat(np.arange(12), 20))
    mistaken = metrics.rank_correlation(np.repeat(x, 20), np.repeat(y, 20))
    assert seeds.value == pytest.approx(alone.value, abs=1e-9)
    assert (seeds.low, seeds.high) == pytest.approx((alone.low, alone.high))
    assert mistaken.high - mistaken.low < 0.5 * (seeds.high - seeds.low)


def test_what_is_missing_is_left_out_and_few_groups_have_no_interval():
    found = metrics.rank_correlation([1, 2, np.nan, 4], [1, 2, 3, np.nan])
    assert found.value == pytest.approx(1)
    assert np.isnan(found[1:]).all()
    assert np.isnan(metrics.rank_correlation([1, 1, 1], [1, 2, 3])).all()
    assert np.isnan(metrics.rank_correlation([], [])).all()
    with pytest.raises(ShapeError, match="x and y"):
        metrics.rank_correlation([1, 2], [1])
    with pytest.raises(ShapeError, match="groups"):
        metrics.rank_correlation([1, 2], [1, 2], [0])
