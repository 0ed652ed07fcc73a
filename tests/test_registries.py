"""Registries: open to Python and to installed packages, and loud about what cannot be registered."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

from maskcl.errors import ConfigError, MaskclWarning
from maskcl.registry import Registry


class Thing:
    """Something with a key."""


class Other:
    """Another thing."""


class Point:
    """An entry point of an installed package."""

    def __init__(self, name: str, thing: Any) -> None:
        self.name, self.value, self._thing = name, f"package:{name}", thing

    def load(self) -> Any:
        if isinstance(self._thing, Exception):
            raise self._thing
        return self._thing


def registry() -> Registry[type]:
    made: Registry[type] = Registry("method", where="method.name", group="maskcl.nothing")
    made.add("thing", Thing, aliases=("th+ing",))
    return made


def test_a_thing_is_found_by_key_and_alias_and_taken_out_with_its_aliases() -> None:
    found = registry()
    assert found.find("thing") is found.find("th+ing") is Thing
    assert (found.key("th+ing"), list(found), len(found)) == ("thing", ["thing"], 1)
    found.remove("th+ing")
    assert (dict(found), found.aliases) == ({}, {})


def test_a_wrong_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"method\.name: must be one of thing, got 'thin'\. Did you mean 'thing'\?"):
        registry().find("thin")
    with pytest.raises(ConfigError, match="got 3"):
        registry().find(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["", "two words", "a/b", 3])
def test_a_key_is_a_name(key: Any) -> None:
    with pytest.raises(ConfigError, match="method key: must be a name of letters"):
        registry().add(key, Other)


@pytest.mark.parametrize("key", ["thing", "th+ing"])
def test_a_key_that_is_taken_is_refused_and_the_same_thing_again_is_not(key: str) -> None:
    found = registry()
    with pytest.raises(ConfigError, match="method key: must be new"):
        found.add(key, Other)
    assert found.add("thing", Thing) is Thing


def test_installed_packages_are_asked_once_and_a_broken_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def entry_points(*, group: str) -> list[Point]:
        asked.append(group)
        return [Point("other", Other), Point("broken", ImportError("no module named x"))]

    monkeypatch.setattr("maskcl.registry.entry_points", entry_points)
    found = registry()
    with pytest.warns(MaskclWarning, match=r"method 'broken' of an installed package .* is left out: no module"):
        assert found["other"] is Other
    assert found.find("other") is Other
    assert asked == ["maskcl.nothing"]


def test_a_group_without_packages_adds_nothing() -> None:
    assert not importlib.metadata.entry_points(group="maskcl.nothing")
    assert list(registry()) == ["thing"]
