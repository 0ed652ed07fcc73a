"""What varies between settings, as columns: a name and a value, instead of words in a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maskcl.cfgm import Cfgm
from maskcl.results.settings import Setting
from maskcl.results.varying import flat_config

__all__ = ["varied_columns"]

_APART = ("method", "mask", "cfgm")
"""Sections with a column of their own: that some settings lack one, or one of its keys, is told there."""
_DIALS = ("mask.leak", "mask.value", "mask.mass")
"""Numbers to draw against, so they are columns also where all else is no mask."""


def varied_columns(settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """Return what varies between settings, seeds aside, with dotted names as `--set` takes them.

    Args:
        settings: At least one.

    Returns:
        For each setting the same names, sorted; None where a setting has no such key. Lists are tuples. "cfgm" is the
        name of its CFGM, where settings differ in that.
    """
    flats = [_flat(s.config) for s in settings]
    names = sorted(set().union(*flats) - {"method.name"})
    kept = [name for name in names if _varies(name, flats)]
    return [{name: flat.get(name) for name in kept} for flat in flats]


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    sections = {name: part for name, part in config.items() if name != "seeds" and part is not None}
    flat = {name: _hashable(value) for name, value in flat_config(sections).items()}
    cfgm = config.get("cfgm")
    return flat | {"cfgm": "no cfgm" if cfgm is None else Cfgm(**cfgm).label}


def _varies(name: str, flats: Sequence[Mapping[str, Any]]) -> bool:
    known = [flat for flat in flats if name in flat]
    told_apart = name.split(".")[0] in _APART and name not in _DIALS
    return len({repr(flat.get(name)) for flat in (known if told_apart else flats)}) > 1


def _hashable(value: Any) -> Any:
    return tuple(_hashable(part) for part in value) if isinstance(value, list) else value
