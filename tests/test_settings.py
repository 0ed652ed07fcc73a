"""Dials are declared, and nothing else about a field decides what may differ between members."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from maskcl.errors import ConfigError
from maskcl.settings import check_declared, dial, is_dial, option


@dataclasses.dataclass(frozen=True)
class Some:
    """Settings with one dial."""

    weight: float = dial(0.5, "a weight, 0 or more")
    size: int = option(10, "rows")
    plain: float = 1.0


def test_only_what_is_declared_is_a_dial() -> None:
    assert {field.name: is_dial(field) for field in dataclasses.fields(Some)} == {
        "weight": True,
        "size": False,
        "plain": False,
    }


def test_fields_keep_default_and_description() -> None:
    assert Some() == Some(0.5, 10, 1.0)
    assert [field.metadata.get("doc") for field in dataclasses.fields(Some)] == ["a weight, 0 or more", "rows", None]


def declared(value: object, **limits: Any) -> None:
    check_declared(dataclasses.make_dataclass("Own", [("x", float, dial(0.5, "a number", **limits))])(value), "own")


@pytest.mark.parametrize(
    ("limits", "must", "good", "bad"),
    [
        ({}, "must be a number", (0, -3.5, math.inf), ("1", True, math.nan, None)),
        ({"most": 1}, "must be a number, 1 or less", (1, -7.0), ("1", 1.5, math.nan, -math.inf, None)),
        ({"least": 0}, "must be a number, 0 or more", (0, 10**400), ("1", -1, math.nan, math.inf)),
        ({"above": 0}, "must be above 0", (0.1, 5), ("1", 0, math.nan, math.inf)),
        ({"above": 0, "most": 1}, "must be above 0 and at most 1", (0.1, 1), ("1", 0, 2, math.nan)),
        ({"least": 0, "most": 1}, "must be between 0 and 1", (0, 1), ("1", -1, 2, math.nan)),
    ],
    ids=str,
)
def test_each_bound_of_a_dial_is_held_by_itself(
    limits: dict[str, float], must: str, good: tuple[object, ...], bad: tuple[object, ...]
) -> None:
    for value in good:
        declared(value, **limits)
    for value in bad:
        with pytest.raises(ConfigError) as raised:
            declared(value, **limits)
        assert str(raised.value) == f"own.x: {must}, got {value!r}."


def test_a_dial_may_be_left_out_where_that_is_its_default() -> None:
    kind = dataclasses.make_dataclass("Own", [("x", Any, dial(None, "a number", least=0))])
    check_declared(kind(None), "own")
    with pytest.raises(ConfigError, match=r"own\.x: must be a number, 0 or more, got -1"):
        check_declared(kind(-1), "own")
