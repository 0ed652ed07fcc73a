"""Writes the pages of docs/reference but its indices, and that of all methods, from the code itself.

    python tools/reference_pages.py

The pages are committed, for they are read on the forge too; tests/guards/test_reference.py fails when they are old.
"""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

from reference_commands import commands_page
from reference_keys import ALWAYS, SAYS, Key, key_of
from reference_methods import methods_index, methods_page
from reference_python import python_pages
from reference_words import MARK, allowed, default_of, first, page, said, sentence, table

from maskcl.experiment.schema import PARTS, experiment_file, named_sections
from maskcl.experiment.sections import OWN_DATA, section

__all__ = ["FOLDER", "pages"]

FOLDER = Path(__file__).parents[1] / "docs"


def pages() -> dict[str, str]:
    """Return the text of each page by its path below docs."""
    file = experiment_file()
    found = {"experiment/file.md": _file_page(file)}
    plain = {name: _model_of(file.model_fields[name].annotation) for name in SAYS if name in file.model_fields}
    for name, model in plain.items():
        found[f"experiment/{name}.md"] = _section_page(name, name, model)
    for path, kind in PARTS.items():
        name = path.split(".")[1]
        found[f"experiment/{name}.md"] = _section_page(name, path, section(kind))
    found["experiment/dataset.md"] = _dataset_page()
    found["experiment/method.md"] = methods_page()
    found["experiment/network.md"] = _networks_page()
    found["command-line.md"] = commands_page(MARK)
    found |= python_pages(MARK)
    return {f"reference/{name}": text for name, text in found.items()} | {"methods/index.md": methods_index()}


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
            lines.append(f"| [`[{name}]`]({name}.md) | {said(first(doc))} |")
    return page(lines)


def _section_page(name: str, path: str, model: Any) -> str:
    lines = [f"# [{path}]", "", MARK, SAYS[name], ""]
    for key, field in model.model_fields.items():
        lines += _entry(key, field, key_of(f"{path}.{key}"), path)
    return page(lines)


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
        lines += [f"## dataset = {{ {form} = ... }}", "", sentence(kind.__doc__ or ""), ""]
        fields = section(kind).model_fields
        lines += table({key: (field, key_of(f"dataset.{form}.{key}")) for key, field in fields.items()})
        required = f"{form} = {key_of(f'dataset.{form}.{form}').example}"
        inner = [f"{key} = {key_of(f'dataset.{form}.{key}').example}" for key in fields if key != form]
        lines += ["", "```toml", "[scenario]", f"dataset = {{ {', '.join([required, *inner])} }}", "```", ""]
    return page(lines)


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
        lines += [f"## {key}", "", sentence(model.__doc__), ""]
        fields = {name: (field, key_of(f"network.{key}.{name}")) for name, field in model.model_fields.items()}
        lines += [*table(fields), "", "```toml", "[network]"]
        lines += [f"{name} = {of.example}" for name, (_, of) in fields.items()] + ["```", ""]
    return page(lines)


def _entry(key: str, field: Any, of: Key, path: str) -> list[str]:
    """A key with its heading, what it may be, what it means, and an example."""
    about = f"{allowed(field, of)}. Default: {default_of(field)}."
    always = ALWAYS.get(path, "")
    instead = ("value", "mass", "leak", "step")  # each of which makes the section whole
    beside = [*([always] if always and key not in instead and not _sets(of.beside, always) else []), *of.beside]
    block = [*([f"[{path}]"] if path else []), *beside, f"{key} = {of.example}"]
    meaning = " ".join(filter(None, (said(field.description), of.note)))
    return [f"## {key}", "", about, "", meaning, "", "```toml", *block, "```", ""]


def _model_of(annotation: Any) -> Any:
    """The model among what a section may be."""
    forms = [annotation, *typing.get_args(annotation)]
    return next((form for form in forms if hasattr(form, "model_fields")), annotation)


def _sets(lines: tuple[str, ...], other: str) -> bool:
    """Whether lines of TOML set the key that another line sets."""
    return any(line.split(" = ")[0] == other.split(" = ")[0] for line in lines)


if __name__ == "__main__":
    for name, text in pages().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
