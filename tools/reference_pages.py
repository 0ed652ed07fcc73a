"""Writes the pages of docs/reference but its indices, from the models, commands and modules themselves.

    python tools/reference_pages.py

The pages are committed, for they are read on the forge too; tests/guards/test_reference.py fails when they are old.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union

from pydantic_core import PydanticUndefined
from reference_commands import commands_page
from reference_keys import ALWAYS, SAYS, Key, key_of
from reference_python import python_pages

from maskcl.experiment.schema import NAMED, PARTS, experiment_file, named_sections
from maskcl.experiment.sections import OWN_DATA, section
from maskcl.methods import REGISTRY

__all__ = ["FOLDER", "pages"]

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MARK = "<!-- Written by tools/reference_pages.py from the code; change it there. -->\n"


def pages() -> dict[str, str]:
    """Return the text of each page by its path below docs/reference."""
    file = experiment_file()
    found = {"experiment/file.md": _file_page(file)}
    plain = {name: _model_of(file.model_fields[name].annotation) for name in SAYS if name in file.model_fields}
    for name, model in plain.items():
        found[f"experiment/{name}.md"] = _section_page(name, name, model)
    for path, kind in PARTS.items():
        name = path.split(".")[1]
        found[f"experiment/{name}.md"] = _section_page(name, path, section(kind))
    found["experiment/dataset.md"] = _dataset_page()
    found["experiment/method.md"] = _methods_page()
    found["experiment/network.md"] = _networks_page()
    found["command-line.md"] = commands_page(MARK)
    return found | python_pages(MARK)


def _file_page(file: Any) -> str:
    lines = [
        "# Keys of the file itself",
        "",
        MARK,
        "What stands above the first section. A file is these two, sections, and a grid: "
        "[how a file is read](index.md).",
        "",
        *_entry("name", file.model_fields["name"], Key(example='"masks"', note="By default the file's name."), ""),
        *_entry("seeds", file.model_fields["seeds"], Key(example="10", least=1), ""),
        "## Sections",
        "",
        "| section | what |",
        "| --- | --- |",
    ]
    for name, field in file.model_fields.items():
        if name not in ("name", "seeds"):
            doc = field.description or _model_of(field.annotation).__doc__
            lines.append(f"| [`[{name}]`]({name}.md) | {_said(_first(doc))} |")
    return _page(lines)


def _section_page(name: str, path: str, model: Any) -> str:
    lines = [f"# [{path}]", "", MARK, SAYS[name], ""]
    for key, field in model.model_fields.items():
        lines += _entry(key, field, key_of(f"{path}.{key}"), path)
    return _page(lines)


def _dataset_page() -> str:
    lines = [
        "# Data tables",
        "",
        MARK,
        "`dataset` in [`[scenario]`](scenario.md) may be a table instead of a name. [Data](../../data.md) says what is "
        "done with pictures and arrays.",
        "",
    ]
    for form, kind in OWN_DATA.items():
        lines += [f"## dataset = {{ {form} = ... }}", "", _sentence(kind.__doc__ or ""), ""]
        fields = section(kind).model_fields
        lines += _table({key: (field, key_of(f"dataset.{form}.{key}")) for key, field in fields.items()})
        required = f"{form} = {key_of(f'dataset.{form}.{form}').example}"
        inner = [f"{key} = {key_of(f'dataset.{form}.{key}').example}" for key in fields if key != form]
        lines += ["", "```toml", "[scenario]", f"dataset = {{ {', '.join([required, *inner])} }}", "```", ""]
    return _page(lines)


def _methods_page() -> str:
    lines = [
        "# [method]",
        "",
        MARK,
        'What a step does. `method = "er"` is short for `[method]` with `name = "er"`. Each method has settings of its '
        "own; [mask](mask.md) and [CFGM](cfgm.md) are sections of their own. A method that is registered by you or by "
        "an installed package has its keys as well: `maskcl methods NAME` prints them.",
        "",
    ]
    for key, model in named_sections["method"].items():
        names = _names("method", key)
        lines += [
            f"## {key}",
            "",
            f"[{REGISTRY[key].title}](../../methods/{key}.md){names}. {_sentence(model.__doc__)}",
            "",
        ]
        declared = {name: _declared(REGISTRY[key], name) for name in model.model_fields if name != "name"}
        fields = {name: (model.model_fields[name], of) for name, of in declared.items()}
        lines += [*_table(fields), ""] if fields else ["It has no settings of its own.", ""]
        lines += ["```toml", "[method]", f'name = "{key}"']
        lines += [f"{name} = {of.example}" for name, of in declared.items()] + ["```", ""]
    return _page(lines)


def _networks_page() -> str:
    lines = [
        "# [network]",
        "",
        MARK,
        'Which network: [networks](../../networks.md). `network = "resnet18"` is short for `[network]` with that name; '
        "without a name it is `mlp`. A network that is registered by you or by an installed package has its keys as "
        "well.",
        "",
    ]
    for key, model in named_sections["network"].items():
        lines += [f"## {key}", "", _sentence(model.__doc__), ""]
        fields = {name: (field, key_of(f"network.{key}.{name}")) for name, field in model.model_fields.items()}
        lines += [*_table(fields), "", "```toml", "[network]"]
        lines += [f"{name} = {of.example}" for name, (_, of) in fields.items()] + ["```", ""]
    return _page(lines)


def _entry(key: str, field: Any, of: Key, path: str) -> list[str]:
    """A key with its heading, what it may be, what it means, and an example."""
    about = f"{_allowed(field, of)}. Default: {_default(field)}."
    always = ALWAYS.get(path, "")
    instead = ("value", "mass", "leak", "step")  # each of which makes the section whole
    beside = [*([always] if always and key not in instead else []), *of.beside]
    block = [*([f"[{path}]"] if path else []), *beside, f"{key} = {of.example}"]
    meaning = " ".join(filter(None, (_said(field.description), of.note)))
    return [f"## {key}", "", about, "", meaning, "", "```toml", *block, "```", ""]


def _table(fields: Mapping[str, tuple[Any, Key]]) -> list[str]:
    lines = ["| key | type and range | default | meaning |", "| --- | --- | --- | --- |"]
    for name, (field, of) in fields.items():
        meaning = " ".join(filter(None, (_said(field.description), of.note)))
        lines.append(f"| `{name}` | {_lower(_allowed(field, of))} | {_default(field)} | {meaning} |")
    return lines


def _declared(kind: Any, name: str) -> Key:
    """What a method's setting declares, with an example that is not its default."""
    field = kind.__dataclass_fields__[name]
    limits = {limit: field.metadata.get(limit) for limit in ("least", "above", "most")}
    limits["most"] = None if limits["most"] == float("inf") else limits["most"]
    words = tuple(field.metadata.get("choices") or ())
    return Key(example=_toml(field.default), words=words, **limits)


