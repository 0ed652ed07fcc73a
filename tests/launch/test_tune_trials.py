"""Searches: what is run, on which rows, what is best, and that an interruption changes nothing."""

# ruff: noqa: E501  (one case a line reads better than thirty columns less)

from __future__ import annotations

import json
import math
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maskcl
from maskcl.errors import ConfigError, MaskclWarning
from maskcl.launch.tune import Study, tune
from maskcl.results import Results

LR = {"low": 0.01, "high": 0.5, "log": True}
EXPERIMENT: dict[str, Any] = {
    "name": "small",
    "seeds": 2,
    "method": "er",
    "memory": {"size": 20},
    "training": {"batch_size": 32},
    "tune": {"optimizer.lr": LR, "mask.leak": [0.01, 0.1, 1.0]},
}


def told(study: Study) -> list[dict[str, Any]]:
    """Trials without what time makes of them; NaN equal to itself."""
    return [{k: repr(v) for k, v in row.items() if k != "seconds"} for row in study.rows()]


def test_the_best_has_the_highest_mean_over_the_files_seeds(tmp_path: Path) -> None:
    study = tune(EXPERIMENT, budget=6, trials=tmp_path)
    (tuned,) = study.settings
    assert [trial.number for trial in tuned.trials] == list(range(6))
    assert tuned.best.figure.mean == max(trial.figure.mean for trial in tuned.trials)
    assert study.best == [tuned.best.values]
    by_hash = {run["config_hash"]: [] for run in Results.load(tmp_path).runs}
    for run in Results.load(tmp_path).runs:
        by_hash[run["config_hash"]].append(run)
    for trial in tuned.trials:
        runs = by_hash[trial.config_hash]
        assert [run["seed"] for run in runs] == [0, 1]
        assert float(trial.figure.mean) == pytest.approx(np.mean([r["metrics"]["final_accuracy"] for r in runs]))
        assert runs[0]["config"]["optimizer"]["lr"] == trial.values["optimizer.lr"]
        assert runs[0]["config"]["mask"]["leak"] == trial.values["mask.leak"]


def test_a_metric_that_is_better_low_is_taken_low() -> None:
    study = tune({**EXPERIMENT, "tune": {**EXPERIMENT["tune"], "metric": "forgetting"}}, budget=4)
    trials = study.settings[0].trials
    assert study.settings[0].best.figure.mean == min(trial.figure.mean for trial in trials)


def test_seeds_of_the_search_are_its_own_where_it_has_some(tmp_path: Path) -> None:
    study = tune({**EXPERIMENT, "tune": {**EXPERIMENT["tune"], "seeds": [7]}}, budget=2, trials=tmp_path)
    assert {run["seed"] for run in Results.load(tmp_path).runs} == {7}
    assert study.experiment["seeds"] == 2


@pytest.mark.parametrize(("said", "share"), [({}, 0.1), ({"validation_fraction": 0.0}, 0.1), ({"validation_fraction": 0.3}, 0.3)])  # fmt: skip
def test_a_share_of_the_training_rows_is_held_out(tmp_path: Path, said: dict[str, float], share: float) -> None:
    study = tune({**EXPERIMENT, "scenario": {"num_tasks": 5, **said}}, budget=1, trials=tmp_path)
    assert {run["config"]["scenario"]["validation_fraction"] for run in Results.load(tmp_path).runs} == {share}
    assert study.fraction == share
    assert study.experiment["scenario"] == {"num_tasks": 5}  # the best is judged on test rows again


def test_test_rows_change_nothing() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 30)
    inputs = rng.normal(size=(120, 8)).astype(np.float32) + 2 * np.eye(8, dtype=np.float32)[labels]
    experiment = {**EXPERIMENT, "scenario": {"num_tasks": 2}}
    found = []
    for test_labels in (labels, labels[::-1].copy()):
        data = maskcl.from_arrays(inputs, labels, inputs, test_labels)
        study = tune(experiment, budget=3, dataset=data)
        found.append([(trial.values, float(trial.figure.mean)) for trial in study.settings[0].trials])
    assert found[0] == found[1]


def test_each_setting_of_the_grid_is_tuned_by_itself_from_the_same_first_trials() -> None:
    grid = {"method": [{"name": "er"}, {"name": "derpp", "alpha": 0.1, "beta": 0.5}], "memory.size": [20, 40]}
    experiment = {name: part for name, part in EXPERIMENT.items() if name not in ("method", "memory")}
    study = tune({**experiment, "seeds": 1, "grid": grid}, budget=3)
    assert [t.setting for t in study.settings] == [
        {"method": m, "memory.size": s} for m in grid["method"] for s in (20, 40)
    ]
    first = [[trial.values for trial in tuned.trials] for tuned in study.settings]
    assert first[0] == first[1] == first[2] == first[3]
    assert len({float(t.best.figure.mean) for t in study.settings}) > 1
    rows = study.experiment["grid"]["zip"]
    assert rows == [{**t.setting, **t.best.values} for t in study.settings]
    assert len(maskcl.run({**study.experiment, "seeds": 1}).settings) == 4


