from __future__ import annotations

import numpy as np
import pytest

from maskcl.data.split import held_out_rows, rows_by_class


def test_rows_by_class_agrees_with_a_search_for_each_label() -> None:
    labels = np.random.default_rng(0).integers(0, 7, 200)
    for label, rows in enumerate(rows_by_class(labels, 9)):
        np.testing.assert_array_equal(rows, np.flatnonzero(labels == label))


@pytest.mark.parametrize(("num_rows", "expected"), [(0, 0), (1, 0), (2, 1), (4, 1), (14, 1), (15, 2), (1000, 100)])
def test_a_tenth_is_held_out_and_some_of_each_stay(num_rows: int, expected: int) -> None:
    (held,) = held_out_rows([np.arange(num_rows)], 0.1, purpose="test")
    assert len(held) == expected
    assert (np.diff(held) > 0).all()


def test_one_row_stays_even_when_nearly_all_are_asked_for() -> None:
    (held,) = held_out_rows([np.arange(5)], 0.99, purpose="test")
    assert len(held) == 4


def test_a_larger_fraction_holds_out_what_a_smaller_one_does() -> None:
    (few,), (many,) = (held_out_rows([np.arange(100)], fraction, purpose="test") for fraction in (0.1, 0.3))
    assert set(few) < set(many)


def test_purposes_choose_independently() -> None:
    (one,), (other,) = (held_out_rows([np.arange(100)], 0.1, purpose=purpose) for purpose in ("a", "b"))
    assert set(one) != set(other)
