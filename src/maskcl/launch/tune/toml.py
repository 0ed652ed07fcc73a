"""The tuned experiment as TOML: the file that was tuned, with its comments, and the best values in place of [tune].

Nothing else of ours imports tomlkit, which keeps what stands between the values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Item, Table, Whitespace

from maskcl.errors import ConfigError, message
from maskcl.experiment.grid import override

__all__ = ["as_toml", "edited", "says"]


def edited(text: str, sections: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return a file with [tune] and validation_fraction taken out and values set.

    Args:
        text: The file.
        sections: What is to come out.
        values: Dotted keys and the values that they get; where `sections` has a grid, that is what is set.

    Returns:
        Its text; where the layout does not allow the change, the sections without the comments.
    """
    sections = dict(sections)
    try:
        doc = tomlkit.parse(text.replace("\r\n", "\n"))
        if "name" not in doc:
            sections.pop("name", None)  # it was the file's, and will be the new file's
        for name in [name for name in doc if name not in sections or name == "grid"]:
            _take_out(doc, name)
        _drop(doc, "scenario", "validation_fraction")
        if "grid" in sections:
            doc["grid"] = _grid(sections["grid"])
        else:
            for key in sorted(values, key=lambda key: key.count(".")):  # whole sections first
                if key.partition(".")[0] in sections:
                    _set(doc, key, values[key])
        found = tomlkit.dumps(doc)
        if says(found, sections):
            return found
    except (TOMLKitError, TypeError, AttributeError):
        pass  # a layout that it cannot change, say a table in several places
    return as_toml(sections)


def as_toml(sections: Mapping[str, Any]) -> str:
    """Return sections as a file.

    Raises:
        ConfigError: They hold what TOML cannot say.
    """
    doc = tomlkit.document()
    plain = {name: part for name, part in sections.items() if not isinstance(part, Mapping)}
    for name, part in {**plain, **sections}.items():
        try:
            doc[name] = _grid(part) if name == "grid" else _table(part) if isinstance(part, Mapping) else _item(part)
        except (TOMLKitError, TypeError, ValueError):
            must = "must be left out where the experiment holds what no file can say"
            raise ConfigError(message("out", must, type(part).__name__)) from None
    return tomlkit.dumps(doc)


def says(text: str, sections: Mapping[str, Any]) -> bool:
    """Return whether a file says something, in whatever form; of its name it need not say anything."""
    found, meant = override(tomlkit.parse(text).unwrap(), {}, "out"), override(sections, {}, "out")
    return {"name": meant.get("name"), **found} == {"name": meant.get("name"), **meant}


def _take_out(doc: Any, name: str) -> None:
    """Remove a table, but for the comments that stand at its end and after an empty line: they are of what follows."""
    places = [i for i, (key, _) in enumerate(doc.body) if key is not None and key.key == name]
    if places:
        kept = Whitespace(_tail(doc.body[places[-1]][1]))
        del doc[name]
        doc.body[places[-1]] = (None, kept)


def _tail(item: Any) -> str:
    if isinstance(item, AoT):
        return _tail(item.body[-1])
    if not isinstance(item, Table):
        return ""
    body = item.value.body
    last = max((i for i, (key, _) in enumerate(body) if key is not None), default=-1)
    if last >= 0 and isinstance(body[last][1], (AoT, Table)):
        return _tail(body[last][1])
    rest = [part for _, part in body[last + 1 :]]
    empty = next((i for i, part in enumerate(rest) if isinstance(part, Whitespace)), len(rest))
    return "".join(part.as_string() for part in rest[empty + 1 :])


def _drop(doc: Any, section: str, key: str) -> None:
    if isinstance(doc.get(section), Mapping) and key in doc[section]:
        del doc[section][key]


def _set(doc: Any, key: str, value: Any) -> None:
    *homes, name = key.split(".")
    table = doc
    for depth, home in enumerate(homes):
        part = table.get(home)
        if not isinstance(part, Mapping):  # nothing, or a word, which is short for a table
            table[home] = tomlkit.table() if depth == 0 and part is None else tomlkit.inline_table()
            if isinstance(part, str):
                table[home]["name"] = str(part)
        table = table[home]
    if homes or not isinstance(value, Mapping):
        table[name] = _item(value)
        return
    after, whole = _tail(table.get(name)), _table(value)
    if after:
        whole.add(Whitespace(f"\n{after}"))
    table[name] = whole


def _grid(grid: Mapping[str, Any]) -> Item:
    """[[grid.zip]], a table a setting."""
    rows = tomlkit.aot()
    for row in grid["zip"]:
        rows.append(_table(row))
    table = tomlkit.table(is_super_table=True)
    table["zip"] = rows
    return table


def _table(table: Mapping[str, Any]) -> Table:
    found = tomlkit.table()
    for key, value in table.items():
        found[key] = _item(value)
    return found


def _item(value: Any) -> Item:
    if isinstance(value, Mapping):
        inline = tomlkit.inline_table()
        for key, part in value.items():
            inline[key] = _item(part)
        return inline
    if isinstance(value, Sequence) and not isinstance(value, str):
        array = tomlkit.array()
        for part in value:
            array.append(_item(part))
        return array
    return tomlkit.item(value)
