"""Valid settings go through TOML, JSON and dicts unchanged, in any order of keys, with defaults said or left out."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fuzzing.configurations import written
from fuzzing.settings import USUAL, draw_settings, every_key, usual

from maskcl.errors import MaskclError, MaskclWarning
from maskcl.experiment import read_experiment
from maskcl.experiment.grid import override
from maskcl.experiment.parsing import parse
from maskcl.experiment.schema import experiment_file
from maskcl.experiment.world import World
from maskcl.results import config_hash

WORLD = World()


def hash_of(raw: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MaskclWarning)
        config = parse(raw, "a.toml")
        config.spec(0, label="", world=WORLD)  # what the engine would refuse has no configuration
        return config_hash(config.resolved(0, WORLD))


def valid_settings(count: int) -> list[tuple[dict[str, Any], str]]:
    """Settings with their hashes."""
    found, number = [], 0
    while len(found) < count:
        raw, number = draw_settings(Random(f"properties {number}")), number + 1
        try:
            found.append((raw, hash_of(raw)))
        except MaskclError:
            continue
    assert number < 4 * count, "most that is drawn can be run"
    return found


SETTINGS = valid_settings(60)


def shuffled(table: Any, chance: Random) -> Any:
    if not isinstance(table, dict):
        return table
    return {key: shuffled(table[key], chance) for key in chance.sample(list(table), len(table))}


def test_settings_that_are_drawn_differ() -> None:
    assert len({found for _, found in SETTINGS}) > 50


def test_toml_and_json_hold_all_of_the_settings(tmp_path: Path) -> None:
    for raw, expected in SETTINGS:
        path = tmp_path / "a.toml"
        path.write_text(written(raw), encoding="utf-8")
        read, _ = read_experiment(path)
        assert read == {"name": "a"} | raw
        assert hash_of(read) == hash_of(json.loads(json.dumps(raw))) == expected


def test_the_order_of_keys_and_sections_changes_no_hash() -> None:
    for number, (raw, expected) in enumerate(SETTINGS):
        assert hash_of(shuffled(raw, Random(number))) == expected


def test_defaults_said_are_defaults_left_out() -> None:
    for raw, expected in SETTINGS:
        said = experiment_file().model_validate(raw).model_dump(exclude_none=True)
        assert len(str(said)) > len(str(raw))
        if {"tasks", "task_sizes", "num_tasks"}.isdisjoint(raw["scenario"]):
            said["scenario"]["num_tasks"] = 5
        assert hash_of(said) == expected


def test_a_key_that_is_set_from_outside_is_a_key_in_the_file() -> None:
    for number, (raw, _) in enumerate(SETTINGS):
        chance = Random(number)
        section, key, value = chance.choice(
            [("optimizer", "lr", 0.025), ("training", "epochs", 3), ("scenario", "subset", 0.2)]
        )
        inside = raw | {section: raw.get(section, {}) | {key: value}}
        try:
            expected = hash_of(inside)
        except MaskclError:  # gdumb takes no epochs
            continue
        assert hash_of(override(raw, {f"{section}.{key}": value}, "a.toml")) == expected


def test_the_hash_of_what_is_resolved_does_not_hang_on_the_run() -> None:
    for raw, expected in SETTINGS[:20]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MaskclWarning)
            config = parse(raw, "a.toml")
        assert {config_hash(config.resolved(seed, WORLD)) for seed in (0, 1, 7)} == {expected}


@pytest.mark.parametrize("key", every_key())
def test_every_key_of_a_file_is_drawn(key: str) -> None:
    assert usual(Random(0), key) is not None


def test_what_is_usual_is_said_of_keys_that_there_are() -> None:
    assert set(USUAL) <= {*every_key(), "training.schedule", "training.augment"}
