"""What lies in the repository: small files, no paths of one machine, a current page for each method."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from maskcl.data.mnist_small import SHA256
from maskcl.experiment import plan
from maskcl.methods import REGISTRY, describe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "methods"
MACHINE_PATHS = tuple("/".join(parts).encode() for parts in (("", "work", ""), ("", "tmp", "venv")))
MOST_LINES = 300


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_holds_a_path_of_one_machine() -> None:
    holding = [
        f"{path.relative_to(ROOT)}: {machine_path.decode()}"
        for path in tracked_files()
        for machine_path in MACHINE_PATHS
        if machine_path in path.read_bytes()
    ]
    assert holding == []


def test_source_files_are_short() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in (ROOT / "src").rglob("*.py")}
    assert {str(path): length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_the_images_of_the_package_are_tracked_and_so_packed_into_the_wheel() -> None:
    names = {f"{file}.gz" for file in SHA256} | {"NOTICE.md"}
    folder = ROOT / "src" / "maskcl" / "data" / "mnist_small"
    assert {path.name for path in tracked_files() if path.parent == folder} == names
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert wheel["wheel"]["packages"] == ["src/maskcl"]


@pytest.mark.parametrize("key", REGISTRY)
def test_every_method_has_a_page_with_its_title_and_source(key: str) -> None:
    page = (PAGES / f"{key}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {REGISTRY[key].title}\n")
    assert REGISTRY[key].paper in page


@pytest.mark.parametrize("key", REGISTRY)
def test_the_options_of_a_page_are_those_of_the_method(key: str) -> None:
    page = (PAGES / f"{key}.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    options = [
        (option["name"], default_in_words(option["default"]), option["doc"])
        for option in describe(key)
        if option["name"] not in ("mask", "cfgm")  # sections of their own in an experiment file
    ]
    assert documented == options


@pytest.mark.parametrize("key", REGISTRY)
def test_the_experiment_of_a_page_can_be_run(key: str) -> None:
    page = (PAGES / f"{key}.md").read_text(encoding="utf-8")
    snippets = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert snippets
    for snippet in snippets:
        methods = {type(run.spec.method).key for run in plan(tomllib.loads(snippet)).runs}
        assert methods == {key}


def default_in_words(default: object) -> str:
    return f'`"{default}"`' if isinstance(default, str) else f"`{default}`"
