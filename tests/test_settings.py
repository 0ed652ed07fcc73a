"""Dials are declared, and nothing else about a field decides what may differ between members."""

from __future__ import annotations

import dataclasses

from maskcl.settings import dial, is_dial, option


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
