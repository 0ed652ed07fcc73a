from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcl.data import Dataset, from_arrays
from maskcl.errors import ConfigError, DataError, MaskclWarning
from maskcl.scenario import class_incremental


def _dataset(train_counts: list[int], test_counts: list[int] | None = None) -> Dataset:
    """Rows in a shuffled order; each input is its row number, test rows are numbered on from 1,000,000."""
    shuffle = np.random.default_rng(0)
    train = shuffle.permutation(np.repeat(np.arange(len(train_counts)), train_counts))
    test = shuffle.permutation(np.repeat(np.arange(len(train_counts)), test_counts or [2] * len(train_counts)))
    train_inputs, test_inputs = (np.arange(len(rows), dtype=np.float32)[:, None] for rows in (train, test))
    return from_arrays(train_inputs, train, test_inputs + 1e6, test, num_classes=len(train_counts))


TEN = _dataset([5] * 10)


@st.composite
def _cuts(draw: st.DrawFn) -> tuple[list[int], list[list[int]]]:
    """Training rows of each class, and a cut of some of the classes into tasks."""
    counts = draw(st.lists(st.integers(1, 12), min_size=2, max_size=12))
    chosen = draw(st.permutations(range(len(counts))))[: draw(st.integers(1, len(counts)))]
    ends = sorted(draw(st.sets(st.integers(1, len(chosen)), max_size=4)) | {len(chosen)})
    return counts, [list(chosen[start:end]) for start, end in itertools.pairwise([0, *ends])]


@settings(deadline=None, max_examples=60)
@given(cut=_cuts(), fraction=st.sampled_from([0.0, 0.1, 0.5, 0.9]))
def test_each_row_of_the_tasks_classes_teaches_or_judges_exactly_once(
    cut: tuple[list[int], list[list[int]]], fraction: float
) -> None:
    counts, tasks = cut
    counts = [count + 1 for count in counts]  # one row to hold out and one to stay
    dataset = _dataset(counts)
    scenario = class_incremental(dataset, tasks=tasks, validation_fraction=fraction)
    for classes, train, judge in zip(tasks, scenario.train_rows, scenario.eval_rows, strict=True):
        assert set(dataset.train_labels[train]) == set(classes) == set(scenario.eval_labels[judge])
        assert (np.diff(train) > 0).all()
        assert (np.diff(judge) > 0).all()
        assert train.dtype == judge.dtype == np.int64
    in_tasks = np.isin(dataset.train_labels, [label for classes in tasks for label in classes])
    taught = np.concatenate([dataset.train_inputs[rows] for rows in scenario.train_rows])
    judged = np.concatenate([scenario.eval_inputs[rows] for rows in scenario.eval_rows])
    used = np.concatenate([taught, judged]) if fraction else taught
    np.testing.assert_array_equal(np.sort(used, axis=0), dataset.train_inputs[in_tasks])


def test_test_rows_judge_each_task_without_validation() -> None:
    scenario = class_incremental(TEN, num_tasks=5)
    assert scenario.eval_inputs is TEN.test_inputs
    for classes, rows in zip(scenario.tasks, scenario.eval_rows, strict=True):
        np.testing.assert_array_equal(rows, np.flatnonzero(np.isin(TEN.test_labels, classes)))


def test_equal_tasks_follow_the_labels() -> None:
    scenario = class_incremental(TEN, num_tasks=5)
    assert scenario.tasks == ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
    assert (scenario.num_tasks, scenario.num_classes) == (5, 10)
    assert scenario.task_of_class.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_unequal_tasks_follow_the_class_order() -> None:
    order = [9, 0, 8, 1, 7, 2, 6, 3, 5, 4]
    scenario = class_incremental(TEN, task_sizes=(2, 3, 5), class_order=np.array(order))  # type: ignore[arg-type]
    assert scenario.tasks == ((9, 0), (8, 1, 7), (2, 6, 3, 5, 4))
    assert all(type(label) is int for classes in scenario.tasks for label in classes)


def test_classes_outside_all_tasks_keep_their_output() -> None:
    scenario = class_incremental(TEN, tasks=[[3], [7, 1]])
    assert scenario.num_classes == 10
    assert scenario.task_of_class.tolist() == [-1, 1, -1, 0, -1, -1, -1, 1, -1, -1]


def test_seed_shuffles_the_classes_and_nothing_else() -> None:
    scenarios = [class_incremental(TEN, num_tasks=5, seed=seed, validation_fraction=0.2) for seed in (0, 0, 1)]
    assert scenarios[0].tasks == scenarios[1].tasks != scenarios[2].tasks
    assert sorted(itertools.chain(*scenarios[2].tasks)) == list(range(10))
    np.testing.assert_array_equal(scenarios[0].eval_inputs, scenarios[2].eval_inputs)


