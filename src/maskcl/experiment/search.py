"""[tune]: what is searched for by `maskcl tune`, and by what it is judged.

    [tune]
    metric = "final_accuracy"                                    # may be left out
    seeds = 3                                                    # may be left out: the file's
    "optimizer.lr" = { low = 0.003, high = 0.3, log = true }     # a range
    "method.alpha" = [0.1, 0.2, 0.5]                             # a list

Only that command looks at it. `run` refuses a file that has it rather than run the values that are to be replaced.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from maskcl.errors import ConfigError, check, is_number, is_whole, message, nearest
from maskcl.experiment.config import UNTOLD
from maskcl.experiment.grid import check_key, told_keys, word_as_table
from maskcl.experiment.schema import PARTS, SECTIONS, known_keys, types_of
from maskcl.metrics.directions import better

__all__ = ["Choices", "Range", "Search", "is_tuned", "read_search", "takes_numbers", "without_search"]

_NOT_TUNED = ("scenario", "randomness", "training.evaluate_every", *(f"training.{key}" for key in UNTOLD))
"""What is judged and where it is computed, and nothing of how it is learnt."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: The smallest.
        high: The largest, above it.
        log: Whether factors count, and not differences; then `low` is above 0.
        whole: Whether they are whole numbers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """Its ends: if both are good, all between are."""
        return self.low, self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}" + (", log" if self.log else "")


@dataclass(frozen=True)
class Choices:
    """A list of values, in no order.

    Attributes:
        values: Two or more.
    """

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values

    def __str__(self) -> str:
        return "one of " + ", ".join(map(str, self.values))


@dataclass(frozen=True)
class Search:
    """What [tune] says.

    Attributes:
        space: Ranges and lists by dotted key, one or more.
        metric: What a trial is judged by.
        seeds: Runs of each trial, as `seeds` of the file; None: as the file says.
    """

    space: dict[str, Range | Choices]
    metric: str
    seeds: int | list[int] | None

    @property
    def higher(self) -> bool:
        """Whether more is better."""
        return better()[self.metric] == "higher"


