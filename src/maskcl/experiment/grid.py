"""Grids: one file, many settings. And overrides, which set a key whatever file and grid say of it."""

from __future__ import annotations

import copy
import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from maskcl.errors import ConfigError, check, nearest
from maskcl.experiment.schema import NAMED, PARTS, SECTIONS, experiment_file, known_keys
from maskcl.networks import Network, as_network

__all__ = ["check_key", "combinations", "count", "expand", "override", "short_labels", "told_keys", "word_as_table"]

Raw = dict[str, Any]

_WHOLE = ("scenario.dataset", "network.options")
"""Tables whose keys mean nothing alone: the grid puts one in another's place, and does not lay it over."""


def expand(raw: Mapping[str, Any], where: str) -> tuple[list[Raw], list[str]]:
    """Return the settings of a file, every combination of the grid's axes, and the dotted keys that the grid sets.

    A table in the grid is laid over the file's section, or over a schedule or augmentation within [training]; a word
    ("none") takes its place.

    Args:
        raw: The file, with or without a "grid".
        where: The file's name, for messages.

    >>> settings, keys = expand({"method": "er", "grid": {"memory.size": [50, 200]}}, "a.toml")
    >>> [setting["memory"] for setting in settings], keys
    ([{'size': 50}, {'size': 200}], ['memory.size'])
    """
    settings, keys = [], dict[str, None]()
    for changes in combinations(raw, where):
        setting = _words_as_tables({name: copy.deepcopy(part) for name, part in raw.items() if name != "grid"})
        for key in sorted(changes, key=lambda key: key.count(".")):  # whole sections first, dotted keys go into them
            _lay(setting, key, copy.deepcopy(changes[key]), f"{where}: [grid]")
        settings.append(setting)
    for row in itertools.chain.from_iterable(_axes(raw, f"{where}: [grid]")):
        for key, value in row.items():
            keys |= dict.fromkeys(told_keys(key, value))
    return settings, list(keys)


def combinations(raw: Mapping[str, Any], where: str) -> list[Raw]:
    """Return what the grid sets in each setting of a file, by dotted key or section; of no grid, once nothing.

    >>> combinations({"method": "er", "grid": {"memory.size": [50, 200]}}, "a.toml")
    [{'memory.size': 50}, {'memory.size': 200}]
    """
    axes = _axes(raw, f"{where}: [grid]")
    return [{key: value for row in rows for key, value in row.items()} for rows in itertools.product(*axes)]


def told_keys(key: str, value: Any) -> list[str]:
    """Return the dotted keys under which a configuration has what a value sets."""
    value = word_as_table(key, value)
    if key == "scenario.dataset":  # a table is told by what it holds
        return [key, "scenario.fingerprint"]
    if key in PARTS:  # whatever it is, "none" too: defaults tell it from another
        return [f"{key}.{field.name}" for field in fields(PARTS[key])]
    if key == "network" and (isinstance(value, Network) or callable(value)):
        value = as_network(value).describe() | dict.fromkeys(("class", "fingerprint"))
    if not isinstance(value, Mapping):
        return [key]
    return [told for inner, part in value.items() for told in told_keys(f"{key}.{inner}", part)]


def count(raw: Mapping[str, Any], where: str) -> int:
    """Return how many settings `expand` makes of a file, without making them."""
    return math.prod(len(rows) for rows in _axes(raw, f"{where}: [grid]"))


