"""The reference pages are those of the code, have every key, and state ranges that the code keeps to."""

from __future__ import annotations

import importlib
import math
import re
import sys
import warnings
from typing import Any

import pytest
from reference_keys import ALWAYS, KEYS, Key
from reference_pages import FOLDER, pages

import maskcl
from maskcl.data import FolderData
from maskcl.errors import MaskclError, MaskclWarning
from maskcl.experiment import plan
from maskcl.experiment.parsing import parse
from maskcl.experiment.schema import PARTS, SECTIONS, known_keys, named_sections

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RANGED = {
    key: of
    for key, of in KEYS.items()
    if of.words or any(v is not None for v in (of.least, of.above, of.most, of.below))
}


def test_the_pages_are_current() -> None:
    written = {path.relative_to(FOLDER).as_posix(): path.read_text("utf-8") for path in FOLDER.rglob("*.md")}
    for name, text in pages().items():
        assert written.get(name) == text, "python tools/reference_pages.py"


def test_every_key_has_its_heading_or_its_line() -> None:
    told = set()
    for name, text in pages().items():
        section = name.removeprefix("reference/experiment/").removesuffix(".md")
        path = next((part for part in PARTS if part.endswith(f".{section}")), section)
        told |= {f"{path}.{key}" for key in re.findall(r"^## (\w+)$", text, re.MULTILINE)}
        told |= {f"{path}.{key}" for key in re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)}
    told |= {"method.name"}  # each of its headings is one
    assert set(known_keys()) - set(SECTIONS) - told == set()


def test_every_promised_name_is_in_the_python_reference() -> None:
    glossary = (FOLDER / "names.md").read_text("utf-8")
    for module, line in re.findall(r"^\| `(maskcl\.[a-z]+)` \|(.*)", glossary, re.MULTILINE):
        if f"reference/python/{module.removeprefix('maskcl.')}.md" in pages():
            page = pages()[f"reference/python/{module.removeprefix('maskcl.')}.md"]
            exported = set(importlib.import_module(module).__all__)
            told = set(re.findall(r"^## (\w+)$", page, re.MULTILINE))
            assert set(re.findall(r"`(\w+)`", line)) & exported - told == set(), module
    told = set(re.findall(r"^## (\w+)$", pages()["reference/python/maskcl.md"], re.MULTILINE))
    assert {name for name in maskcl.__all__ if f"reference/python/{name}.md" not in pages()} == told


def test_no_key_is_described_that_there_is_not() -> None:
    known = {
        *known_keys(),
        *(f"network.{key}.{name}" for key, m in named_sections["network"].items() for name in m.model_fields),
    }
    assert {key for key in KEYS if not key.startswith("dataset.")} <= known


@pytest.mark.parametrize("key", RANGED)
def test_each_end_of_a_range_is_taken_and_what_lies_beyond_is_refused(key: str) -> None:
    inside, outside = ends(key, RANGED[key])
    for value in inside:
        load(key, value)
    assert outside
    for value in outside:
        with pytest.raises(MaskclError):
            load(key, value)


def ends(key: str, of: Key) -> tuple[list[Any], list[Any]]:
    """Values that a key must take, and values that it must not."""
    if of.words:
        return list(of.words), ["no such word"]
    step = 1 if isinstance(tomllib.loads(f"x = {of.example}")["x"], int) else 1e-6
    inside, outside = [], []
    if of.least is not None:
        inside, outside = [type(step)(of.least)], [type(step)(of.least) - step]
    if of.above is not None:
        inside, outside = [of.above + step], [of.above]
    if of.most is not None:
        inside.append(type(step)(of.most))
        outside.append(type(step)(of.most) + step)
    if of.below is not None:
        inside.append(1e9 if math.isinf(of.below) else of.below - step)
        outside.append(of.below)
    return inside, outside


def load(key: str, value: Any) -> None:
    """Have an experiment read, and where the tasks decide, planned, in which a key has a value."""
    section, _, name = key.rpartition(".")
    if section.startswith("dataset."):
        FolderData(**({"folder": "pictures"} | tomllib.loads("\n".join(KEYS[key].beside)) | {name: value}))
        return
    always = "" if name in ("value", "mass", "leak", "step") else ALWAYS.get(section, "")
    beside = "\n".join(KEYS[key].beside)
    table: dict[str, Any] = tomllib.loads(always) | tomllib.loads(beside) | {name: value}
    table |= {"multistep": {"milestones": [0.5]}, "recent": {"recent_rows": 1}}.get(
        str(value), {}
    )  # words that want more
    if section.startswith("network."):
        table = {"name": KEYS[f"{section}.name"].example.strip('"')} | table
        section = "network"
    raw: dict[str, Any] = {"method": {"name": "er"}}
    inner = raw
    for part in section.split("."):
        inner[part] = table if part == section.split(".")[-1] else {}
        inner = inner[part]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MaskclWarning)
        if section == "scenario":
            plan(raw, seeds=1, overrides={"training.batch_size": 1})
        else:
            parse(raw, "experiment")
