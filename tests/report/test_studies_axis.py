"""Where values stand: evenly, by their logarithm, beyond a break; and which of them have a label."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from maskcl.report.names import number
from maskcl.report.studies.axis import CLOSE, LETTER, axis_of

INF = math.inf


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], "linear"),
        ([0, 1, 2], "linear"),
        ([-20, -5, 0, 5, 20], "linear"),
        ([-5, -2, -INF], "linear"),
        ([0.001, 0.01, 1], "log"),
        ([0, 50, 200, 5120], "log"),
        ([-1000, -1, 0, 1, 1000], "symlog"),
        ([0.0], "linear"),
        ([INF], "linear"),
    ],
)
def test_the_axis_fits_its_values(values, kind):
    axis = axis_of(values)
    assert axis.kind == kind
    assert list(axis.values) == sorted(values)
    assert list(axis.places) == sorted(set(axis.places))  # in the order of the values, none upon another


def test_logarithms_are_places_and_0_stands_beyond_a_break():
    axis = axis_of([0, 0.01, 0.1, 1])
    assert [axis.at(v) for v in (0.01, 0.1, 1)] == pytest.approx([-2, -1, 0])
    assert axis.at(0) < -2
    assert axis.breaks == ((axis.at(0), -2),)
    assert [axis.is_edge(v) for v in axis.values] == [True, False, False, False]


def test_infinities_stand_at_the_edges_each_with_its_own_tick():
    axis = axis_of([-INF, -5, 0, 5, INF])
    assert [axis.at(v) for v in (-5, 0, 5)] == [-5, 0, 5]
    assert axis.at(-INF) < -5 < 5 < axis.at(INF)
    assert len(axis.breaks) == 2
    assert [label for _, label in axis.ticks] == ["−∞", "−5", "0", "5", "∞"]


def test_0_and_minus_infinity_stand_side_by_side():
    axis = axis_of([-INF, 0, 1, 100])
    assert axis.at(-INF) < axis.at(0) < axis.at(1)


def test_symlog_is_odd_and_continuous():
    axis = axis_of([-1000, -1, -0.5, 0, 0.5, 1, 1000])
    assert axis.kind == "symlog"
    assert np.allclose(axis.places, -np.array(axis.places)[::-1])


def test_labels_do_not_overlap_and_ends_have_theirs():
    axis = axis_of([0, *np.geomspace(1, 1000, 60)])
    places = [place for place, _ in axis.ticks]
    span = axis.places[-1] - axis.places[0]
    assert np.diff(places).min() >= CLOSE * span - 1e-12
    assert [axis.ticks[0][1], axis.ticks[-1][1]] == ["0", "1,000"]


@pytest.mark.parametrize("values", [[0, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3],
                                    [-INF, -20, -10, -7, -5, -3, -2, -1, 0, 1, 2, 3, 5, 7, 10, 20]])  # fmt: skip
def test_long_labels_take_more_room_and_0_has_one(values):
    axis = axis_of(values)
    span = axis.places[-1] - axis.places[0]
    labels = [label for _, label in axis.ticks]
    for (left, first), (right, second) in itertools.pairwise(axis.ticks):
        assert right - left >= LETTER * span * (len(first) + len(second)) / 2
    assert "0" in labels
    assert len(labels) >= 7


def test_numbers_read_as_in_print():
    assert [number(v) for v in (0.03, -0.5, 1e-5, 100.0, 1e7, 0.0)] == [".03", "−.5", "1e−05", "100", "1e+07", "0"]