def test_held_out_rows_do_not_depend_on_the_tasks() -> None:
    whole = class_incremental(TEN, num_tasks=1, validation_fraction=0.4)
    part = class_incremental(TEN, tasks=[[4]], validation_fraction=0.4)
    np.testing.assert_array_equal(part.eval_inputs, whole.eval_inputs[whole.eval_labels == 4])


def test_two_hundred_tasks_of_one_class() -> None:
    scenario = class_incremental(_dataset([3] * 200), num_tasks=200, seed=3)
    assert scenario.num_tasks == 200
    assert [len(rows) for rows in scenario.train_rows] == [3] * 200
    assert [len(rows) for rows in scenario.eval_rows] == [2] * 200
    order = list(itertools.chain(*scenario.tasks))
    np.testing.assert_array_equal(np.argsort(order), scenario.task_of_class)


BAD_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({}, "must have exactly one of num_tasks, task_sizes, tasks, got None"),
    ({"num_tasks": 5, "tasks": [[0]]}, "must have exactly one of .*, got 'num_tasks and tasks'"),
    ({"num_tasks": 3}, r"num_tasks: must divide the 10 classes, got 3\.\nhint: possible: 1, 2, 5, 10;"),
    ({"num_tasks": 0}, "num_tasks: must divide the 10 classes, got 0"),
    ({"num_tasks": 20}, "num_tasks: must divide the 10 classes, got 20"),
    ({"num_tasks": -5}, "num_tasks: must divide the 10 classes, got -5"),
    ({"num_tasks": 2.5}, "num_tasks: must be an integer, got 2.5"),
    ({"num_tasks": True}, "num_tasks: must be an integer, got True"),
    ({"num_tasks": "5"}, "num_tasks: must be an integer, got '5'"),
    ({"task_sizes": (2, 3)}, r"task_sizes: must add up to the 10 classes, got \(2, 3\)"),
    ({"task_sizes": (5, 6)}, "task_sizes: must add up"),
    ({"task_sizes": (5, 0, 5)}, "task_sizes: must be 1 or more each"),
    ({"task_sizes": (12, -2)}, "task_sizes: must be 1 or more each"),
    ({"task_sizes": ()}, "task_sizes: must add up"),
    ({"task_sizes": 5}, "task_sizes: must be a list of integers, got 5"),
    ({"task_sizes": "55"}, "task_sizes: must be a list of integers, got '55'"),
    ({"tasks": []}, "tasks: must hold at least one task"),
    ({"tasks": [[0], []]}, r"tasks\[1\]: must hold at least one class"),
    (
        {"tasks": [[0, 1], [1, 2]]},
        r"tasks\[1\]: class 1 must be in one task only, and is in scenario.tasks\[0\] already, got \[1, 2\]",
    ),
    ({"tasks": [[0, 0]]}, r"tasks\[0\]: must name class 0 once, got \[0, 0\]"),
    ({"tasks": [[0], [10]]}, r"tasks\[1\]: must be classes from 0 to 9, got 10"),
    ({"tasks": [[-1]]}, r"tasks\[0\]: must be classes from 0 to 9, got -1"),
    ({"tasks": [[0], ["1"]]}, r"tasks\[1\]: must be an integer, got '1'"),
    ({"tasks": [0, 1]}, r"tasks\[0\]: must be a list of integers, got 0"),
    ({"tasks": 5}, "tasks: must be a list of lists of classes, got 5"),
    ({"tasks": [[0], [1]], "class_order": range(10)}, "class_order: must not be given with tasks"),
    ({"tasks": [[0], [1]], "seed": 0}, "seed: must not be given with tasks"),
    ({"num_tasks": 5, "class_order": range(9)}, "class_order: must hold each class from 0 to 9 once"),
    ({"num_tasks": 5, "class_order": [0] * 10}, "class_order: must hold each class from 0 to 9 once"),
    ({"num_tasks": 5, "class_order": range(1, 11)}, "class_order: must hold each class from 0 to 9 once"),
    ({"num_tasks": 5, "class_order": "shuffled"}, "class_order: must be a list of integers, got 'shuffled'"),
    ({"num_tasks": 5, "class_order": range(10), "seed": 1}, "seed: must not be given with class_order, got 1"),
    ({"num_tasks": 5, "seed": 0.5}, "seed: must be an integer, got 0.5"),
    ({"num_tasks": 5, "validation_fraction": 1.0}, "validation_fraction: must be 0 or more and below 1, got 1.0"),
    ({"num_tasks": 5, "validation_fraction": -0.1}, "validation_fraction: must be 0 or more"),
    ({"num_tasks": 5, "validation_fraction": float("nan")}, "validation_fraction: must be 0 or more"),
    ({"num_tasks": 5, "validation_fraction": "0.1"}, "validation_fraction: must be 0 or more"),
    *(
        ({"num_tasks": 5, key: bad}, f"{key}: must be above 0 and at most 1")
        for key in ("subset", "eval_subset")
        for bad in (0, -0.1, 1.5, float("nan"), True, "0.1")
    ),
]


