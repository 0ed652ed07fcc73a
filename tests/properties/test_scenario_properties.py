"""What every scenario keeps to: cuts, subsets, held-out rows and streams that hypothesis picks."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcl.data import Dataset, from_arrays
from maskcl.scenario import Scenario, class_incremental

CHECK = settings(deadline=None, max_examples=60)
SHARES = st.floats(0.01, 1)


def dataset(counts: list[int]) -> Dataset:
    """Training rows that say which row they are; test rows are numbered on from 1,000,000."""
    shuffle = np.random.default_rng(len(counts))
    train, test = (shuffle.permutation(np.repeat(np.arange(len(counts)), each)) for each in (counts, 3))
    inputs, others = (np.arange(len(labels), dtype=np.float32)[:, None] for labels in (train, test))
    return from_arrays(inputs, train, others + 1e6, test, num_classes=len(counts))


@st.composite
def scenarios(draw: st.DrawFn, *, clean: bool = False) -> tuple[Dataset, dict[str, Any]]:
    """Data of 2 to 9 classes, and settings that are valid for them."""
    counts = draw(st.lists(st.integers(2, 15), min_size=2, max_size=9))
    classes = len(counts)
    way = draw(st.sampled_from(["num_tasks", "task_sizes", "tasks"]))
    ends = sorted(draw(st.sets(st.integers(1, classes), max_size=3)) | {classes})
    sizes = [end - start for start, end in itertools.pairwise([0, *ends])]
    order = draw(st.permutations(range(classes)))
    if way == "tasks":
        rest = iter(order)
        chosen: dict[str, Any] = {"tasks": [list(itertools.islice(rest, size)) for size in sizes]}
        chosen["tasks"] = chosen["tasks"][: draw(st.integers(1, len(sizes)))]
    else:
        divisors = [number for number in range(1, classes + 1) if classes % number == 0]
        chosen = {way: sizes if way == "task_sizes" else draw(st.sampled_from(divisors))}
        chosen |= draw(st.sampled_from([{}, {"class_order": order}, {"seed": len(order)}]))
    optional = {"validation_fraction": st.floats(0, 0.9), "subset": SHARES, "eval_subset": SHARES}
    if not clean:
        optional |= {"imbalance": SHARES}
        several = len(chosen.get("tasks", chosen.get("task_sizes", range(chosen.get("num_tasks", 1))))) > 1
        optional |= {"blurry": st.floats(0, 0.9), "repeats": st.floats(0, 1)} if several else {}
    return dataset(counts), chosen | draw(st.fixed_dictionaries({}, optional=optional))


def same(one: Scenario, other: Scenario) -> bool:
    rows = zip((*one.train_rows, *one.eval_rows), (*other.train_rows, *other.eval_rows), strict=True)
    return one.tasks == other.tasks and all(itertools.starmap(np.array_equal, rows))


@CHECK
@given(drawn=scenarios())
def test_each_class_is_in_one_task_and_tasks_are_as_many_classes_as_was_said(drawn: Any) -> None:
    data, chosen = drawn
    tasks = class_incremental(data, **chosen).tasks
    classes = list(itertools.chain(*tasks))
    assert len(set(classes)) == len(classes)
    if "tasks" in chosen:
        assert [list(task) for task in tasks] == chosen["tasks"]
        return
    assert sorted(classes) == list(range(data.num_classes))
    assert chosen.get("class_order", classes) == classes
    sizes = chosen.get("task_sizes") or [data.num_classes // chosen["num_tasks"]] * chosen["num_tasks"]
    assert [len(task) for task in tasks] == sizes


@CHECK
@given(drawn=scenarios())
def test_no_row_comes_twice_and_none_both_teaches_and_judges(drawn: Any) -> None:
    data, chosen = drawn
    scenario = class_incremental(data, **chosen)
    classes = set(itertools.chain(*scenario.tasks))
    taught = np.concatenate(scenario.train_rows)
    assert len(set(taught.tolist())) == len(taught)
    assert set(data.train_labels[taught].tolist()) == classes, "every class is learnt from, and no other"
    judged = np.concatenate(scenario.eval_rows)
    assert len(set(judged.tolist())) == len(judged)
    assert not set(scenario.eval_inputs[judged, 0].tolist()) & set(data.train_inputs[taught, 0].tolist())
    for rows in (*scenario.train_rows, *scenario.eval_rows):
        assert rows.dtype == np.int64
        assert (np.diff(rows) > 0).all()


@CHECK
@given(drawn=scenarios(clean=True))
def test_without_a_stream_rows_come_in_their_classs_own_task(drawn: Any) -> None:
    data, chosen = drawn
    scenario = class_incremental(data, **chosen)
    assert scenario.is_clean
    assert not scenario.comes_early
    for classes, taught, judged in zip(scenario.tasks, scenario.train_rows, scenario.eval_rows, strict=True):
        assert set(data.train_labels[taught].tolist()) == set(classes)
        assert set(scenario.eval_labels[judged].tolist()) <= set(classes)


@CHECK
@given(drawn=scenarios())
def test_the_same_settings_are_the_same_scenario(drawn: Any) -> None:
    data, chosen = drawn
    assert same(class_incremental(data, **chosen), class_incremental(data, **chosen))


@CHECK
@given(drawn=scenarios(clean=True), smaller=st.floats(0.01, 1))
def test_a_smaller_share_is_part_of_a_larger_one_and_has_the_size_that_was_asked_for(
    drawn: Any, smaller: float
) -> None:
    data, chosen = drawn
    whole = class_incremental(data, **chosen | {"subset": 1.0})
    part = class_incremental(data, **chosen | {"subset": smaller})
    for few, all_rows in zip(part.train_rows, whole.train_rows, strict=True):
        assert set(few) <= set(all_rows)
        counts, left = (np.bincount(data.train_labels[rows], minlength=data.num_classes) for rows in (all_rows, few))
        wanted = np.minimum(np.clip(np.floor(smaller * counts + 0.5), 1, np.maximum(counts - 1, 1)), counts)
        assert left.tolist() == (counts if smaller == 1 else wanted).tolist()


@CHECK
@given(drawn=scenarios(), seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)))
def test_held_out_rows_are_those_of_any_seed(drawn: Any, seeds: tuple[int, int]) -> None:
    data, chosen = drawn
    if "tasks" in chosen or "class_order" in chosen:
        return
    one, other = (class_incremental(data, **chosen | {"seed": seed}) for seed in seeds)
    assert np.array_equal(one.eval_inputs, other.eval_inputs)
    judged = [sorted(np.concatenate(scenario.eval_rows)) for scenario in (one, other)]
    assert judged[0] == judged[1]