def without_search(raw: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a file that `tune = "none"` says nothing is searched for in; raise ConfigError if there is a [tune]."""
    table = raw.get("tune", "none")
    hint = (
        f"maskcl tune {where} --budget N --out FILE writes a file with the best values; --set tune=none runs those here"
    )
    must = "must be left out: values are still to be searched for, and those of the file are not what is meant"
    check(isinstance(table, str) and table == "none", f"{where}: [tune]", must, hint=hint)
    return {name: part for name, part in raw.items() if name != "tune"}


def read_search(raw: Mapping[str, Any], where: str) -> tuple[Search, dict[str, Any]]:
    """Return what [tune] of a file says, and the file without it.

    Raises:
        ConfigError: For the first thing that is wrong with it.

    >>> search, rest = read_search({"method": "er", "tune": {"memory.size": {"low": 10, "high": 100}}}, "a.toml")
    >>> search.space["memory.size"].whole, search.metric, rest
    (True, 'final_accuracy', {'method': 'er'})
    """
    place = f"{where}: [tune]"
    hint = 'e.g. [tune] "optimizer.lr" = { low = 0.003, high = 0.3, log = true }'
    table = raw.get("tune", "none")
    check(table != "none", place, "must be given, and is missing", hint=hint)
    check(isinstance(table, Mapping), place, "must be a table", table)
    given = dict(table)
    metric, seeds = given.pop("metric", "final_accuracy"), given.pop("seeds", None)
    if metric not in better():
        must = "must be a metric that has a better end, final_accuracy and forgetting among them"
        raise ConfigError(message(f"{place} metric", must, metric, choices=better()))
    good = seeds is None or (is_whole(seeds) and seeds >= 1) or (isinstance(seeds, list) and len(seeds) > 0)
    check(good, f"{place} seeds", "must be a whole number, 1 or more, or a list of seeds", seeds)
    space: dict[str, Range | Choices] = {}
    for key, value in _axes(given):
        check_key(key, place, "that can be tuned")
        must = "must be left out: it says what is judged or how, not how it is learnt"
        check(is_tuned(key), f"{place} {key}", must)
        space[key] = _axis(key, value, place)
    check(len(space) > 0, place, "must have one or more keys to be tuned, and has none", hint=hint)
    _check_apart(space, place)
    return Search(space, metric, seeds), {name: part for name, part in raw.items() if name != "tune"}


def is_tuned(key: str) -> bool:
    """Return whether a key may be tuned: not what says what is judged."""
    return not any(key == part or key.startswith(f"{part}.") for part in _NOT_TUNED)


def takes_numbers(key: str, *, whole: bool = False) -> bool:
    """Return whether a key may be a number, and so have a range; with `whole`, whether only whole numbers."""
    kinds = {kind for hint in types_of(key) for kind in _alternatives(hint)}
    return int in kinds and float not in kinds if whole else bool(kinds & {int, float})


def _axes(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values: [tune.memory] size = .. is the same as [tune] "memory.size" = .."""
    for name, value in table.items():
        key = f"{prefix}{name}"
        inner = isinstance(value, Mapping) and key not in known_keys() and not {"low", "high"} & set(value)
        if inner or (isinstance(value, Mapping) and (key in SECTIONS or key in PARTS)):
            yield from _axes(value, f"{key}.")
        else:
            yield key, value


def _axis(key: str, value: Any, place: str) -> Range | Choices:
    if isinstance(value, Mapping):
        return _range(key, value, f"{place} {key}")
    must = "must be a range, { low = .., high = .. }, or a list of two or more values"
    hint = "what does not vary belongs in its own section"
    check(isinstance(value, (list, tuple)) and len(value) > 1, f"{place} {key}", must, value, hint=hint)
    alike = [word_as_table(key, each) for each in value]
    for i, each in enumerate(alike):
        same = any(each == other and isinstance(each, bool) == isinstance(other, bool) for other in alike[:i])
        check(not same, f"{place} {key}", "must have each value once, and has one twice", value[i])
    return Choices(tuple(value))


def _range(key: str, table: Mapping[str, Any], place: str) -> Range:
    known = ("low", "high", "log")
    for name, value in table.items():
        if name not in known:
            close = nearest(name, known)
            near = f" Did you mean {close!r}?" if close else "\nhint: keys are low, high, log"
            raise ConfigError(f"{place}: {name!r} is not a key of a range, got {value!r}.{near}")
    check("low" in table and "high" in table, place, "must have both ends, low and high", dict(table))
    if not takes_numbers(key):
        raise ConfigError(message(place, "must be a list of values, for it is no number", dict(table)))
    low, high, log, whole = table["low"], table["high"], table.get("log", False), takes_numbers(key, whole=True)
    for name, end in (("low", low), ("high", high)):
        check(is_number(end) and math.isfinite(end), f"{place}.{name}", "must be a finite number", end)
        check(not whole or is_whole(end), f"{place}.{name}", "must be a whole number, for only those can be set", end)
    check(isinstance(log, bool), f"{place}.log", "must be true or false", log)
    check(low < high, f"{place}.low", f"must be below high, {high!r}", low)
    check(not log or low > 0, f"{place}.low", "must be above 0 with log = true", low)
    return Range(low, high, log, whole=True) if whole else Range(float(low), float(high), log)


def _alternatives(hint: Any) -> Iterator[Any]:
    """The types that a value may have, lists and tables as a whole."""
    if typing.get_origin(hint) in (list, dict, tuple, typing.Literal):
        return
    parts = typing.get_args(hint)
    if not parts:
        yield hint
    for part in parts:
        yield from _alternatives(part)


def _check_apart(space: Mapping[str, Range | Choices], place: str) -> None:
    """Refuse a key that is tuned by itself and in the tables of a section."""
    for section, axis in space.items():
        inner = {told for value in axis.ends for told in told_keys(section, value)} if isinstance(axis, Choices) else ()
        for key in space:
            twice = key != section and key in inner
            check(not twice, f"{place} {key}", f"must be tuned once, and is in the tables of {section!r} too")
