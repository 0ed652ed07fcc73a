"""README says what is true: its Python runs, and its commands exist."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer.main

from maskcl.cli import app
from maskcl.data import DATASETS
from maskcl.memory import POLICIES
from maskcl.methods import REGISTRY
from maskcl.networks import NETWORKS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language: line of the first line of code, code."""
    found = re.finditer(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [(README.count("\n", 0, match.start(1)) + 1, match[1]) for match in found]


def commands() -> list[str]:
    """What the reader is to type: lines after "$ ", or all lines of a block that has none."""
    found = []
    for _, text in blocks("console"):
        lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
        typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")] or lines
        found += [command for line in typed for command in re.split(r"\s(?:&&|;|\|)\s", line)]
    return found


def words_after(program: str) -> list[list[str]]:
    """The arguments of each command that calls a program, wherever that lies."""
    split = [shlex.split(command, comments=True) for command in commands()]
    return [words[1:] for words in split if words and Path(words[0]).name == program]


def printed(text: str) -> list[tuple[str, list[float]]]:
    """What a table printed: each row's mask and numbers."""
    rows = re.findall(r"^ER +(no mask|\S+) +(.*)$", text, re.MULTILINE)
    return [(mask, [float(n.replace("−", "-")) for n in re.findall(r"[+−]?\d+\.\d", rest)]) for mask, rest in rows]


def test_python_blocks_run_one_after_the_other_and_print_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.chdir(tmp_path)  # what they write must not land in the checkout
    module = ModuleType("readme")  # dataclasses look up the module that they are defined in
    monkeypatch.setitem(sys.modules, module.__name__, module)
    before = [(registry, set(registry)) for registry in (REGISTRY, NETWORKS, POLICIES, DATASETS)]
    try:
        for line, code in blocks("python"):
            exec(compile("\n" * (line - 1) + code, str(ROOT / "README.md"), "exec"), vars(module))
    finally:
        for registry, keys in before:
            for key in set(registry) - keys:
                registry.remove(key)
    shown = printed("".join(text for _, text in blocks("text")))
    found = printed(capsys.readouterr().out)
    assert [mask for mask, _ in found] == [mask for mask, _ in shown] == ["no mask", "leak=0.1", "m=-inf"]
    for (_, ours), (_, theirs) in zip(found, shown, strict=True):
        assert ours == pytest.approx(theirs, abs=1.0)  # in points: machines round differently
    gains = [numbers[-2:] for _, numbers in shown[1:]]
    assert all(gain > half for gain, half in gains)


@pytest.mark.parametrize("words", words_after("make"), ids=" ".join)
def test_make_targets_exist(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {word for word in words if "=" not in word and not word.startswith("-")} <= set(targets)


@pytest.mark.parametrize("words", words_after("maskcl"), ids=" ".join)
def test_commands_options_and_files_exist(words: list[str]) -> None:
    command = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands
        command, words = command.commands[words[0]], words[1:]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= {*options, "--help", "-h"}
    assert [word for word in words if word.startswith("experiments/") and not (ROOT / word).is_file()] == []