def test_a_method_without_memory_is_tuned_beside_those_that_have_one() -> None:
    experiment = {name: part for name, part in EXPERIMENT.items() if name != "method"}
    grid = {"method": ["finetune", "er"], "memory.size": [20, 40]}
    study = tune({**experiment, "seeds": 1, "grid": grid, "tune": {"optimizer.lr": LR}}, budget=2)
    finetuned = [[float(trial.figure.mean) for trial in tuned.trials] for tuned in study.settings[:2]]
    assert finetuned[0] == finetuned[1]  # one setting that the grid names twice
    assert study.cost[0] == 3 * 2
    assert len(maskcl.run(study.experiment).settings) == 3


def test_a_method_without_memory_that_is_best_leaves_the_memory_out() -> None:
    study = tune(
        {**EXPERIMENT, "method": "er", "seeds": 1,
         "tune": {"method": [{"name": "er", "replay_batch": 50}, "finetune"], "metric": "learning_accuracy"}},
        budget=6, batch=1,
    )  # fmt: skip
    methods = [trial.values["method"] for trial in study.settings[0].trials]
    assert "finetune" in methods
    assert study.best == [{"method": "finetune"}]
    assert "memory" not in study.experiment
    maskcl.run(study.experiment)


def test_a_batch_of_trials_is_one_population(tmp_path: Path) -> None:
    """Eight trials of two seeds differ in numbers alone: sixteen members, the most that a population has on a CPU."""
    tune({**EXPERIMENT, "tune": {"optimizer.lr": LR, "mask.leak": LR}}, budget=8, trials=tmp_path, threads=1)
    found = [run["executor"] for run in Results.load(tmp_path).runs]
    assert {(each["name"], each["group_size"]) for each in found} == {("stack", 16)}


def test_what_is_tried_twice_is_run_once(counted: list[int]) -> None:
    study = tune({**EXPERIMENT, "tune": {"mask.leak": [0.01, 1.0]}}, budget=12, batch=3)
    assert sum(counted) == 2 * 2  # two values, two seeds
    assert study.num_trials == 12
    assert study.cost[0] == 4


def test_a_trial_with_a_run_that_diverged_is_the_worst_and_is_counted() -> None:
    study = tune({**EXPERIMENT, "tune": {"optimizer.lr": [1e30, 0.1, 0.01]}}, budget=8)
    (tuned,) = study.settings
    bad = [trial for trial in tuned.trials if trial.values["optimizer.lr"] == 1e30]
    assert bad
    assert all(trial.diverged == 2 and math.isnan(trial.figure.mean) for trial in bad)
    assert tuned.diverged == study.diverged == len(bad)
    assert tuned.best.values["optimizer.lr"] != 1e30


def test_where_all_diverge_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[tune\]: must have values that can be learnt with, and each of 2 trials"):
        tune({**EXPERIMENT, "tune": {"optimizer.lr": [1e30, 1e29]}}, budget=2, out=tmp_path / "b.toml")
    assert list(tmp_path.iterdir()) == []


def test_progress_adds_up_to_all_runs_whatever_is_there_already(tmp_path: Path) -> None:
    for _ in range(2):
        advances: list[float] = []
        tune(EXPERIMENT, budget=5, batch=2, trials=tmp_path, on_progress=advances.append)
        assert sum(advances) == pytest.approx(10)


def test_weights_of_trials_are_not_kept_and_those_of_the_result_are(tmp_path: Path) -> None:
    training = {**EXPERIMENT["training"], "save_weights": True}
    study = tune({**EXPERIMENT, "training": training}, budget=1, trials=tmp_path)
    assert list(tmp_path.rglob("*.safetensors")) == []
    assert study.experiment["training"]["save_weights"] is True


def test_the_same_command_goes_on_and_runs_nothing_again(tmp_path: Path, counted: list[int]) -> None:
    whole = tune(EXPERIMENT, budget=7, batch=3, trials=tmp_path)
    ran = sum(counted)
    again = tune(EXPERIMENT, budget=7, batch=3, trials=tmp_path)
    assert sum(counted) == ran
    assert again.rows() == whole.rows()


@pytest.mark.parametrize("seed", range(4))
def test_an_interrupted_search_comes_to_the_same_end(tmp_path: Path, seed: int) -> None:
    """Stopped at a random moment, and then some results lost or broken: the same trials, to the last bit."""
    chance = random.Random(seed)
    whole = tune(EXPERIMENT, budget=10, batch=4, trials=tmp_path / "whole")
    left = [chance.uniform(0, 20)]

    def stop(runs: float) -> None:
        left[0] -= runs
        if left[0] < 0:
            raise KeyboardInterrupt

    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        tune(EXPERIMENT, budget=10, batch=4, trials=folder, on_progress=stop)
    for path in folder.rglob("*.json"):
        if chance.random() < 0.3:
            path.unlink()
        elif chance.random() < 0.2:
            path.write_bytes(path.read_bytes()[:100])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MaskclWarning)  # of results that were cut
        assert told(tune(EXPERIMENT, budget=10, batch=4, trials=folder)) == told(whole)


