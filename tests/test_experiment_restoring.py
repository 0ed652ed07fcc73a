"""What a result tells of its settings leads back to them: parse(sections_of(resolved)) has the same hash."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from maskcl.errors import ConfigError, DataError, MaskclWarning
from maskcl.experiment import read_experiment
from maskcl.experiment.config import UNTOLD
from maskcl.experiment.grid import expand
from maskcl.experiment.parsing import parse
from maskcl.experiment.restoring import check_restored, sections_of
from maskcl.experiment.world import World
from maskcl.memory import POLICIES
from maskcl.methods import REGISTRY
from maskcl.networks import NETWORKS, Network
from maskcl.results import config_hash, read_result, write_result
from maskcl.scenario import Scenario

FILES = sorted((Path(__file__).parents[1] / "experiments").glob("*.toml"))


class Told(World):
    """Takes all data for what their name says: nothing is read."""

    def describe(self, section: Mapping[str, Any]) -> dict[str, Any]:
        return dict(section)

    def scenario(self, section: Mapping[str, Any], class_seed: int | None) -> Scenario:
        return None  # type: ignore[return-value]

    def describe_network(self, network: Network, scenario: Scenario) -> dict[str, Any]:
        return network.describe((3, 32, 32), 10)


def as_read(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A configuration after it was written into a result and read again."""
    matrix = [[0.5]]
    result = {"schema": 1, "experiment": "e", "label": "l", "seed": 3, "status": "finished", "diverged": None}
    result |= {"method_title": "M", "config": config, "config_hash": config_hash(config), "metrics": {}}
    result |= {"environment": {}, "executor": {}, "origin": {}, "tasks": [[0]], "seconds": 1.0, "timings": {}}
    result |= {"class_incremental": matrix, "task_incremental": matrix, "confidence": matrix, "newest_share": [1.0]}
    result |= {"untrained": {"class_incremental": [0.1], "task_incremental": [0.1]}, "anytime": None}
    result |= {"confusion": None, "samples": None, "num_parameters": 1, "memory_bytes": 0}
    write_result(folder / "seed-3.json", result)
    return read_result(folder / "seed-3.json")["config"]


def goes_back(setting: Mapping[str, Any], folder: Path) -> None:
    """Parse, resolve, write, read, make sections, parse, resolve: nothing is lost, for any seed."""
    world = Told()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MaskclWarning)
        first = parse(setting, "a.toml", varies_method=True)
        config = as_read(first.resolved(3, world), folder)
        again = parse(sections_of(config, "seed-3.json"), "seed-3.json")
    resolved = again.resolved(3, world)
    assert config_hash(resolved) == config_hash(config) == config_hash(first.resolved(0, world))
    check_restored(config, resolved, "seed-3.json")
    for part in ("scenario", "method", "network", "optimizer", "randomness"):
        assert repr(getattr(again, part)) == repr(getattr(first, part))
    untold = {name: getattr(again.training, name) for name in UNTOLD}  # by a result: it is the same wherever it is made
    assert replace(first.training, **untold) == again.training


