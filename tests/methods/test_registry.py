"""What holds for every registered method, so that a new one is tested unasked."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.methods import ALIASES, REGISTRY, describe, find


@pytest.mark.parametrize("key", REGISTRY)
def test_a_method_is_frozen_has_a_title_and_takes_the_mask_like_any_other(key: str) -> None:
    kind = REGISTRY[key]
    assert kind.key == key
    assert kind.title
    assert re.fullmatch(r"(\d{4}\.\d{5})?", kind.paper)
    mask = Mask(leak=0.1, policy="batch")
    method = kind(mask=mask)
    assert method.mask is mask
    assert method == kind(mask=mask)
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.mask = None  # type: ignore[misc]


@pytest.mark.parametrize("key", REGISTRY)
def test_every_hyper_parameter_says_what_it_is(key: str) -> None:
    rows = describe(key)
    assert [row["name"] for row in rows] == [field.name for field in dataclasses.fields(REGISTRY[key])]
    assert all(row["doc"] for row in rows)


@pytest.mark.parametrize("key", REGISTRY)
def test_a_method_draws_from_the_memory_if_and_only_if_it_needs_one(key: str) -> None:
    method = REGISTRY[key]()
    assert bool(method.draws) is method.needs_memory
    assert hasattr(method, "replay_from_task") is method.needs_memory


@pytest.mark.parametrize("key", REGISTRY)
def test_a_methods_file_stays_short(key: str) -> None:
    assert len(inspect.getsource(inspect.getmodule(REGISTRY[key])).splitlines()) <= 120  # type: ignore[arg-type]


def test_aliases_name_methods_and_a_wrong_key_names_the_nearest() -> None:
    assert {find(alias).key for alias in ALIASES} <= set(REGISTRY)
    assert find("der++") is REGISTRY["derpp"]
    with pytest.raises(ConfigError, match=r"method.name: must be one of .*, got 'fintune'\. Did you mean 'finetune'\?"):
        find("fintune")
