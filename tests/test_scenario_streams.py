"""Blurry, recurring and imbalanced scenarios: the keys, what they are refused with, and runs on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import maskcl
from maskcl import class_incremental, from_arrays
from maskcl.errors import ConfigError, MaskclError

CLASSES = 6


def data(count: int = 60) -> Any:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(CLASSES), count))
    inputs = rng.normal(size=(len(labels), 8)).astype(np.float32) + 3 * np.eye(CLASSES, 8, dtype=np.float32)[labels]
    return from_arrays(inputs, labels, inputs[:60], labels[:60])


def counts(scenario: Any) -> np.ndarray:
    """Rows by task and class."""
    labels = scenario.dataset.train_labels
    return np.array([np.bincount(labels[rows], minlength=CLASSES) for rows in scenario.train_rows])


def test_the_defaults_are_the_clean_stream() -> None:
    dataset = data()
    plain = class_incremental(dataset, num_tasks=3)
    same = class_incremental(dataset, num_tasks=3, blurry=0, repeats=0.0, imbalance=1)
    assert all(np.array_equal(a, b) for a, b in zip(plain.train_rows, same.train_rows, strict=True))
    assert plain.is_clean
    assert not plain.comes_early


def test_blurry_borders() -> None:
    scenario = class_incremental(data(), num_tasks=3, blurry=0.1)
    assert counts(scenario).tolist() == [[54, 54, 3, 3, 3, 3], [3, 3, 54, 54, 3, 3], [3, 3, 3, 3, 54, 54]]
    assert not scenario.is_clean
    assert scenario.comes_early
    assert scenario.tasks == ((0, 1), (2, 3), (4, 5))


def test_classes_that_come_back() -> None:
    scenario = class_incremental(data(), num_tasks=3, repeats=1.0)
    assert counts(scenario).tolist() == [[20, 20, 0, 0, 0, 0], [20, 20, 30, 30, 0, 0], [20, 20, 30, 30, 60, 60]]
    assert not scenario.is_clean
    assert not scenario.comes_early


def test_imbalanced_classes_in_clean_tasks() -> None:
    scenario = class_incremental(data(), num_tasks=3, imbalance=0.1)
    assert sorted(counts(scenario).sum(0), reverse=True) == [round(60 * 0.1 ** (rank / 5)) for rank in range(6)]
    assert scenario.is_clean
    assert len(scenario.eval_labels) == 60, "what it is judged by stays"


def test_all_three_act_together_after_held_out_rows_and_the_subset() -> None:
    dataset = data()
    common: dict[str, Any] = {"num_tasks": 3, "validation_fraction": 0.1, "subset": 0.5}
    plain = class_incremental(dataset, **common)
    mixed = class_incremental(dataset, **common, blurry=0.2, repeats=0.5, imbalance=0.2)
    kept = np.concatenate(mixed.train_rows)
    assert len(set(kept)) == len(kept)
    assert set(kept) < set(np.concatenate(plain.train_rows))
    assert counts(mixed).sum(0).max() == counts(plain).sum(0).max()


def test_chance_follows_the_seed_of_the_class_order() -> None:
    dataset = data()
    first, again, other = (
        class_incremental(dataset, num_tasks=3, seed=seed, blurry=0.2, imbalance=0.3) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first.train_rows, again.train_rows, strict=True))
    assert sorted(counts(first).sum(0)) == sorted(counts(other).sum(0))
    assert counts(first).sum(0).tolist() != counts(other).sum(0).tolist()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"blurry": 1.0}, "scenario.blurry: must be 0 or more and below 1, got 1.0."),
        ({"blurry": -0.1}, "scenario.blurry: must be 0 or more and below 1, got -0.1."),
        ({"blurry": True}, "scenario.blurry: must be 0 or more and below 1, got True."),
        ({"blurry": float("nan")}, "scenario.blurry: must be 0 or more and below 1, got nan."),
        ({"repeats": 1.5}, "scenario.repeats: must be 0 to 1, got 1.5."),
        ({"repeats": "often"}, "scenario.repeats: must be 0 to 1, got 'often'."),
        ({"imbalance": 0.0}, "scenario.imbalance: must be above 0 and at most 1, got 0.0."),
        ({"imbalance": 2}, "scenario.imbalance: must be above 0 and at most 1, got 2."),
        ({"blurry": 0.1, "num_tasks": 1}, "scenario.blurry: must be 0 where there is one task, got 0.1."),
        ({"repeats": 0.1, "num_tasks": 1}, "scenario.repeats: must be 0 where there is one task, got 0.1."),
    ],
)
def test_what_is_no_stream_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        class_incremental(data(), **({"num_tasks": 3} | settings))
    assert str(caught.value) == words


def ran(scenario: dict[str, Any], *, seeds: int = 2, **settings: Any) -> Any:
    given = {
        "method": {"name": "er", "replay_batch": 5},
        "memory": {"size": 12},
        "scenario": {"num_tasks": 3} | scenario,
    } | settings
    return maskcl.run(given, dataset=data(), seeds=seeds)


@pytest.mark.parametrize("scenario", [{"blurry": 0.1}, {"repeats": 0.5}])
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mask": {"leak": 0.1}}, "mask.policy must be 'batch' or 'recent' where rows come in tasks that are not"),
        ({"method": {"name": "bic"}, "memory": {"size": 60}}, "must not hold out rows of a task's classes"),
    ],
)
def test_what_needs_clean_tasks_is_refused_in_words(scenario: Any, settings: Any, words: str) -> None:
    with pytest.raises(MaskclError) as caught:
        ran(scenario, **settings)
    assert words in str(caught.value).replace("mask.policy:", "mask.policy")
    assert "(scenario.blurry, scenario.repeats)" in str(caught.value)


def test_classes_seen_so_far_are_known_where_none_comes_early() -> None:
    mask = {"leak": 0.1, "policy": "batch", "visible": "seen"}
    assert ran({"repeats": 0.5}, mask=mask, seeds=1).runs[0]["status"] == "finished"
    with pytest.raises(ConfigError, match=r"mask\.visible: must be 'all' where rows come in tasks"):
        ran({"blurry": 0.1}, mask=mask, seeds=1)


def test_policy_task_is_there_where_only_sizes_differ() -> None:
    assert ran({"imbalance": 0.2}, mask={"value": 0.0}, seeds=1).runs[0]["status"] == "finished"


@pytest.mark.parametrize("scenario", [{"blurry": 0.1}, {"repeats": 0.5}, {"blurry": 0.1, "imbalance": 0.2}])
@pytest.mark.parametrize("policy", [{"policy": "batch"}, {"policy": "recent", "recent_rows": 30}])
@pytest.mark.parametrize("method", ["er", "derpp"])
def test_masks_act_on_streams_and_their_accuracy_is_known_at_any_time(scenario: Any, policy: Any, method: str) -> None:
    given = {"method": {"name": method, "replay_batch": 5}, "training": {"evaluate_every": 5}}
    results = ran(scenario, **given, grid={"mask": ["none", {"leak": 0.01, **policy}]})
    rows = results.rows()
    assert len(rows) == 4
    assert all(0.2 < row["average_anytime_accuracy"] <= 1 for row in rows)
    accuracies = {row["mask"]: row["average_anytime_accuracy"] for row in rows if row["seed"] == 0}
    assert len(set(accuracies.values())) == 2, "the mask does something"


def test_both_executors_give_the_same_weights_on_a_stream() -> None:
    given: dict[str, Any] = {"mask": {"value": -np.inf, "policy": "recent", "recent_rows": 30}}
    loop, stack = (
        maskcl.run(
            {"method": {"name": "derpp"}, "memory": {"size": 12},
             "scenario": {"num_tasks": 3, "blurry": 0.2, "repeats": 0.3}, **given},
            dataset=data(), seeds=2, executor=executor,
        )
        for executor in ("loop", "stack")
    )  # fmt: skip
    for one, other in zip(loop.runs, stack.runs, strict=True):
        assert np.allclose(one["confidence"], other["confidence"], atol=1e-5, equal_nan=True)


def test_results_tell_of_a_stream_only_where_it_is_one() -> None:
    plain, none, blurred = (ran(scenario, seeds=1).runs[0] for scenario in ({}, {"blurry": 0.0}, {"blurry": 0.1}))
    assert plain["config"] == none["config"]
    assert "blurry" not in plain["config"]["scenario"]
    assert blurred["config"]["scenario"]["blurry"] == 0.1
