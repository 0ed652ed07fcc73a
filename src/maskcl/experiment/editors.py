"""The JSON schema of experiment files, which editors complete and check with; committed beside the experiments."""

from __future__ import annotations

from typing import Any

from maskcl.experiment.schema import NAMED, SECTIONS, experiment_file

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
    for section in NAMED:
        outer = {
            name: properties[section].pop(name) for name in ("default", "description") if name in properties[section]
        }
        properties[section] = outer | {
            "anyOf": [{"enum": [*NAMED[section], *NAMED[section].aliases]}, properties[section]]
        }
    sections: dict[str, Any] = {}
    for section, keys in SECTIONS.items():
        inner = {key: lists[f"{section}.{key}"] for key in keys}
        whole = {name: part for name, part in properties[section].items() if name not in ("default", "description")}
        nested = {"type": "object", "properties": inner, "additionalProperties": False}
        sections[section] = {"anyOf": [_list_of(whole), nested]}
    row = {key: axis["items"] for key, axis in lists.items()}
    row |= {section: forms["anyOf"][0]["items"] for section, forms in sections.items()}
    rows = {"type": "object", "minProperties": 1, "properties": row, "additionalProperties": False}
    properties["grid"] = {
        "type": "object",
        "description": "What varies: every key (dotted, or a section) has a list, and all lists multiply. "
        "[[grid.zip]] tables are the rows of one more axis that sets several keys together.",
        "properties": {"zip": _list_of(rows), **sections, **lists},
        "additionalProperties": False,
    }
    return schema


def _field(schema: dict[str, Any], section: str, key: str) -> dict[str, Any]:
    """The schema of one value, by reference to where its section has it; of all forms, where names differ in it."""
    if section in NAMED and key == "name":
        return {"enum": [*NAMED[section], *NAMED[section].aliases]}
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


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}
