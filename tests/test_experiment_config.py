from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from maskcl.cfgm import Cfgm
from maskcl.engine import TrainingConfig
from maskcl.errors import ConfigError
from maskcl.experiment.config import parse
from maskcl.experiment.schema import SECTIONS, json_schema, method_sections
from maskcl.experiment.world import World
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import REGISTRY
from maskcl.networks import NetworkConfig
from maskcl.optim import OptimizerConfig
from maskcl.results import config_hash

SETTINGS = {
    "mask": Mask,
    "cfgm": Cfgm,
    "memory": MemoryConfig,
    "network": NetworkConfig,
    "optimizer": OptimizerConfig,
    "training": TrainingConfig,
}


def hash_of(raw: dict[str, Any], seed: int = 0) -> str:
    return config_hash(parse(raw, "a.toml").resolved(seed, World()))


@pytest.mark.parametrize("section", SETTINGS)
def test_sections_have_the_fields_of_the_engines_settings(section: str) -> None:
    assert SECTIONS[section] == tuple(field.name for field in dataclasses.fields(SETTINGS[section]))


@pytest.mark.parametrize("key", REGISTRY)
def test_method_sections_have_the_fields_of_the_method(key: str) -> None:
    own = {field.name for field in dataclasses.fields(REGISTRY[key])} - {"mask", "cfgm"}
    assert set(method_sections[key].model_fields) == own | {"name"}


def test_every_key_is_described_for_editors() -> None:
    definitions = json_schema()["$defs"]
    bare = [
        f"{d}.{key}" for d, s in definitions.items() for key, p in s["properties"].items() if "description" not in p
    ]
    assert bare == []


@pytest.mark.parametrize("key", REGISTRY)
def test_defaults_are_those_of_the_engine(key: str) -> None:
    config = parse({"method": {"name": key}}, "a.toml")
    assert config.method == REGISTRY[key]()
    assert (config.network, config.optimizer, config.training) == (NetworkConfig(), OptimizerConfig(), TrainingConfig())
    assert config.memory == (MemoryConfig() if REGISTRY[key].needs_memory else None)


def test_no_mask_and_the_methods_own_mask_are_told_apart() -> None:
    assert parse({"method": {"name": "er_ace"}}, "").method.mask == REGISTRY["er_ace"]().mask
    assert parse({"method": {"name": "er_ace"}, "mask": "none"}, "").method.mask is None


def test_infinities_of_toml_arrive() -> None:
    assert parse({"method": {"name": "er"}, "mask": {"value": -np.inf}}, "").method.mask == Mask(value=-np.inf)


def test_aliases_are_the_method_itself() -> None:
    assert hash_of({"method": {"name": "der++"}}) == hash_of({"method": {"name": "derpp"}})


def test_python_objects_are_as_good_as_tables() -> None:
    objects = {
        "method": {"name": "er"},
        "mask": Mask(leak=0.1),
        "network": NetworkConfig(hidden=(5,)),
        "memory": MemoryConfig(size=7),
        "optimizer": {"lr": np.float64(0.5)},
        "training": {"epochs": np.int64(2)},
    }
    tables = {
        "method": {"name": "er"},
        "mask": {"leak": 0.1},
        "network": {"hidden": [5]},
        "memory": {"size": 7},
        "optimizer": {"lr": 0.5},
        "training": {"epochs": 2},
    }
    assert parse(objects, "") == parse(tables, "")


def test_authors_cfgm_follows_the_batch_size() -> None:
    config = parse({"method": {"name": "finetune"}, "cfgm": "authors", "training": {"batch_size": 5}}, "")
    assert config.method.cfgm == Cfgm.authors(5)


def test_memory_is_left_out_silently_only_where_the_grid_varies_the_method() -> None:
    raw = {"method": {"name": "finetune"}, "memory": {"size": 50}}
    assert parse(raw, "a.toml", varies_method=True).memory is None
    with pytest.raises(ConfigError, match=r"a.toml: \[memory\]: must not be given"):
        parse(raw, "a.toml")


def test_the_hash_tells_settings_and_not_seeds() -> None:
    raw = {"method": {"name": "er"}}
    assert hash_of(raw, seed=0) == hash_of(raw, seed=1) == hash_of(raw | {"seeds": 9, "name": "other"})
    assert hash_of(raw) != hash_of(raw | {"memory": {"size": 50}})
    assert hash_of(raw) != hash_of(raw | {"randomness": {"stream": 0}})


def test_defaults_written_out_do_not_change_the_hash() -> None:
    written = {"method": {"name": "er", "replay_batch": 10}, "scenario": {"num_tasks": 5}, "memory": {"size": 200}}
    assert hash_of(written) == hash_of({"method": {"name": "er"}})


def test_one_seed_enters_everywhere_but_the_class_order_unless_asked() -> None:
    seeds = parse({"method": {"name": "er"}}, "").resolved(3, World())["seeds"]
    assert seeds == {"run": 3, "class_order": None, "initialisation": 3, "stream": 3}
    randomness = {"class_order": "seed", "initialisation": 7}
    seeds = parse({"method": {"name": "er"}, "randomness": randomness}, "").resolved(3, World())["seeds"]
    assert seeds == {"run": 3, "class_order": 3, "initialisation": 7, "stream": 3}


def test_a_shuffled_class_order_reaches_the_run() -> None:
    config = parse({"method": {"name": "er"}, "randomness": {"class_order": "seed"}}, "")
    world = World()
    tasks = [config.spec(seed, label="", world=world).scenario.tasks for seed in (0, 1, 0)]
    assert tasks[0] == tasks[2] != tasks[1]


def test_runs_of_one_setting_share_their_scenario() -> None:
    config, world = parse({"method": {"name": "er"}}, ""), World()
    assert config.spec(0, label="", world=world).scenario is config.spec(1, label="", world=world).scenario
