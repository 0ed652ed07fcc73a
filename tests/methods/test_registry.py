"""What holds for every registered method, so that a new one is tested unasked."""

from __future__ import annotations

import dataclasses
import inspect
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from maskcl.cfgm import Cfgm
from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.memory import POLICIES
from maskcl.methods import REGISTRY, Method, describe, find, register
from maskcl.methods.base import overrides
from maskcl.methods.er import ExperienceReplay


@pytest.mark.parametrize("key", REGISTRY)
def test_a_method_is_frozen_has_a_title_and_takes_the_mask_like_any_other(key: str) -> None:
    kind = REGISTRY[key]
    assert kind.key == key
    assert kind.title
    assert re.fullmatch(r"(\d{4}\.\d{5})?", kind.paper)
    mask = Mask(leak=0.1, policy="batch")
    if reason := kind().needs.no_mask:
        with pytest.raises(ConfigError, match=f"mask: must be left out with method '{key}', which {reason}"):
            kind(mask=mask)
        mask = None
    method = kind(mask=mask)
    assert method.mask is mask
    assert method == kind(mask=mask)
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.mask = None  # type: ignore[misc]


@pytest.mark.parametrize("key", REGISTRY)
def test_a_method_takes_cfgm_or_says_why_not(key: str) -> None:
    kind, cfgm = REGISTRY[key], Cfgm(step=1.0)
    if reason := kind().needs.no_cfgm:
        with pytest.raises(ConfigError, match=f"cfgm: must be left out with method '{key}', which {reason}"):
            kind(cfgm=cfgm)
    else:
        assert kind(cfgm=cfgm).cfgm is cfgm


@pytest.mark.parametrize("key", REGISTRY)
def test_every_hyper_parameter_says_what_it_is(key: str) -> None:
    rows = describe(key)
    assert [row["name"] for row in rows] == [field.name for field in dataclasses.fields(REGISTRY[key])]
    assert all(row["doc"] for row in rows)


@pytest.mark.parametrize("key", REGISTRY)
def test_a_method_needs_a_memory_if_it_draws_from_one_or_says_so(key: str) -> None:
    method: Any = REGISTRY[key]()
    needs = method.needs
    assert needs.uses_memory is (bool(needs.draws) or needs.memory)
    assert needs.memory is any(phase.rows == "memory" for phase in method.phases(1, 3))
    assert needs.policy in POLICIES
    assert needs.replay_from_task == getattr(method, "replay_from_task", 0)
    assert not hasattr(method, "replay_from_task") or needs.draws
    assert set(needs.teacher) <= {"stream", "memory"}


@pytest.mark.parametrize("key", REGISTRY)
def test_a_method_that_draws_candidates_selects_among_them(key: str) -> None:
    method = REGISTRY[key]()
    assert any(draw.candidates for draw in method.needs.draws) is overrides(method, "select")


@pytest.mark.parametrize("key", REGISTRY)
def test_a_methods_file_stays_short(key: str) -> None:
    assert len(inspect.getsource(inspect.getmodule(REGISTRY[key])).splitlines()) <= 120  # type: ignore[arg-type]


def test_aliases_name_methods_and_a_wrong_key_names_the_nearest() -> None:
    assert {find(alias).key for alias in REGISTRY.aliases} <= set(REGISTRY)
    assert {"sgd", "der++", "er-ace", "oewc"} <= set(REGISTRY.aliases)
    assert find("der++") is REGISTRY["derpp"]
    with pytest.raises(ConfigError, match=r"method.name: must be one of .*, got 'fintune'\. Did you mean 'finetune'\?"):
        find("fintune")


def test_a_method_of_ones_own_is_known_under_its_key_and_aliases() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Mine(ExperienceReplay):
        key: ClassVar[str] = "test_mine"
        title: ClassVar[str] = "Mine"

    try:
        assert register(Mine, aliases=("test-mine",)) is Mine
        assert find("test-mine") is find("test_mine") is Mine
        assert register(Mine) is Mine  # the same thing again is no error
    finally:
        REGISTRY.remove("test_mine")
    assert "test_mine" not in REGISTRY
    assert "test-mine" not in REGISTRY.aliases


class Thawed(ExperienceReplay):
    """Inherits a frozen dataclass and is none itself."""

    key = "thawed"


@dataclass(frozen=True, kw_only=True)
class Untitled(Method):
    key: ClassVar[str] = "untitled"


@dataclass(frozen=True, kw_only=True)
class Taken(ExperienceReplay):
    """Has the key of the class that it inherits."""


@pytest.mark.parametrize(
    ("method", "text"),
    [
        (
            ExperienceReplay(),
            "register: must be given a class derived from maskcl.methods.Method, got ExperienceReplay",
        ),
        (Mask, "register: must be given a class derived from maskcl.methods.Method, got <class"),
        (Thawed, r"register: Thawed: must be a dataclass\(frozen=True, kw_only=True\)"),
        (Untitled, r"register: Untitled\.title: must be a string"),
        (Taken, "method key: must be new, and 'er' is .* already, got 'er'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_method_cannot_be_registered(method: Any, text: str) -> None:
    before = dict(REGISTRY)
    with pytest.raises(ConfigError, match=text):
        register(method)
    assert dict(REGISTRY) == before
