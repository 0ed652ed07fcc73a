"""What pydantic found wrong, in our own one sentence: where, what must hold, what was given, the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from pydantic import ValidationError

from maskcl.errors import message, nearest
from maskcl.experiment.schema import NAMED, PARTS, SECTIONS, experiment_file, known_keys, named_sections
from maskcl.experiment.sections import OWN_DATA, form_of

__all__ = ["sentence"]

_FORMS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a string",
    "bool_type": "true or false",
    "list_type": "a list",
    "model_type": "a table of settings",
    "model_attributes_type": "a table of settings",
    "dict_type": "a table of settings",
}

Path = tuple[str | int, ...]


def sentence(error: ValidationError, raw: Mapping[str, Any], where: str) -> str:
    """Word the first thing that is wrong.

    Args:
        error: What pydantic says of `raw`.
        raw: The sections, without a grid.
        where: The file's name.
    """
    found = [(_path(e["loc"], raw, e["type"] == "missing"), e) for e in error.errors()]
    # Where a word or a table will do, pydantic complains of both; the deeper complaint is of the form that was meant.
    path = next(p for p, _ in found if not any(len(q) > len(p) and q[: len(p)] == p for q, _ in found))
    here = [e for p, e in found if p == path]
    if here[0]["type"] == "extra_forbidden":
        return _unknown_key(path, here[0]["input"], raw, where)
    if len(path) == 1 and path[0] in NAMED and not isinstance(here[0]["input"], Mapping):
        must = "must be a name, or a table of settings with a name"
        return message(f"{where}: {_dotted(path)}", must, here[0]["input"])
    if here[0]["type"] == "missing":  # and here under another spelling?
        beside = [(p, e) for p, e in found if e["type"] == "extra_forbidden" and p[:-1] == path[:-1]]
        for other, e in beside:
            if nearest(str(other[-1]), _needed(path)):
                return _unknown_key(other, e["input"], raw, where)
    if here[0]["type"] in ("missing", "union_tag_not_found"):
        lacks_method = path in (("method",), ("method", "name"))
        name = "method.name" if lacks_method else _dotted(path)
        hint = '[method] name = "er"' if lacks_method else None
        return message(f"{where}: {name}", "must be given, and is missing", hint=hint)
    words = [
        word for e in here if e["type"] == "literal_error" for word in re.findall("'([^']*)'", e["ctx"]["expected"])
    ]
    given = here[0]["input"]
    return message(f"{where}: {_dotted(path)}", _must(here), given, choices=words if isinstance(given, str) else None)


def _path(loc: Sequence[str | int], raw: Any, missing: bool) -> Path:
    """Where in `raw` an error is: pydantic's location without the names of union members in it."""
    path: list[str | int] = []
    for part in loc:
        if (isinstance(raw, Mapping) and part in raw) or (isinstance(raw, list) and isinstance(part, int)):
            raw = raw[part]  # type: ignore[index]
            path.append(part)
    return (*path, loc[-1]) if missing else tuple(path)


def _dotted(path: Path) -> str:
    """The name of a value.

    >>> _dotted(("scenario", "tasks", 0))
    'scenario.tasks[0]'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _needed(path: Path) -> list[str]:
    """The key that is missing, or those of which one is."""
    return list(OWN_DATA) if _dotted(path[:-1]) == "scenario.dataset" else [str(path[-1])]


def _unknown_key(path: Path, given: Any, raw: Mapping[str, Any], where: str) -> str:
    section, key = (None, str(path[0])) if len(path) == 1 else (str(path[0]), str(path[-1]))
    part = _dotted(path[:-1])
    if section is None:
        known, owner, place = [*experiment_file().model_fields, "grid", "tune"], "an experiment file", ""
    elif part in PARTS:
        known = [name.removeprefix(f"{part}.") for name in known_keys() if name.startswith(f"{part}.")]
        owner, place = f"[{part}]", f"{part}: "
    elif part == "scenario.dataset":
        kind = OWN_DATA[form_of(raw["scenario"]["dataset"])]
        known = [*dict.fromkeys([*(field.name for field in fields(kind)), *OWN_DATA])]
        owner, place = f"[{part}]", f"{part}: "
    elif section in NAMED:
        name = NAMED[section].key(raw[section]["name"])
        model = named_sections[section][NAMED[section].settings_key(name)]
        known, owner, place = list(model.model_fields), repr(name), f"[{section}] "
    else:
        known, owner, place = list(SECTIONS[section]), f"[{section}]", f"[{section}] "
    text = f"{where}: {place}{key!r} is not a key of {owner}, got {given!r}."
    homes = [f"[{name}]" for name, keys in SECTIONS.items() if key in keys and name != section]
    if homes and key != "name" and part != "scenario.dataset":
        return f"{text}\nhint: {key!r} is a key of {' and '.join(homes)}"
    close = nearest(key, known)
    return text + (f" Did you mean {close!r}?" if close else f"\nhint: keys are {', '.join(known)}")


def _must(errors: Sequence[Any]) -> str:
    """What must hold, of all forms that a value may have."""
    forms = [e["ctx"]["expected"] if e["type"] == "literal_error" else _FORMS.get(e["type"]) for e in errors]
    if None in forms:
        text = str(errors[0]["msg"])
        return text[0].lower() + text[1:]
    return "must be " + " or ".join(dict.fromkeys(str(form) for form in forms))
