"""Which rows come when: every row once, and what the formulas say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskcl.data.deal import dealt, occurrences, thinned

TASKS = [[4, 1], [0, 5], [3, 2], [6, 7]]
HOME = {label: task for task, classes in enumerate(TASKS) for label in classes}


def class_rows(count: int = 40) -> list[np.ndarray]:
    return [np.arange(label, 8 * count, 8) for label in range(8)]


def test_sizes_fall_off_exponentially_from_all_rows_to_the_ratio() -> None:
    left = thinned(class_rows(1000), TASKS, 0.01)
    sizes = sorted(map(len, left), reverse=True)
    assert sizes == [round(1000 * 0.01 ** (rank / 7)) for rank in range(8)]
    assert all(set(some) <= set(rows) for some, rows in zip(left, class_rows(1000), strict=True))
    assert all((np.diff(rows) > 0).all() for rows in left)


def test_a_smaller_ratio_keeps_a_part_of_what_a_larger_one_keeps() -> None:
    few, many = thinned(class_rows(), TASKS, 0.05), thinned(class_rows(), TASKS, 0.3)
    assert all(set(a) <= set(b) for a, b in zip(few, many, strict=True))
    assert min(map(len, thinned(class_rows(3), TASKS, 1e-6))) == 1, "no class is lost"


def test_which_class_is_rare_is_drawn_from_the_seed_alone() -> None:
    orders = {tuple(np.argsort([len(rows) for rows in thinned(class_rows(), TASKS, 0.01, seed=s)])) for s in range(9)}
    assert len(orders) > 5
    again = thinned(class_rows(), TASKS, 0.01, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(thinned(class_rows(), TASKS, 0.01, seed=3), again, strict=True))


def test_classes_of_no_task_keep_their_rows() -> None:
    left = thinned(class_rows(), [[0], [1]], 0.1)
    assert [len(rows) for rows in left[2:]] == [40] * 6
    assert sorted(len(rows) for rows in left[:2]) == [4, 40]


def test_classes_come_first_at_home_and_again_as_often_as_the_probability_says() -> None:
    often = [occurrences(TASKS, 0.3, seed=seed) for seed in range(400)]
    assert all(found[label][0] == HOME[label] for found in often for label in HOME)
    assert all(np.diff(tasks).min(initial=1) > 0 for found in often for tasks in found.values())
    again = [task in found[4] for found in often for task in (1, 2, 3)]
    assert np.mean(again) == pytest.approx(0.3, abs=3 * (0.21 / 1200) ** 0.5)
    assert occurrences(TASKS, 0.0) == {label: [task] for label, task in HOME.items()}
    assert occurrences(TASKS, 1.0)[0] == [1, 2, 3]


@given(st.integers(1, 60), st.floats(0, 0.99), st.floats(0, 1), st.integers(0, 5))
def test_every_row_comes_once(count: int, blurry: float, repeats: float, seed: int) -> None:
    rows = class_rows(count)
    found = dealt(rows, occurrences(TASKS, repeats, seed=seed), 4, blurry=blurry, seed=seed)
    assert sorted(np.concatenate(found)) == sorted(np.concatenate(rows))
    assert all((np.diff(part) > 0).all() for part in found)
    assert all((found[task] % 8 == label).any() for label, task in HOME.items()), "some rows stay at home"


def test_blurry_rows_are_a_share_of_each_class_spread_evenly_over_the_other_tasks() -> None:
    found = dealt(class_rows(100), occurrences(TASKS, 0.0), 4, blurry=0.1)
    for label, home in HOME.items():
        counts = [int((part % 8 == label).sum()) for part in found]
        assert counts[home] == 90
        assert sorted(counts[:home] + counts[home + 1 :]) == [3, 3, 4]
    firsts = {int(np.argmax([(part % 8 == label).sum() * (task != HOME[label]) for task, part in enumerate(found)]))
              for label in HOME}  # fmt: skip
    assert len(firsts) > 1, "the odd rows do not all go to one task"


def test_what_a_smaller_share_lets_stray_a_larger_one_does_too() -> None:
    few, many = (dealt(class_rows(), occurrences(TASKS, 0.0), 4, blurry=share) for share in (0.1, 0.4))
    for task in range(4):
        strays = [set(part[[HOME[label] != task for label in part % 8]]) for part in (few[task], many[task])]
        assert strays[0] < strays[1]


def test_rows_of_a_class_that_comes_back_are_dealt_evenly() -> None:
    tasks_of = {label: [home] for label, home in HOME.items()} | {4: [0, 2, 3]}
    found = dealt(class_rows(20), tasks_of, 4, blurry=0.0)
    assert [int((part % 8 == 4).sum()) for part in found] == [7, 0, 7, 6]
    one = dealt(class_rows(1), tasks_of, 4, blurry=0.0)
    assert [int((part % 8 == 4).sum()) for part in one] == [1, 0, 0, 0], "a single row comes at home"


def test_blurry_rows_go_to_tasks_in_which_their_class_does_not_come() -> None:
    tasks_of = occurrences(TASKS, 1.0)
    found = dealt(class_rows(100), tasks_of, 4, blurry=0.1)
    counts = [int((part % 8 == 6).sum()) for part in found]  # at home in the last task
    assert counts[3] == 90
    assert sorted(counts[:3]) == [3, 3, 4]
    assert [int((part % 8 == 4).sum()) for part in found] == [25] * 4, "it comes everywhere anyway"
