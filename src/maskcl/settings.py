"""How frozen settings declare themselves: what a field means, and whether members of a population may differ in it."""

from __future__ import annotations

from dataclasses import field
from typing import Any

__all__ = ["dial", "is_dial", "option"]


def option(default: Any, doc: str = "") -> Any:
    """A setting with its unit and range, for the printed description; runs that differ in it are not stacked."""
    return field(default=default, metadata={"doc": doc, "dial": False})


def dial(default: Any, doc: str = "") -> Any:
    """A hyper-parameter that may differ between stacked runs: a float, or in a population a tensor [K].

    Only what enters as a number may be a dial, never what changes the shape of the computation.
    """
    return field(default=default, metadata={"doc": doc, "dial": True})


def is_dial(one: Any) -> bool:
    """Whether a dataclass field was declared with `dial`."""
    return bool(one.metadata.get("dial", False))