def _allowed(field: Any, of: Key) -> str:
    """Type and range in words."""
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
    told = [f"`{_toml(word)}`" for word in words]
    return told[0] if len(told) == 1 else f"one of {', '.join(told)}"


def _plural(kind: str) -> str:
    return kind.replace("list of", "lists of") if kind.startswith("list") else f"{kind}s"


def _default(field: Any) -> str:
    if field.default is PydanticUndefined:
        return "it must be given"
    return "left out" if field.default is None or field.default == {} else f"`{_toml(field.default)}`"


def _toml(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value)


def _said(doc: str | None) -> str:
    """A description as a sentence of TOML, which has no None."""
    text = re.sub(r"\bNone\b", "left out", (doc or "").strip())
    text = re.sub(r"'(\w+)'", r'"\1"', text)
    text = _upper(text)
    return text if text.endswith(".") else f"{text}."


def _first(doc: str | None) -> str:
    """The first sentence."""
    return re.split(r"(?<=\.) ", (doc or "").strip())[0]


def _sentence(doc: str | None) -> str:
    return _said((doc or "").strip().split("\n")[0])


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _names(section: str, key: str) -> str:
    others = [f"`{alias}`" for alias, target in NAMED[section].aliases.items() if target == key]
    return f", also by the name {' or '.join(others)}" if others else ""


def _model_of(annotation: Any) -> Any:
    """The model among what a section may be."""
    forms = [annotation, *typing.get_args(annotation)]
    return next((form for form in forms if hasattr(form, "model_fields")), annotation)


def _page(lines: list[str]) -> str:
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    for name, text in pages().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