@pytest.mark.parametrize(("chosen", "said"), BAD_SETTINGS)
def test_bad_settings_are_refused_by_name(chosen: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.compile("scenario.*" + said)):
        class_incremental(TEN, **chosen)


def test_a_subset_is_learnt_from_and_another_judged_by() -> None:
    dataset = _dataset([20, 30, 40, 50], [5, 6, 7, 8])
    whole, half, tenth = (class_incremental(dataset, num_tasks=2, subset=share) for share in (None, 0.5, 0.1))
    assert [len(rows) for rows in half.train_rows] == [25, 45]
    assert [len(rows) for rows in tenth.train_rows] == [5, 9]
    for task in range(2):
        assert set(tenth.train_rows[task]) < set(half.train_rows[task]) < set(whole.train_rows[task])
        assert np.array_equal(half.eval_rows[task], whole.eval_rows[task])
    judged = class_incremental(dataset, num_tasks=2, subset=0.5, eval_subset=0.5)
    assert [len(rows) for rows in judged.eval_rows] == [6, 8]
    assert all(set(part) < set(rows) for part, rows in zip(judged.eval_rows, whole.eval_rows, strict=True))
    assert np.array_equal(np.concatenate(judged.train_rows), np.concatenate(half.train_rows))
    again = class_incremental(dataset, num_tasks=2, subset=0.5, seed=3)
    assert set(np.concatenate(again.train_rows)) == set(np.concatenate(half.train_rows))


def test_a_subset_leaves_validation_rows_alone() -> None:
    dataset = _dataset([20, 30])
    whole, part = (class_incremental(dataset, num_tasks=1, validation_fraction=0.2, subset=s) for s in (1, 0.25))
    assert np.array_equal(part.eval_inputs, whole.eval_inputs)
    assert len(whole.train_rows[0]) == 40
    assert len(part.train_rows[0]) == 10
    assert set(part.train_rows[0]) < set(whole.train_rows[0])


def test_what_is_no_data_set_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^dataset: must be a data set, got 'tuple'\.\nhint: maskcl\.from_arrays"):
        class_incremental((np.eye(4), np.arange(4)), num_tasks=2)  # type: ignore[arg-type]


def test_class_without_training_rows_is_refused() -> None:
    dataset = _dataset([3, 0, 3, 3])
    with pytest.raises(DataError, match="scenario task 0: class 1 must have training rows in 'arrays', got 0"):
        class_incremental(dataset, num_tasks=2)
    assert class_incremental(dataset, tasks=[[0], [2, 3]]).num_tasks == 2


def test_task_without_rows_to_judge_it_is_refused() -> None:
    with pytest.raises(DataError, match=r"scenario task 1: classes \(2, 3\) must have test rows"):
        class_incremental(_dataset([3] * 4, [2, 2, 0, 0]), num_tasks=2)
    with pytest.raises(DataError, match=r"scenario task 0: classes \(0,\) must have validation rows"):
        class_incremental(_dataset([1, 3]), num_tasks=2, validation_fraction=0.5)


@pytest.mark.parametrize(("test_counts", "named"), [([2, 2, 0, 1], "class 2"), ([0, 2, 0, 1], r"2 classes \(0, 2\)")])
def test_a_class_that_nothing_judges_is_named_in_a_warning(test_counts: list[int], named: str) -> None:
    for seed in (0, 1):  # in whatever order the classes come: the words are the same
        with pytest.warns(MaskclWarning, match=f"^arrays: no test rows judge {named}: no accuracy says") as said:
            class_incremental(_dataset([3] * 4, test_counts), task_sizes=[4], seed=seed)
        assert len(said) == 1
        assert said[0].filename == __file__


def test_classes_that_are_not_judged_are_named_by_their_names_and_not_all_of_them() -> None:
    dataset = dataclasses.replace(_dataset([3] * 8, [1] + [0] * 7), class_names=tuple("abcdefgh"))
    with pytest.warns(MaskclWarning, match=r"judge 7 classes \(1 'b', 2 'c', 3 'd', 4 'e', 5 'f', \.\.\.\):"):
        class_incremental(dataset, task_sizes=[8])
    with pytest.warns(MaskclWarning, match="no validation rows judge class 0:"):
        class_incremental(_dataset([1, 3]), task_sizes=[2], validation_fraction=0.5)


def test_classes_that_no_task_has_need_nothing_to_judge_them() -> None:
    assert class_incremental(_dataset([3] * 4, [2, 2, 0, 1]), tasks=[[0, 1], [3]]).num_tasks == 2
