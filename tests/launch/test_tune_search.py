"""[tune]: what is taken, what is refused in one sentence, what editors know of it."""

# ruff: noqa: E501  (one case a line reads better than thirty columns less)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maskcl.errors import ConfigError
from maskcl.experiment import json_schema, plan, read_search
from maskcl.experiment.schema import known_keys
from maskcl.experiment.search import Choices, Range, is_tuned, takes_numbers
from maskcl.launch.tune.sampler import STARTUP, Sampler, rounded
from maskcl.metrics import summary
from maskcl.metrics.directions import better

LR = {"low": 0.01, "high": 0.3, "log": True}


def search(table: Any) -> Any:
    return read_search({"method": "er", "tune": table}, "a.toml")[0]


def test_ranges_and_lists_by_dotted_key_or_by_section() -> None:
    space = {"optimizer.lr": LR, "method.replay_batch": {"low": 5, "high": 20}, "mask.policy": ["task", "batch"]}
    nested = {"optimizer": {"lr": LR}, "method": {"replay_batch": {"low": 5, "high": 20}},
              "mask": {"policy": ["task", "batch"]}}  # fmt: skip
    assert search(space).space == search(nested).space == {
        "optimizer.lr": Range(0.01, 0.3, log=True),
        "method.replay_batch": Range(5, 20, whole=True),
        "mask.policy": Choices(("task", "batch")),
    }  # fmt: skip


def test_whole_numbers_are_enough_for_a_range_of_others() -> None:
    assert search({"mask.leak": {"low": 0, "high": 1}}).space == {"mask.leak": Range(0.0, 1.0)}


def test_whole_sections_and_words_are_values() -> None:
    space = search({"mask": ["none", {"leak": 0.1}], "training.schedule": ["none", "cosine"]}).space
    assert space["mask"].values == ("none", {"leak": 0.1})
    assert space["training.schedule"].values == ("none", "cosine")


def test_metric_and_seeds_have_defaults_and_can_be_given() -> None:
    assert (search({"optimizer.lr": LR}).metric, search({"optimizer.lr": LR}).seeds) == ("final_accuracy", None)
    given = search({"optimizer.lr": LR, "metric": "forgetting", "seeds": [7, 8]})
    assert (given.metric, given.higher, given.seeds) == ("forgetting", False, [7, 8])