def is_valid(setting: Mapping[str, Any]) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MaskclWarning)
            parse(setting, "a.toml", varies_method=True)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_settings_of_the_experiment_files_go_back(path: Path, tmp_path: Path) -> None:
    raw, where = read_experiment(path)
    raw.pop("tune", None)
    found, _ = expand(raw, where)
    for setting in found[:: max(1, len(found) // 40)]:
        goes_back(setting, tmp_path)


fractions = st.floats(0.01, 0.9)
masks = st.one_of(
    st.sampled_from(["none", None, {"value": float("-inf")}, {"leak": 0}, {"mass": 1.5}]),
    st.fixed_dictionaries(
        {"leak": fractions},
        optional={
            "policy": st.sampled_from(["task", "batch"]),
            "visible": st.sampled_from(["all", "seen"]),
            "old_scale": fractions,
            "keep_future": st.booleans(),
            "from_task": st.integers(0, 3),
        },
    ),
    st.fixed_dictionaries({"value": st.floats(-5, 0), "policy": st.just("recent"), "recent_rows": st.integers(50, 99)}),
)
makers = st.one_of(
    st.sampled_from(["none", "authors", None]),
    st.fixed_dictionaries(
        {"step": st.floats(0.1, 1e3)},
        optional={
            "num_steps": st.integers(1, 3),
            "clamp": st.booleans(),
            "per_row": st.integers(1, 3),
            "temperature": fractions,
            "weight": fractions,
        },
    ),
)
scenarios = st.fixed_dictionaries(
    {},
    optional={
        "dataset": st.sampled_from(["digits", "mnist", "cifar100", "tiny_imagenet"]),
        "num_tasks": st.integers(1, 10),
        "validation_fraction": fractions,
        "subset": fractions,
        "eval_subset": fractions,
        "blurry": fractions,
        "repeats": fractions,
        "imbalance": fractions,
    },
)
cuts = st.sampled_from([{}, {"tasks": [[0, 1], [5]]}, {"task_sizes": [4, 6]}, {"class_order": list(range(10))[::-1]}])
optimizers = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["sgd", "adam"]),
        "lr": st.one_of(fractions, st.just(1)),
        "weight_decay": fractions,
        "clip_norm": fractions,
    },
)
schedules = st.one_of(
    st.sampled_from(["none", "constant", "cosine"]),
    st.fixed_dictionaries(
        {"name": st.just("multistep"), "milestones": st.sampled_from([[0.5], [0.3, 0.6]])},
        optional={"gamma": fractions, "warmup": st.floats(0.01, 0.2), "span": st.sampled_from(["task", "run"])},
    ),
)
augments = st.one_of(
    st.just("none"),
    st.fixed_dictionaries(
        {},
        optional={
            "crop": st.integers(0, 4),
            "flip": st.booleans(),
            "normalise": st.just([[0.5, 0.5, 0.5], [0.2, 0.2, 0.2]]),
        },
    ),
)
trainings = st.fixed_dictionaries(
    {},
    optional={
        "batch_size": st.integers(1, 50),
        "epochs": st.integers(1, 5),
        "evaluate_every": st.integers(1, 99),
        "precision": st.sampled_from(["float32", "bfloat16"]),
        "channels_last": st.booleans(),
        "compile": st.booleans(),
        "label_smoothing": fractions,
        "device": st.sampled_from(["cpu", "auto"]),
        "save_weights": st.booleans(),
        "schedule": schedules,
        "augment": augments,
    },
)
networks = st.one_of(
    st.sampled_from(list(NETWORKS)).map(lambda name: {"name": name}),
    st.sampled_from([{"hidden": [20]}, {"hidden": []}, {"name": "convnet", "hidden": [8, 16]}]),
    st.integers(4, 20).map(lambda width: {"name": "resnet18", "width": width}),
)
chance = st.fixed_dictionaries(
    {},
    optional={"class_order": st.integers(0, 9), "initialisation": st.integers(0, 9), "stream": st.just("seed")},
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_settings_go_back(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    method = data.draw(st.sampled_from(list(REGISTRY)), label="method")
    cut = data.draw(cuts)
    scenario = data.draw(scenarios)
    if "tasks" in cut or "task_sizes" in cut:
        scenario.pop("num_tasks", None)
    setting = {
        "method": {"name": method},
        "scenario": scenario | cut,
        "training": data.draw(trainings, label="training"),
    }
    setting |= {"optimizer": data.draw(optimizers), "network": data.draw(networks)}
    setting |= {"randomness": {} if cut else data.draw(chance)}
    for name, tables in (("mask", masks), ("cfgm", makers)):
        table = data.draw(tables, label=name)
        setting |= {} if table is None else {name: table}
    policy = data.draw(st.sampled_from([None, *POLICIES]))
    setting["memory"] = {"size": data.draw(st.integers(1, 500))} | ({} if policy is None else {"policy": policy})
    assume(is_valid(setting))  # a method may take no mask
    goes_back(setting, tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("key", list(REGISTRY))
def test_every_option_of_every_method_goes_back(key: str, tmp_path: Path) -> None:
    from maskcl.experiment.schema import named_sections

    options = {name: field.default for name, field in named_sections["method"][key].model_fields.items()}
    for name, value in options.items():
        other = {bool: lambda v: not v, int: lambda v: v + 1, float: lambda v: v * 0.75}.get(type(value))
        if other is not None and name != "name":
            changed = {"method": {"name": key, name: other(value)}}
            if is_valid(changed):
                goes_back(changed, tmp_path)
    goes_back({"method": {"name": key}}, tmp_path)


def test_what_a_method_brings_and_what_was_switched_off_stay_apart(tmp_path: Path) -> None:
    brought = parse({"method": {"name": "er_ace"}}, "a")
    with pytest.warns(MaskclWarning, match="without its mask"):
        off = parse({"method": {"name": "er_ace"}, "mask": "none"}, "a")
    for config, mask in ((brought, dict), (off, str)):
        assert isinstance(sections_of(as_read(config.resolved(0, Told()), tmp_path), "r")["mask"], mask)


BASE = {
    "scenario": {"dataset": "digits", "num_tasks": 5, "task_sizes": None, "tasks": None},
    "network": {"name": "mlp"},
}


@pytest.mark.parametrize(
    ("section", "table", "words"),
    [
        ("scenario", {"dataset": "birds", "fingerprint": "ab"}, r"scenario.dataset: must be one that is known by name"),
        ("scenario", {"dataset": None}, r"scenario.dataset: must be one that is known by name"),
        (
            "network",
            {"name": "custom", "factory": "own.narrow"},
            r"network: must be .*given in Python, got 'own.narrow'",
        ),
        ("network", {"weights": "a.pt"}, r"network.weights: must be none, for a result does not tell where"),
    ],
)
def test_what_a_name_does_not_lead_to_is_refused_and_what_to_do_is_said(section: str, table: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"r.json: {words}.*\nhint: .*maskcl.repeat\(PATH, "):
        sections_of(BASE | {section: BASE[section] | table}, "r.json")


def test_a_scenario_given_in_python_is_refused() -> None:
    given = {"dataset": "digits", "fingerprint": "ab", "tasks": [[0], [1]]}
    with pytest.raises(ConfigError, match=r"r.json: scenario: must be told by settings, and was given in Python"):
        sections_of(BASE | {"scenario": given}, "r.json")
    assert "scenario" not in sections_of(BASE | {"scenario": given}, "r.json", given={"scenario"})


def test_other_data_and_other_settings_are_told_from_each_other() -> None:
    told = {"scenario": {"dataset": "cifar10", "fingerprint": "ab"}, "network": {"fingerprint": "x"}}
    check_restored(told, json.loads(json.dumps(told)), "r.json")
    with pytest.raises(
        DataError, match=r"scenario.dataset: must be the data .* \(fingerprint ab\).* \(no fingerprint\)"
    ):
        check_restored(told, {"scenario": {"dataset": "cifar10"}, "network": {"fingerprint": "y"}}, "r.json")
    with pytest.raises(ConfigError, match=r"r.json: network.fingerprint: must be as the result has it, 'x', got 'y'"):
        check_restored(told, told | {"network": {"fingerprint": "y"}}, "r.json")
