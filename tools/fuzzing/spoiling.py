"""What goes wrong in an experiment file: each function spoils sections in one way, and returns the names it touched."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from fuzzing.odd import odd_number, odd_text, odd_value
from fuzzing.settings import every_key, usual
from maskcl.experiment.schema import SECTIONS, known_keys

__all__ = ["SPOILING", "spoil"]

Raw = dict[str, Any]
Names = tuple[str, ...]

LONG = {"training.compile": False, "cfgm.num_steps": 3}
"""Keys of which nearly any value is valid, and many a one takes minutes before a run can be stopped."""

CONFLICTS: tuple[Raw, ...] = (
    {"mask": {"value": -1.0, "leak": 0.5}},
    {"mask": {"leak": 0.5, "policy": "recent"}},
    {"mask": {"leak": 0.5, "recent_rows": 9}},
    {"mask": {"value": -1.0, "old_scale": 0.5}},
    {"mask": {"leak": 0.1, "from_task": 99}},
    {"scenario": {"num_tasks": 5, "tasks": [[0, 1]]}},
    {"scenario": {"tasks": [[0, 1], [1, 2]]}},
    {"scenario": {"task_sizes": [5, 6]}},
    {"scenario": {"blurry": 0.5}, "mask": {"leak": 0.1}},
    {"scenario": {"class_order": list(range(10))}, "randomness": {"class_order": "seed"}},
    {"method": {"name": "finetune"}, "memory": {"size": 20}},
    {"method": {"name": "er"}, "memory": {"size": 0}},
    {"method": {"name": "gdumb"}, "training": {"epochs": 3}},
    {"memory": {"size": 3, "policy": "ring"}},
    {"network": {"name": "mlp", "width": 3}},
    {"training": {"batch_size": 500}},
    {"training": {"channels_last": True}},
    {"training": {"precision": "bfloat16", "dtype": "float64"}},
    {"training": {"schedule": {"name": "cosine", "milestones": [0.5]}}},
    {"training": {"augment": {"crop": 99}}},
    {"optimizer": {"name": "adam", "momentum": 0.9}},
    {"optimizer": {"lr": 1e30}},
)
"""Pairs of settings that exclude each other, or that are only wrong together with the rest."""


def spoil(raw: Raw, chance: Random) -> Names:
    """Spoil sections in one way, in place; return the names of what was touched, none where that is not one thing."""
    touched = chance.choice(SPOILING)(raw, chance)
    for key, harmless in LONG.items():
        section, _, name = key.rpartition(".")
        table = raw.get(section)
        if isinstance(table, dict) and type(table.get(name)) is type(harmless) and table[name] not in range(4):
            table[name] = harmless
    return touched


def _value(raw: Raw, chance: Random) -> Names:
    """Another type or size."""
    key = chance.choice(every_key())
    _put(raw, key, odd_value(chance))
    return tuple(key.split("."))


def _number(raw: Raw, chance: Random) -> Names:
    """A number that is there, at an edge."""
    places = [
        (s, k) for s, t in raw.items() if isinstance(t, dict) for k, v in t.items() if isinstance(v, (int, float))
    ]
    if not places:
        return _value(raw, chance)
    section, key = chance.choice(places)
    old = raw[section][key]
    raw[section][key] = chance.choice((odd_number(chance), -old, str(old), [old], old * 1000))
    return (section, key)


def _moved(raw: Raw, chance: Random) -> Names:
    """A key in a section that has no such key, or at the top."""
    key = chance.choice(every_key())
    section, name = chance.choice((*SECTIONS, "")), key.rpartition(".")[2]
    _put(raw, f"{section}.{name}" if section else name, usual(chance, key))
    return (section, name)


def _misspelt(raw: Raw, chance: Random) -> Names:
    """A key, a section or a word with a letter too many, too few, or another."""
    tables = [table for table in (raw, *raw.values()) if isinstance(table, dict) and table]
    table = chance.choice(tables)
    key = chance.choice(list(table))
    if isinstance(table[key], str) and chance.random() < 0.5:
        table[key] = _typo(table[key], chance)
        return (key,)
    new = _typo(key, chance)
    table[new] = table.pop(key)
    return (key, new)


def _unknown(raw: Raw, chance: Random) -> Names:
    """A key that nobody knows."""
    name = odd_text(chance) or "x"
    section = chance.choice((*SECTIONS, ""))
    _put(raw, f"{section}.{name}" if section else name, odd_value(chance), whole=True)
    return ()


def _flat(raw: Raw, chance: Random) -> Names:
    """A section that is a value, or a value that is a section."""
    section = chance.choice((*SECTIONS, "seeds", "name", "grid", "tune"))
    raw[section] = odd_value(chance)
    return (section,)


def _nested(raw: Raw, chance: Random) -> Names:
    """A section within another, or within itself."""
    tables = [name for name, part in raw.items() if isinstance(part, dict)]
    inner, outer = chance.choice(tables), chance.choice(tables)
    raw[outer] = dict(raw[outer]) | {inner: dict(raw[inner])}
    return (outer, inner)


def _gone(raw: Raw, chance: Random) -> Names:
    """A section, or a key of it, left out."""
    section = chance.choice(list(raw))
    if isinstance(raw[section], dict) and raw[section] and chance.random() < 0.6:
        key = chance.choice(list(raw[section]))
        del raw[section][key]
    else:
        del raw[section]
    return ()


def _conflict(raw: Raw, chance: Random) -> Names:
    """Settings that exclude each other."""
    for section, table in chance.choice(CONFLICTS).items():
        below = raw.get(section)
        raw[section] = (dict(below) if isinstance(below, dict) and section != "mask" else {}) | dict(table)
    return ()


def _grid(raw: Raw, chance: Random) -> Names:
    """Axes, of any size and form."""
    grid: Raw = {}
    for _ in range(chance.randint(1, 3)):
        key = chance.choice(known_keys())
        values: Any = [usual(chance, key) if "." in key else odd_value(chance) for _ in range(chance.randint(1, 3))]
        grid[key] = chance.choice((values, values, odd_value(chance), [*values, odd_value(chance)]))
    if chance.random() < 0.3:
        grid["zip"] = chance.choice(([{"memory.size": 11}, {"memory.size": 12}], [{}], odd_value(chance)))
    raw["grid"] = grid
    return ()


def _huge_grid(raw: Raw, chance: Random) -> Names:
    """More runs than anybody has time for."""
    many = 400
    raw["grid"] = {"optimizer.lr": [0.001 * (i + 1) for i in range(many)], "memory.size": list(range(10, 10 + many))}
    if chance.random() < 0.5:
        raw["seeds"] = chance.choice((10**6, 10**12, list(range(many))))
    return ()


def _small_grid(raw: Raw, chance: Random) -> Names:
    """A grid as it should be."""
    key = chance.choice(("optimizer.lr", "training.batch_size", "mask", "method"))
    raw["grid"] = {key: {"mask": ["none", {"leak": 0.1}], "method": ["er", "derpp", "finetune"]}.get(key, [1, 2])}
    return ()


def _tune(raw: Raw, chance: Random) -> Names:
    """A search, of any form."""
    ranges = ({"low": 0.01, "high": 1.0}, {"low": 1.0, "high": 0.01}, [1, 2], odd_value(chance))
    raw["tune"] = chance.choice(("none", {chance.choice(known_keys()): chance.choice(ranges)}, odd_value(chance)))
    return ()


def _put(raw: Raw, key: str, value: Any, *, whole: bool = False) -> None:
    """Set a dotted key, whatever stood in its way."""
    *path, name = key.split(".", 1) if whole else key.split(".")
    table = raw
    for part in path:
        inner = table.get(part)
        table[part] = dict(inner) if isinstance(inner, dict) else {}
        table = table[part]
    table[name] = value


def _typo(word: str, chance: Random) -> str:
    at = chance.randrange(len(word)) if word else 0
    letter = chance.choice("aexz_-")
    before, after = word[:at], word[at + 1 :]
    changed = (before + after, before + letter + word[at:], before + letter + after, word.upper(), word + "s")
    return chance.choice(changed) or "x"


SPOILING: tuple[Callable[[Raw, Random], Names], ...] = (
    _value, _value, _value, _number, _number, _moved, _misspelt, _misspelt, _unknown, _flat, _nested, _gone, _conflict,
    _conflict, _grid, _small_grid, _huge_grid, _tune,
)  # fmt: skip
