from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from maskcl.augment import Augment
from maskcl.cfgm import Cfgm
from maskcl.engine import TrainingConfig
from maskcl.errors import ConfigError, MaskclWarning
from maskcl.experiment.editors import json_schema
from maskcl.experiment.parsing import parse
from maskcl.experiment.schema import PARTS, SECTIONS, known_keys, named_sections
from maskcl.experiment.world import World
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import REGISTRY
from maskcl.networks import NETWORKS, Mlp
from maskcl.optim import OptimizerConfig
from maskcl.results import config_hash
from maskcl.schedule import Schedule

SETTINGS = {
    "mask": Mask,
    "cfgm": Cfgm,
    "memory": MemoryConfig,
    "optimizer": OptimizerConfig,
    "training": TrainingConfig,
}


def hash_of(raw: dict[str, Any], seed: int = 0) -> str:
    return config_hash(parse(raw, "a.toml").resolved(seed, World()))


@pytest.mark.parametrize("section", SETTINGS)
def test_sections_have_the_fields_of_the_engines_settings(section: str) -> None:
    assert SECTIONS[section] == tuple(field.name for field in dataclasses.fields(SETTINGS[section]))


@pytest.mark.parametrize("part", PARTS)
def test_tables_within_sections_have_the_fields_of_the_engines_settings(part: str) -> None:
    keys = [key.removeprefix(f"{part}.") for key in known_keys() if key.startswith(f"{part}.")]
    assert keys == [field.name for field in dataclasses.fields(PARTS[part])]


@pytest.mark.parametrize("key", REGISTRY)
def test_method_sections_have_the_fields_of_the_method(key: str) -> None:
    own = {field.name for field in dataclasses.fields(REGISTRY[key])} - {"mask", "cfgm"}
    assert set(named_sections["method"][key].model_fields) == own | {"name"}


@pytest.mark.parametrize("key", NETWORKS)
def test_network_sections_have_the_fields_of_the_network(key: str) -> None:
    own = {field.name for field in dataclasses.fields(NETWORKS[key])}
    assert set(named_sections["network"][key].model_fields) == own | {"name"}
    assert parse({"method": {"name": "er"}, "network": {"name": key}}, "").network == NETWORKS[key]()


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
    assert (config.network, config.optimizer, config.training) == (Mlp(), OptimizerConfig(), TrainingConfig())
    assert config.memory == (MemoryConfig() if REGISTRY[key]().needs.uses_memory else None)


def test_no_mask_and_the_methods_own_mask_are_told_apart() -> None:
    assert parse({"method": {"name": "er_ace"}}, "").method.mask == REGISTRY["er_ace"]().mask
    with pytest.warns(MaskclWarning, match="er_ace without its mask"):
        assert parse({"method": {"name": "er_ace"}, "mask": "none"}, "").method.mask is None


def test_infinities_of_toml_arrive() -> None:
    assert parse({"method": {"name": "er"}, "mask": {"value": -np.inf}}, "").method.mask == Mask(value=-np.inf)


def test_aliases_are_the_method_itself() -> None:
    assert hash_of({"method": {"name": "der++"}}) == hash_of({"method": {"name": "derpp"}})