BAD: dict[str, tuple[Any, str]] = {
    "no table": ("none", "[tune]: must be given, and is missing"),
    "a number": (3, "[tune]: must be a table, got 3"),
    "empty": ({}, "[tune]: must have one or more keys to be tuned"),
    "only a metric": ({"metric": "forgetting"}, "[tune]: must have one or more keys to be tuned"),
    "unknown key": ({"optimizer.lrr": LR}, "'optimizer.lrr' is not a key that can be tuned. Did you mean 'optimizer.lr'?"),
    "unknown key in a section": ({"optimizer": {"lrr": LR}}, "'optimizer.lrr' is not a key that can be tuned."),
    "range of a section": ({"mask": {"low": 0, "high": 1}}, "'mask.low' is not a key that can be tuned."),
    "what is judged": ({"scenario.num_tasks": [2, 5]}, "scenario.num_tasks: must be left out: it says what is judged"),
    "class order": ({"randomness.class_order": ["fixed", "seed"]}, "must be left out: it says what is judged"),
    "device": ({"training.device": ["cpu", "auto"]}, "training.device: must be left out"),
    "a value": ({"optimizer.lr": 0.1}, "optimizer.lr: must be a range, { low = .., high = .. }, or a list of two or more"),
    "one value": ({"optimizer.lr": [0.1]}, "a list of two or more values, got [0.1]"),
    "a value twice": ({"optimizer.lr": [1, 0.1, 1.0]}, "must have each value once, and has one twice, got 1.0"),
    "a word twice": ({"method": ["er", {"name": "er"}]}, "must have each value once, and has one twice"),
    "end missing": ({"optimizer.lr": {"low": 0.1}}, "optimizer.lr: must have both ends, low and high, got {'low': 0.1}"),
    "misspelt end": ({"optimizer.lr": {"low": 0.1, "hihg": 1}}, "'hihg' is not a key of a range, got 1. Did you mean 'high'?"),
    "turned round": ({"optimizer.lr": {"low": 0.3, "high": 0.1}}, "optimizer.lr.low: must be below high, 0.1, got 0.3"),
    "no width": ({"optimizer.lr": {"low": 0.3, "high": 0.3}}, "must be below high"),
    "log of 0": ({"mask.leak": {"low": 0, "high": 1, "log": True}}, "mask.leak.low: must be above 0 with log = true, got 0"),
    "log is a word": ({"mask.leak": {"low": 0, "high": 1, "log": "yes"}}, "mask.leak.log: must be true or false, got 'yes'"),
    "infinite": ({"mask.value": {"low": -float("inf"), "high": 1}}, "mask.value.low: must be a finite number, got -inf"),
    "end is a word": ({"optimizer.lr": {"low": "a", "high": 1}}, "optimizer.lr.low: must be a finite number, got 'a'"),
    "half an epoch": ({"training.epochs": {"low": 1, "high": 2.5}}, "training.epochs.high: must be a whole number, for only those can be set, got 2.5"),
    "range of words": ({"mask.policy": {"low": 0, "high": 1}}, "mask.policy: must be a list of values, for it is no number"),
    "range of lists": ({"network.hidden": {"low": 1, "high": 2}}, "network.hidden: must be a list of values"),
    "twice": ({"mask": [{"leak": 0.1}, {"leak": 0.2}], "mask.leak": LR}, "mask.leak: must be tuned once, and is in the tables of 'mask' too"),
    "metric": ({"optimizer.lr": LR, "metric": "final_acuracy"}, "metric: must be a metric that has a better end, final_accuracy and forgetting among them, got 'final_acuracy'. Did you mean 'final_accuracy'?"),
    "metric without a better end": ({"optimizer.lr": LR, "metric": "newest_task_share"}, "must be a metric that has a better end"),
    "no seeds": ({"optimizer.lr": LR, "seeds": 0}, "seeds: must be a whole number, 1 or more, or a list of seeds, got 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said_in_one_sentence(case: str) -> None:
    table, words = BAD[case]
    with pytest.raises(ConfigError) as error:
        search(table)
    assert str(error.value).startswith("a.toml: [tune]")
    assert words in str(error.value)


def test_run_refuses_a_search_and_says_both_ways_on() -> None:
    raw = {"method": "er", "tune": {"optimizer.lr": LR}}
    with pytest.raises(ConfigError, match=r"\[tune\]: must be left out") as error:
        plan(raw, seeds=1)
    assert "maskcl tune experiment --budget N --out FILE" in str(error.value)
    assert "--set tune=none" in str(error.value)
    assert len(plan(raw, seeds=1, overrides={"tune": "none"}).runs) == 1
    assert len(plan({**raw, "tune": "none"}, seeds=1).runs) == 1


def test_every_metric_of_a_run_is_better_one_way_or_is_known_to_be_best_in_between() -> None:
    matrix, anytime = np.full((2, 2), 0.5), {"task": [0, 1], "class_incremental": np.full((2, 2), 0.5)}
    metrics = summary(
        matrix, matrix, untrained={"class_incremental": [0.1, 0.1], "task_incremental": [0.1, 0.1]}, confidence=matrix,
        newest_share=[1.0, 0.5], anytime={**anytime, "confidence": np.full((2, 2), 0.5)}, weights=[1, 2],
    )  # fmt: skip
    assert set(metrics) - set(better()) == {"newest_task_share", "newest_task_bias"}
    assert set(better()) <= set(metrics)


def test_the_schema_of_editors_has_every_key_that_can_be_tuned() -> None:
    table = json_schema()["properties"]["tune"]["anyOf"][1]
    assert set(table["properties"]) - {"metric", "seeds"} == {key for key in known_keys() if is_tuned(key)}
    ranges = {key for key, forms in table["properties"].items() if {"$ref": "#/$defs/Range"} in forms.get("anyOf", ())}
    assert ranges == {key for key in known_keys() if is_tuned(key) and takes_numbers(key)}
    assert {"optimizer.lr", "training.epochs", "mask.leak"} <= ranges


SPACE = {
    "optimizer.lr": Range(0.003, 0.3, log=True),
    "training.epochs": Range(1, 4, whole=True),
    "mask": Choices(("none", {"leak": 0.1}, {"leak": 0.01})),
}


def asked(seed: int, *, batch: int = 4, budget: int = 20) -> list[dict[str, Any]]:
    sampler, found = Sampler(SPACE, higher=True, seed=seed), list[dict[str, Any]]()
    while len(found) < budget:
        new = sampler.ask(min(batch, budget - len(found)))
        sampler.tell([-abs(np.log(values["optimizer.lr"] / 0.02)) - values["training.epochs"] for values in new])
        found += new
    return found


def test_a_seed_decides_on_all_trials() -> None:
    assert asked(1) == asked(1)
    assert asked(1) != asked(2)


def test_a_larger_budget_begins_with_the_trials_of_a_smaller_one() -> None:
    assert asked(0, budget=26)[:14] == asked(0, budget=14)


def test_values_lie_in_the_space_and_have_its_types() -> None:
    for values in asked(3, budget=40):
        assert 0.003 <= values["optimizer.lr"] <= 0.3
        assert isinstance(values["training.epochs"], int)
        assert 1 <= values["training.epochs"] <= 4
        assert values["mask"] in SPACE["mask"].ends


def test_what_was_told_moves_the_trials_after_the_random_ones() -> None:
    """Less is better in epochs and .02 is best in the rate: later trials are nearer to both than the random ones."""
    found = [asked(seed, budget=40) for seed in range(5)]

    def far(trials: list[dict[str, Any]]) -> float:
        return float(np.mean([abs(np.log(t["optimizer.lr"] / 0.02)) + t["training.epochs"] for t in trials]))

    assert np.mean([far(trials[-16:]) for trials in found]) < 0.7 * np.mean([far(t[:STARTUP]) for t in found])


def test_a_metric_that_is_to_be_low_is_sought_low() -> None:
    sampler, found = Sampler(SPACE, higher=False, seed=0), list[dict[str, Any]]()
    for _ in range(40):
        (new,) = sampler.ask(1)
        sampler.tell([new["training.epochs"]])
        found.append(new)
    epochs = [values["training.epochs"] for values in found]
    assert np.mean(epochs[-20:]) < np.mean(epochs[:STARTUP])


def test_diverged_trials_are_the_worst() -> None:
    """Rates above .1 diverge and all others are alike: TPE leaves what diverges."""
    sampler, found = Sampler({"optimizer.lr": Range(0.01, 1.0, log=True)}, higher=True, seed=0), []
    for _ in range(10):
        new = [values["optimizer.lr"] for values in sampler.ask(4)]
        sampler.tell([float("nan") if lr > 0.1 else 0.5 for lr in new])
        found += new
    assert np.mean([lr > 0.1 for lr in found[STARTUP:]]) < 0.25


@pytest.mark.parametrize(
    ("value", "axis", "short"),
    [
        (0.0312345, Range(0.003, 0.3, log=True), 0.0312),
        (0.998765432, Range(0.99, 1.0), 0.99877),
        (123.456, Range(100.0, 1000.0, log=True), 123.5),
        (0.30000001, Range(0.0, 0.3), 0.3),
        (0.12344, Range(0.12344, 12.0), 0.12344),
    ],
)
def test_values_have_as_many_digits_as_matter_and_stay_in_their_range(value: float, axis: Range, short: float) -> None:
    assert rounded(value, axis) == short
