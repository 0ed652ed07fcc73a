"""README, docs/ and their like say what is true: Python runs, TOML is taken, commands and files exist, links lead."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer.main
from pages import PAGES, ROOT, anchors, blocks, commands, links, name, run_block

from maskcl.cli.commands import app
from maskcl.data import DATASETS
from maskcl.experiment.grid import expand
from maskcl.experiment.parsing import parse
from maskcl.experiment.search import read_search
from maskcl.memory import POLICIES
from maskcl.methods import REGISTRY
from maskcl.networks import NETWORKS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REGISTRIES = {
    "maskcl.methods": REGISTRY,
    "maskcl.networks": NETWORKS,
    "maskcl.memory": POLICIES,
    "maskcl.data": DATASETS,
}


def pages_with(*languages: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, *languages)]


def words_after(program: str) -> list[object]:
    """The arguments of each command that calls a program, wherever that lies, page by page."""
    return [
        pytest.param(words[1:], id=f"{name(page)}: {' '.join(words)}")
        for page in PAGES
        for words in commands(page)
        if Path(words[0]).name == program
    ]


def printed(text: str) -> list[tuple[str, list[float]]]:
    """What a table of README prints: each row's mask and numbers."""
    rows = re.findall(r"^ER +(no mask|\S+) +(.*)$", text, re.MULTILINE)
    return [(mask, [float(n.replace("−", "-")) for n in re.findall(r"[+−]?\d+\.\d", rest)]) for mask, rest in rows]


@pytest.mark.parametrize("page", pages_with("python", "pycon"), ids=name)
def test_python_blocks_run_one_after_the_other_and_print_what_is_shown(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.chdir(tmp_path)  # what they write must not land in the checkout
    module = ModuleType("page")  # dataclasses look up the module that they are defined in
    monkeypatch.setitem(sys.modules, module.__name__, module)
    before = [(registry, set(registry)) for registry in REGISTRIES.values()]
    try:
        for block in blocks(page, "python", "pycon"):
            if not block.not_run:
                run_block(page, block, vars(module))
    finally:
        for registry, keys in before:
            for key in set(registry) - keys:
                registry.remove(key)
    shown = printed("".join(block.code for block in blocks(page, "text")))
    found = printed(capsys.readouterr().out)
    assert bool(shown) == (page.name == "README.md")  # other pages show no table of what their blocks print
    assert not shown or [mask for mask, _ in found] == [mask for mask, _ in shown]
    for (_, ours), (_, theirs) in zip(found if shown else [], shown, strict=True):
        assert ours == pytest.approx(theirs, abs=1.0)  # in points: machines round differently
    gains = [numbers[-2:] for _, numbers in shown[1:]]
    assert all(gain > half for gain, half in gains)


@pytest.mark.parametrize("page", pages_with("toml"), ids=name)
def test_toml_blocks_are_experiments_or_parts_of_one(page: Path) -> None:
    for block in blocks(page, "toml"):
        raw, where = tomllib.loads(block.code), f"{name(page)}:{block.line}"
        if "project" in raw:
            assert set(raw["project"]["entry-points"]) <= set(REGISTRIES), where
            continue
        whole = raw if _sets_method(raw) else {"method": "er"} | raw
        if "tune" in whole:
            _, whole = read_search(whole, where)
        settings, _ = expand(whole, where)
        for setting in settings:
            parse(setting, where, varies_method=_sets_method(raw.get("grid", {})))


def _sets_method(table: dict[str, object]) -> bool:
    """Whether a file, or a grid, says which method."""
    inner = [table.get("grid"), *_rows(table.get("zip"))]
    return "method" in table or any(isinstance(part, dict) and _sets_method(part) for part in inner)


def _rows(rows: object) -> list[object]:
    return rows if isinstance(rows, list) else []


@pytest.mark.parametrize("words", words_after("make"))
def test_make_targets_exist(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {word for word in words if "=" not in word and not word.startswith("-")} <= set(targets)


@pytest.mark.parametrize("words", words_after("maskcl"))
def test_commands_options_and_files_exist(words: list[str]) -> None:
    command = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands
        command, words = command.commands[words[0]], words[1:]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= {*options, "--help", "-h"}
    assert [word for word in words if word.startswith("experiments/") and not (ROOT / word).is_file()] == []


@pytest.mark.parametrize("words", words_after("python"))
def test_scripts_exist(words: list[str]) -> None:
    assert words[0].startswith("-") or (ROOT / words[0]).is_file()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    broken = []
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    assert broken == []


def test_every_page_of_docs_is_in_the_sites_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"[\w/-]+\.md", navigation)
    outside = {
        "contributing.md",
        "changelog.md",
        "examples/index.md",
        "mnist_small.md",
    }  # tools/docs_site.py brings them, and fills in patterns
    by_pattern = [
        path for pattern in re.findall(r"[\w/-]+/\*\.md", navigation) for path in (ROOT / "docs").glob(pattern)
    ]
    found = set(listed) - outside | {path.relative_to(ROOT / "docs").as_posix() for path in by_pattern}
    assert sorted(found) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in PAGES[3:])
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_name_a_language_that_is_tested_or_plain(page: Path) -> None:
    fences = re.findall(r"^```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(fences[::2]) <= {"python", "pycon", "toml", "console", "text", ""}
    assert set(fences[1::2]) <= {""}