def test_python_objects_are_as_good_as_tables() -> None:
    objects = {
        "method": {"name": "er"},
        "mask": Mask(leak=0.1),
        "network": Mlp(hidden=(5,)),
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


def test_what_changes_images_and_the_learning_rate_are_tables_within_training() -> None:
    augment, schedule = Augment(crop=2, normalise=((0.5,), (0.25,))), Schedule(name="multistep", milestones=(0.5,))
    tables = {
        "augment": {"crop": 2, "normalise": [[0.5], [0.25]]},
        "schedule": {"name": "multistep", "milestones": [0.5]},
    }
    config = parse({"method": {"name": "er"}, "training": {"epochs": 2, **tables}}, "")
    assert config.training == TrainingConfig(epochs=2, augment=augment, schedule=schedule)
    for own in (
        TrainingConfig(epochs=2, augment=augment, schedule=schedule),
        {"epochs": 2, "augment": augment, "schedule": schedule},
    ):
        assert parse({"method": {"name": "er"}, "training": own}, "") == config
    table = config.resolved(0, World())["training"]
    assert table["augment"] == {"crop": 2, "flip": False, "normalise": [[0.5], [0.25]]}
    assert table["schedule"]["milestones"] == [0.5]
    assert set(table) == {"batch_size", "epochs", "evaluate_every", "dtype", "augment", "schedule"}


@pytest.mark.parametrize("word", ["constant", "cosine"])
def test_a_word_is_the_schedule_of_that_name(word: str) -> None:
    for training in ({"schedule": word}, {"schedule": {"name": word}}):
        assert parse({"method": {"name": "er"}, "training": training}, "").training.schedule == Schedule(name=word)


def test_none_is_no_schedule_and_no_augmentation() -> None:
    config = parse({"method": {"name": "er"}, "training": {"schedule": "none", "augment": "none"}}, "")
    assert config.training == TrainingConfig()


def test_keys_that_came_later_leave_hashes_of_earlier_results_alone() -> None:
    plain = hash_of({"method": {"name": "er"}})
    assert plain == "633932c3"
    later = {"label_smoothing": 0.0, "save_weights": False, "augment": "none", "schedule": "none"}
    assert hash_of({"method": {"name": "er"}, "training": later}) == plain
    for training in ({"schedule": "cosine"}, {"augment": {"crop": 1}}, {"label_smoothing": 0.1}):
        assert hash_of({"method": {"name": "er"}, "training": training}) != plain


def test_keys_of_masks_from_counts_leave_hashes_of_earlier_masks_alone() -> None:
    er: dict[str, Any] = {"method": {"name": "er"}}
    masked = hash_of(er | {"mask": {"leak": 0.1}})
    assert masked == "246efe55"
    assert hash_of(er | {"mask": {"leak": 0.1, "memory_rows": "plain", "count": "rows"}}) == masked
    auto = [{}, {"memory_rows": "plain"}, {"power": 0.5}, {"count": "visits"}, {"count": "steps"}]
    hashes = [hash_of(er | {"mask": {"leak": "auto", **more}}) for more in auto]
    assert len({masked, *hashes}) == 6
    assert hash_of(er | {"mask": {"leak": "auto", "memory_rows": "prior"}}) == hashes[0]


def test_a_mask_from_counts_is_told_as_it_was_resolved() -> None:
    raw: dict[str, Any] = {"method": {"name": "er"}, "mask": {"leak": "auto", "power": 0.5}}
    told = parse(raw, "").resolved(0, World())["mask"]
    assert told["leak"] == "auto"
    assert told["memory_rows"] == "prior"
    assert told["power"] == 0.5
    assert "count" not in told
    assert parse(raw | {"mask": told}, "").method.mask == parse(raw, "").method.mask


@pytest.mark.parametrize("leak", ["aut", "", True, [0.1]])
def test_a_leak_that_is_neither_number_nor_auto_is_refused_in_one_sentence(leak: Any) -> None:
    with pytest.raises(ConfigError, match=r"^a\.toml: mask\.leak: must be a number or 'auto', got ") as caught:
        parse({"method": {"name": "er"}, "mask": {"leak": leak}}, "a.toml")
    assert len(str(caught.value).splitlines()) == 1


def test_whether_weights_are_kept_is_no_part_of_a_result() -> None:
    kept = parse({"method": {"name": "er"}, "training": {"save_weights": True}}, "")
    assert kept.training.save_weights
    assert "save_weights" not in kept.resolved(0, World())["training"]
    assert config_hash(kept.resolved(0, World())) == hash_of({"method": {"name": "er"}})


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
