"""Ctrl-C in the first second, while things are imported: one word, status 130, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

PROGRAM = """
import builtins, os, signal, sys

plain = builtins.__import__

def imported(name, *rest, **named):
    if name == {name!r}:
        builtins.__import__ = plain
        os.kill(os.getpid(), signal.SIGINT)
    return plain(name, *rest, **named)

builtins.__import__ = imported
from maskcl.cli import entry
entry()
"""


@pytest.mark.parametrize(
    ("name", "argv"),
    [
        ("typer", ["--help"]),
        ("maskcl.cli.commands", ["methods"]),
        ("maskcl.errors", ["methods"]),
        ("maskcl.experiment", ["run", "e.toml"]),
        ("torch", ["run", "e.toml"]),
        ("numpy", ["run", "e.toml"]),
        ("maskcl.launch", ["run", "e.toml"]),
        ("maskcl.results", ["report", "runs"]),
    ],
)
def test_it_is_told_in_a_word(name: str, argv: list[str], tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text('method = "finetune"')
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name), *argv],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.strip(), done.stdout) == (130, "stopped", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.toml"]
