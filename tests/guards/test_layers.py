"""Imports go down only: the contracts of pyproject.toml hold, and no module stands outside of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]


def test_every_import_goes_down_a_layer(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == 0, capsys.readouterr().out


def test_the_pictures_of_the_layers_have_all_of_them() -> None:
    contract = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition('containers = ["maskcl"]')[2]
    lines = contract.partition("layers = [")[2].partition("\n]")[0]
    layers = {name for name in re.findall(r"\w+", lines) if not name.startswith("__")}
    assert {"cli", "replay", "view", "settings", "errors"} <= layers
    picture = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("```\ncli ")[2].partition("```")[0]
    drawn = {name for line in f"cli {picture}".splitlines() for name in line[:44].split()}
    assert layers - drawn == set()
    table = (ROOT / "docs" / "design" / "layers.md").read_text(encoding="utf-8")
    listed = {
        name for line in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", line)
    }
    assert layers - listed == set()
