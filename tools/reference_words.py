"""Types, ranges, defaults and descriptions in the words of the reference pages."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union

from pydantic_core import PydanticUndefined
from reference_keys import Key

__all__ = ["MARK", "allowed", "default_of", "first", "page", "said", "sentence", "table", "toml"]

MARK = "<!-- Written by tools/reference_pages.py from the code; change it there. -->\n"


def table(fields: Mapping[str, tuple[Any, Key]]) -> list[str]:
    """Return keys as lines of a table."""
    lines = ["| key | type and range | default | meaning |", "| --- | --- | --- | --- |"]
    for name, (field, of) in fields.items():
        meaning = " ".join(filter(None, (said(field.description), of.note)))
        lines.append(f"| `{name}` | {_lower(allowed(field, of))} | {default_of(field)} | {meaning} |")
    return lines


def allowed(field: Any, of: Key) -> str:
    """Return type and range in words."""
    if of.words:
        return _upper(_one_of(of.words))
    kind = _type(field.annotation)
    bounds = []
    if of.least is not None:
        bounds.append(f"{of.least:g} or more")
    if of.above is not None:
        bounds.append(f"above {of.above:g}")
    if of.most is not None:
        bounds.append(f"{of.most:g} or less")
    if of.below is not None:
        bounds.append("below +inf, `-inf` included" if of.below == float("inf") else f"below {of.below:g}")
    return ", ".join([_upper(kind), *bounds])


def _type(hint: Any) -> str:
    """A type as a reader of TOML calls it."""
    origin, parts = typing.get_origin(hint), [part for part in typing.get_args(hint) if part is not types.NoneType]
    if origin is typing.Annotated:
        return _type(parts[0])
    if origin is Literal:
        return _one_of(parts)
    if origin is list:
        return f"list of {_plural(_type(parts[0]))}"
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(part) for part in parts))
    if origin is dict or hasattr(hint, "model_fields"):
        return "table"
    return {int: "whole number", float: "number", str: "text", bool: "true or false"}[hint]


def _one_of(words: Sequence[str]) -> str:
    told = [f"`{toml(word)}`" for word in words]
    return told[0] if len(told) == 1 else f"one of {', '.join(told)}"


def _plural(kind: str) -> str:
    return kind.replace("list of", "lists of") if kind.startswith("list") else f"{kind}s"


def default_of(field: Any) -> str:
    """Return a key's default in words."""
    if field.default is PydanticUndefined:
        return "it must be given"
    return "left out" if field.default is None or field.default == {} else f"`{toml(field.default)}`"


def toml(value: Any) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    return str(value)


def said(doc: str | None) -> str:
    """Return a description as a sentence of TOML, which has no None."""
    text = re.sub(r"\bNone\b", "left out", (doc or "").strip())
    text = re.sub(r"'(\w+)'", r'"\1"', text)
    text = _upper(text)
    return text if text.endswith(".") else f"{text}."


def first(doc: str | None) -> str:
    """Return the first sentence."""
    return re.split(r"(?<=\.) ", (doc or "").strip())[0]


def sentence(doc: str | None) -> str:
    """Return the first line of a docstring as a sentence."""
    return said((doc or "").strip().split("\n")[0])


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def page(lines: list[str]) -> str:
    """Return lines as the text of a file."""
    return "\n".join(lines).rstrip("\n") + "\n"
