"""What tells settings apart, in words: "memory.size=50", "no cfgm"."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from maskcl.cfgm import Cfgm

__all__ = ["FOUND", "flat_config", "own_words", "varying"]

FOUND = ("class", "fingerprint", "attributes", "weights_digest")
"""What a network's description holds beside its settings: of what was built, or read."""

_TOLD_FROM_ALL = ("scenario", "network")
"""Sections by which numbers of different methods are told apart too: accuracies on other data are no rivals."""


def varying(settings: Sequence[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, ...]]:
    """Return what tells each setting from others of its method, mask and seeds aside; by data and network, from all.

    Args:
        settings: The method's key and the configuration of each.

    Returns:
        Words such as "memory.size=50"; a list in a value has spaces.
    """
    parts = [{name: part for name, part in config.items() if name not in ("mask", "seeds")} for _, config in settings]
    names = sorted(set().union(*parts))
    every: dict[tuple[str, str], dict[str, Any]] = {}  # forms of a section by method, each once: grids have thousands
    for (method, _), part in zip(settings, parts, strict=True):
        for name in names:
            for of in (method, ""):
                every.setdefault((of, name), {})[repr(part.get(name))] = part.get(name)
    found = []
    for (method, _), part in zip(settings, parts, strict=True):
        words: list[str] = []
        for name in names:
            others = every["" if name in _TOLD_FROM_ALL else method, name]
            words += _differing(name, part.get(name), list(others.values()))
        found.append(tuple(words))
    return found


def _differing(name: str, mine: Any, every: Sequence[Any]) -> list[str]:
    """How one part of a configuration differs among settings: "memory.size=50", or "no cfgm" where others have one."""
    present = [part for part in every if part is not None]
    if len(present) < len(every) and len({repr(part) for part in present}) == 1:
        return [name if mine is not None else f"no {name}"]
    if name == "cfgm" and len({repr(part) for part in every}) > 1:  # its label leaves the defaults out
        return ["no cfgm"] if mine is None else own_words(Cfgm(**mine).label, [Cfgm(**part).label for part in present])
    if name == "network" and all(isinstance(part, Mapping) and "name" in part for part in every):
        return _differing_network(mine, every)
    return [f"{key}={value}" for key, value in _different(name, mine, every).items()]


def own_words(label: str, labels: Collection[str]) -> list[str]:
    """The words of a label that not all of several labels have, after its first.

    >>> own_words("cfgm step=2 clamp=True", ["cfgm step=2 clamp=True", "cfgm step=2"])
    ['cfgm', 'clamp=True']
    """
    shared = set.intersection(*(set(other.split()) for other in labels))
    first, *words = label.split()
    return [first, *(word for word in words if word not in shared)]


def _different(name: str, mine: Any, every: Sequence[Any]) -> dict[str, Any]:
    """The values of one part, by dotted name, that are not the same in all settings."""
    flats = [flat_config({name: part}) for part in every]
    own = sorted(flat_config({name: mine}).items())
    return {key: value for key, value in own if len({repr(flat.get(key)) for flat in flats}) > 1}


def _differing_network(mine: Mapping[str, Any], every: Sequence[Mapping[str, Any]]) -> list[str]:
    """A network by its key, and what was set differently in others of that key: other networks have other settings."""
    alike = [part for part in every if part["name"] == mine["name"]]
    named = [] if len(alike) == len(every) else [f"network={mine['name']}"]

    def told(part: Mapping[str, Any]) -> dict[str, Any]:
        set_by_hand = {name: value for name, value in part.items() if name not in FOUND}
        return _different("network", set_by_hand, alike)

    twins = [part for part in alike if told(part) == told(mine) and part != mine]
    values = _different("network", mine, alike) if twins else told(mine)  # only what was built tells them apart
    return named + [f"{key}={value}" for key, value in values.items()]


def flat_config(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested configuration with dotted names, as `--set` takes them."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= flat_config(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found