def test_a_larger_budget_goes_on_from_a_smaller_one(tmp_path: Path, counted: list[int]) -> None:
    small = tune(EXPERIMENT, budget=4, batch=4, trials=tmp_path)
    before = sum(counted)
    large = tune(EXPERIMENT, budget=8, batch=4, trials=tmp_path)
    assert told(large)[:4] == [{**row, "best": told(large)[i]["best"]} for i, row in enumerate(told(small))]
    assert sum(counted) - before <= 8


def test_trials_can_be_reported_on(tmp_path: Path) -> None:
    tune(EXPERIMENT, budget=4, trials=tmp_path)
    varied = Results.load(tmp_path).varied
    assert all(isinstance(columns["optimizer.lr"], float) for columns in varied)
    document = json.loads(next(tmp_path.rglob("*.json")).read_text())
    assert document["experiment"] == "small"


BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "budget": ({}, {"budget": 0}, "budget: must be a whole number, 1 or more, got 0"),
    "half a trial": ({}, {"budget": 1.5}, "budget: must be a whole number, 1 or more, got 1.5"),
    "batch": ({}, {"batch": 0}, "batch: must be a whole number, 1 or more, got 0"),
    "seed": ({}, {"seed": -1}, "seed: must be a whole number, 0 or more, got -1"),
    "large seed": ({}, {"seed": 2**32}, "seed: must be below 2**32"),
    "too many runs": ({}, {"budget": 10**6}, "experiment: must come to 100,000 runs or fewer, budget times settings times seeds"),
    "trials": ({}, {"trials": 3}, "trials: must be a folder, by its path, got 3"),
    "executor": ({}, {"executor": "gpu"}, "executor: must be one of auto, stack, loop, got 'gpu'"),
    "in grid and tune": ({"grid": {"optimizer.lr": [0.1, 0.2]}}, {}, "optimizer.lr: must be set by [grid] or by [tune], and is by both"),
    "in a table of the grid": ({"grid": {"optimizer": [{"lr": 0.1}]}}, {}, "optimizer.lr: must be set by [grid] or by [tune]"),
    "a tuned section in the grid": ({"grid": {"mask.leak": [0.1]}, "tune": {"mask": [{"leak": 0.1}, {"leak": 1.0}]}}, {}, "mask: must be set by [grid] or by [tune]"),
    "word in the file": ({"mask": "none"}, {}, "[tune] mask.leak: must be left out where mask is 'none'"),
    "word in the grid": ({"grid": {"mask": ["none", {"policy": "batch"}]}}, {}, "[tune] mask.leak: must be left out where mask is 'none'"),
    "fraction in the grid": ({"grid": {"scenario.validation_fraction": [0.1, 0.2]}}, {}, "[grid] scenario.validation_fraction: must be left out"),
    "end of a range": ({"tune": {"mask.leak": {"low": -1, "high": 1}}}, {}, "mask.leak: must be a finite number, 0 or more, got -1.0"),
    "value of a list": ({"tune": {"mask.policy": ["task", "none"]}, "mask": {"leak": 0.1}}, {}, "mask.policy: must be one of"),
    "key of another method": ({"tune": {"method.alpha": [0.1, 0.2]}}, {}, "'alpha' is not a key of 'er'"),
    "anytime metric": ({"tune": {"optimizer.lr": LR, "metric": "stability_gap"}}, {}, "[tune] metric: must be another where runs are not evaluated within tasks"),
    "metric of several tasks": ({"scenario": {"num_tasks": 1}, "tune": {"optimizer.lr": LR, "metric": "forgetting"}}, {}, "[tune] metric: must be a metric that these runs have, got 'forgetting'"),
    "rows of different keys": ({"grid": {"network": [{"name": "mlp", "hidden": [9]}, {"name": "convnet"}]}}, {}, "[grid]: must set the same keys with every value of an axis"),
    "seeds twice": ({"tune": {"optimizer.lr": LR, "seeds": [1, 1]}}, {}, "seeds: must be different from each other"),
    "fraction": ({"scenario": {"validation_fraction": 1.5}}, {}, "scenario.validation_fraction: must be 0 or more and below 1, got 1.5"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_searched_is_refused(case: str, tmp_path: Path) -> None:
    changes, arguments, words = BAD[case]
    with pytest.raises(ConfigError) as error:
        tune({**EXPERIMENT, **changes}, **{"budget": 1, "out": tmp_path / "b.toml", **arguments})
    assert words in str(error.value)
    assert list(tmp_path.iterdir()) == []
