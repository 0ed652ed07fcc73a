"""The JSON schema of experiment files, which editors complete and check with; committed beside the experiments."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from maskcl.experiment.schema import NAMED, PARTS, SECTIONS, experiment_file
from maskcl.experiment.search import is_tuned, takes_numbers
from maskcl.metrics.directions import better

__all__ = ["json_schema"]


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of experiment files, of what is registered at the moment.

    A method is not required: the grid may set it.
    """
    schema = experiment_file().model_json_schema()
    schema["title"] = "maskcl experiment"
    schema.pop("required")
    properties = schema["properties"]
    lists = {
        f"{section}.{key}": _list_of(_field(schema, section, key)) for section, keys in SECTIONS.items() for key in keys
    }
    parts = {
        f"{part}.{field.name}": _list_of({"$ref": f"#/$defs/{kind.__name__}Section/properties/{field.name}"})
        for part, kind in PARTS.items()
        for field in fields(kind)
    }
    for section in NAMED:
        outer = {
            name: properties[section].pop(name) for name in ("default", "description") if name in properties[section]
        }
        properties[section] = outer | {"anyOf": [*_names(section), properties[section]]}
    sections: dict[str, Any] = {}
    for section, keys in SECTIONS.items():
        inner = {key: _axis(f"{section}.{key}", lists, parts) for key in keys}
        whole = {name: part for name, part in properties[section].items() if name not in ("default", "description")}
        sections[section] = {"anyOf": [_list_of(whole), _table_of(inner)]}
    row = {key: axis["items"] for key, axis in (lists | parts).items()}
    row |= {section: forms["anyOf"][0]["items"] for section, forms in sections.items()}
    rows = _table_of(row) | {"minProperties": 1}
    properties["grid"] = {
        "type": "object",
        "description": "What varies: every key (dotted, or a section) has a list, and all lists multiply. "
        "[[grid.zip]] tables are the rows of one more axis that sets several keys together.",
        "properties": {"zip": _list_of(rows), **sections, **lists, **parts},
        "additionalProperties": False,
    }
    properties["tune"] = _search(schema, lists | parts, row)
    return schema


def _search(schema: dict[str, Any], keys: dict[str, Any], forms: dict[str, Any]) -> dict[str, Any]:
    """The schema of [tune]: ranges of numbers and lists of values, by dotted key or by section."""
    seeds = {name: part for name, part in schema["properties"]["seeds"].items() if name not in ("default", "title")}
    schema["$defs"]["Range"] = _RANGE
    space: dict[str, Any] = {}
    for key in (*forms, *keys):
        if is_tuned(key):
            choices = {"type": "array", "minItems": 2, "items": forms[key]}
            space[key] = {"anyOf": [choices, {"$ref": "#/$defs/Range"}]} if takes_numbers(key) else choices
    sections: dict[str, Any] = {}
    for key in space:
        section, _, name = key.rpartition(".")
        if section and section not in PARTS:
            sections.setdefault(section, {})[name] = {"$ref": f"#/properties/tune/anyOf/1/properties/{key}"}
    space |= {name: {"anyOf": [space[name], _table_of(inner)]} for name, inner in sections.items()}
    metric = {"enum": list(better()), "description": "What trials are judged by; final_accuracy by default."}
    seeds["description"] = "Runs of each trial; by default those of the file."
    return {
        "description": "What `maskcl tune` searches, by dotted key: a range or a list. "
        '"none": nothing, and `maskcl run` takes the values of the file.',
        "anyOf": [{"const": "none"}, _table_of({"metric": metric, "seeds": seeds, **space}) | {"minProperties": 1}],
    }


_RANGE = {
    "type": "object",
    "properties": {
        "low": {"type": "number", "description": "The smallest value."},
        "high": {"type": "number", "description": "The largest value."},
        "log": {"type": "boolean", "description": "Spread factors evenly, not differences; low is then above 0."},
    },
    "required": ["low", "high"],
    "additionalProperties": False,
}


def _names(section: str) -> list[dict[str, Any]]:
    """The schemas of a name: one of the words, or any that begins with a family."""
    registry = NAMED[section]
    patterns = [{"type": "string", "pattern": f"^{family}/.+$"} for family in registry.families]
    return [{"enum": [*registry, *registry.aliases]}, *patterns]


def _field(schema: dict[str, Any], section: str, key: str) -> dict[str, Any]:
    """The schema of one value, by reference to where its section has it; of all forms, where names differ in it."""
    if section in NAMED and key == "name":
        names = _names(section)
        return names[0] if len(names) == 1 else {"anyOf": names}
    forms: dict[str, str] = {}
    for ref in _models(schema["properties"][section]):
        fields = schema["$defs"][ref.removeprefix("#/$defs/")]["properties"]
        if key in fields:
            told = ("title", "description", "default")
            form = {name: part for name, part in fields[key].items() if name not in told}
            forms.setdefault(repr(form), f"{ref}/properties/{key}")
    refs = [{"$ref": ref} for ref in forms.values()]
    return refs[0] if len(refs) == 1 else {"anyOf": refs}


def _models(part: dict[str, Any]) -> list[str]:
    """The references to models in a section's schema."""
    found = [part["$ref"]] if "$ref" in part else []
    for form in (*part.get("oneOf", ()), *part.get("anyOf", ()), *part.get("allOf", ())):
        found += _models(form)
    return found


def _axis(key: str, lists: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """What [grid.section] may have under a key: a list, or where the value is a table also a table of lists."""
    if key not in PARTS:
        return lists[key]
    inner = {name.removeprefix(f"{key}."): axis for name, axis in parts.items() if name.startswith(f"{key}.")}
    return {"anyOf": [lists[key], _table_of(inner)]}


def _table_of(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}