def override(raw: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> Raw:
    """Return a file with dotted keys set: in its sections, and no longer by the grid.

    A key that begins with "grid." sets an axis instead.

    >>> override({"method": "er", "grid": {"memory.size": [50, 200]}}, {"memory.size": 20}, "a.toml")
    {'method': {'name': 'er'}, 'memory': {'size': 20}}
    """
    raw = _words_as_tables(copy.deepcopy(dict(raw)))
    grid = _grid(raw, f"{where}: [grid]")
    for key, values in grid.items():  # first: an axis that is empty already is none that an override has emptied
        _check_axis(key, values, _place(key, where))
    raw.pop("grid", None)
    for key, value in changes.items():
        key, axis = key.removeprefix("grid."), key.startswith("grid.")
        if key != "zip":
            kind = "that can vary" if axis else "of an experiment file"
            check_key(key, "--set", kind, top=() if axis else (*experiment_file().model_fields, "tune"))
        grid = {name: left for name, values in grid.items() if (left := _without(name, values, key))}
        if axis:
            _check_axis(key, value, f"--set grid.{key}")
            grid[key] = value
            continue
        home, _, name = key.rpartition(".")
        _table_at(raw, home, f"--set {key}")[name] = word_as_table(key, value)
    return raw | ({"grid": grid} if grid else {})


def _axes(raw: Mapping[str, Any], where: str) -> list[list[Raw]]:
    """Each axis as rows: what one value, or one zipped table, sets by key."""
    axes, owner = [], {}
    for key, values in _grid(raw, where).items():
        if key != "zip":
            check_key(key, where, "that can vary")
        _check_axis(key, values, _place(key, where.removesuffix(": [grid]")))
        rows = _zipped(values, where) if key == "zip" else [{key: value} for value in values]
        for name in rows[0]:
            check(name not in owner, f"{where} {name}", "must be set by one axis, and is set by two")
            owner[name] = key
        axes.append(rows)
    return axes


def _place(key: str, where: str) -> str:
    return f"{where}: [[grid.zip]]" if key == "zip" else f"{where}: [grid] {key}"


def _check_axis(key: str, values: Any, place: str) -> None:
    """Refuse an axis that is no list, or an empty one: it would say that nothing is to be run."""
    if key == "zip":
        good = isinstance(values, list) and values and all(isinstance(row, Mapping) and row for row in values)
        check(bool(good), place, "must be tables, each setting one or more keys", values)
        return
    must, hint = "must be a list of one or more values", "what does not vary belongs in its own section"
    check(isinstance(values, list) and len(values) > 0, place, must, values, hint=hint)


def _zipped(rows: list[Raw], where: str) -> list[Raw]:
    """The rows of the zipped axis."""
    where = where.replace("[grid]", "[[grid.zip]]")
    flat = [_dotted_row(row) for row in rows]
    for row in flat:
        for key in row:
            check_key(key, where, "that can vary")
        odd = sorted(set(flat[0]) ^ set(row))
        check(not odd, where, f"must set the same keys in every table, and {odd[:1]} is not in all")
    return flat


def _dotted_row(row: Mapping[str, Any]) -> Raw:
    """`memory.size = 50` written bare is a table in TOML, and is meant as the dotted key; sections stay whole."""
    found: Raw = {}
    for key, value in row.items():
        whole = not isinstance(value, Mapping) or key in ("method", "mask", "cfgm", "scenario.dataset")
        found |= {key: value} if whole else {f"{key}.{inner}": part for inner, part in value.items()}
    return found


def _grid(raw: Mapping[str, Any], where: str) -> Raw:
    """Axes by dotted key: [grid.memory] size = [..] is the same as [grid] "memory.size" = [..]."""
    grid = raw.get("grid", {})
    check(isinstance(grid, Mapping), where, "must be a table", grid)
    return _flat(grid)


def _flat(grid: Mapping[str, Any]) -> Raw:
    found: Raw = {}
    for key, value in grid.items():
        inner = _flat(value) if isinstance(value, Mapping) else None
        found |= {key: value} if inner is None else {f"{key}.{name}": axis for name, axis in inner.items()}
    return found


def check_key(key: str, where: str, kind: str, *, top: Sequence[str] = ()) -> None:
    """Refuse a dotted key that no section has; `kind` says what it is no key of."""
    known = [*top, *known_keys()]
    if key in known:
        return
    text = f"{where}: {key!r} is not a key {kind}."
    if key == "seeds":
        raise ConfigError(f"{text}\nhint: seeds = n at the top runs every setting n times")
    section, _, name = key.partition(".")
    for table in _WHOLE:
        must = f"must be set with its whole table, {table} = {{ ... }}"
        check(not key.startswith(f"{table}."), f"{where} {key}", must)
    if name and section in SECTIONS:  # the near ones are those of its section
        inner = [each.removeprefix(f"{section}.") for each in known if each.startswith(f"{section}.")]
        close, keys = nearest(name, inner), ", ".join(SECTIONS[section])
        near = f" Did you mean '{section}.{close}'?" if close else f"\nhint: keys of [{section}] are {keys}"
        raise ConfigError(text + near)
    close = nearest(key, known)
    raise ConfigError(text + (f" Did you mean {close!r}?" if close else f"\nhint: sections are {', '.join(SECTIONS)}"))


def _without(axis: str, values: Any, key: str) -> Any:
    """What an axis still sets once `key` is set otherwise; empty if nothing."""
    if axis == "zip" and isinstance(values, list) and all(isinstance(row, Mapping) for row in values):
        rows = [{k: left for k, part in row.items() if (left := _without(k, [part], key))} for row in values]
        return _unique([{k: left[0] for k, left in row.items()} for row in rows if row])
    if axis == key or axis.startswith(f"{key}."):
        return []
    if key.startswith(f"{axis}.") and isinstance(values, list):
        inner = key.removeprefix(f"{axis}.")
        return _unique([_cut(word_as_table(axis, value), inner) for value in values])
    return values


def _cut(table: Any, key: str) -> Any:
    """A table without a dotted key."""
    if not isinstance(table, Mapping):
        return table
    name, _, inner = key.partition(".")
    found = {k: part for k, part in table.items() if k != name}
    return found | ({name: _cut(table[name], inner)} if inner and name in table else {})


def _unique(values: Sequence[Any]) -> list[Any]:
    return [value for i, value in enumerate(values) if value not in values[:i]]


def _lay(setting: Raw, key: str, value: Any, where: str) -> None:
    """Set a dotted key, or lay a table over what is there."""
    if key == "training" and isinstance(value, Mapping):
        for name, part in value.items():
            _lay(setting, f"{key}.{name}", part, where)
        return
    home, _, name = key.rpartition(".")
    table, over = _table_at(setting, home, f"{where} {key}"), not isinstance(value, str) or key not in PARTS
    value, below = word_as_table(key, value), table.get(name)
    if over and (not home or key in PARTS) and isinstance(value, Mapping) and isinstance(below, Mapping):
        value = {**below, **value}
    table[name] = value


def _table_at(raw: Raw, key: str, where: str) -> Raw:
    """The table of a dotted key, made where there is none or the word "none"; of no key, the whole."""
    found = raw
    for i, name in enumerate(names := key.split(".") if key else []):
        path = ".".join(names[: i + 1])
        part = word_as_table(path, found.get(name))
        found[name] = {} if part is None or (isinstance(part, str) and part == "none") else part
        check(isinstance(found[name], dict), where, f"cannot be set in {path!r}, which is not a table", found[name])
        found = found[name]
    return found


def _words_as_tables(raw: Raw) -> Raw:
    return {name: word_as_table(name, part) for name, part in raw.items()}


def word_as_table(key: str, value: Any) -> Any:
    """Return what a value is short for: `method = "er"` is [method] name = "er"; so with networks and schedules."""
    if isinstance(value, str) and (key in NAMED or (key == "training.schedule" and value != "none")):
        return {"name": value}
    if key == "training" and isinstance(value, Mapping):
        return {name: word_as_table(f"{key}.{name}", part) for name, part in value.items()}
    return value


def short_labels(names: Sequence[str], values: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[str]:
    """Add to each name the values that tell settings apart, as few as do.

    Args:
        names: Labels so far, maybe some of them equal.
        values: What each setting has, by dotted key.
        keys: What may be told, the most telling first.

    >>> values = [{"memory.size": 200, "optimizer.lr": 0.1}, {"memory.size": 500, "optimizer.lr": 0.1}]
    >>> short_labels(["er m=0", "er m=0"], values, ["optimizer.lr", "memory.size"])
    ['er m=0 memory.size=200', 'er m=0 memory.size=500']
    """
    labels = list(names)
    for key in keys:
        alike = defaultdict(list)
        for i, label in enumerate(labels):
            alike[label].append(i)
        for label, same in alike.items():
            texts = {i: _text(values[i].get(key)) for i in same}
            if len(set(texts.values())) > 1:
                for i, text in texts.items():
                    labels[i] = f"{label} {key}={text}"
    return labels


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
