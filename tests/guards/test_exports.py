"""Public names are there, are sorted, and cost nothing until they are used."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import maskcl

# Names that other people's code stands on: add to these, never take away.
PROMISED = {
    "maskcl": [
        "Mask",
        "ReplayMemory",
        "class_incremental",
        "from_arrays",
        "load_network",
        "memory",
        "networks",
        "repeat",
        "run",
        "tune",
    ],
    "maskcl.functional": [
        "cfgm",
        "cross_entropy",
        "leaky_logits",
        "masked_cross_entropy",
        "replace_logits",
        "scale_gradient",
    ],
    "maskcl.metrics": ["final_accuracy", "forgetting", "forgetting_with_last", "learning_accuracy"],
    "maskcl.methods": [
        *["REGISTRY", "describe", "find", "register"],
        *["Draw", "Gradients", "Method", "NearestMean", "Needs", "Outputs", "Phase", "State", "Step", "View"],
        *["dial", "option", "per_member"],
    ],
    "maskcl.networks": ["NETWORKS", "Network", "build_network", "find", "from_factory", "register"],
    "maskcl.memory": ["POLICIES", "MemoryPolicy", "MemoryState", "register"],
    "maskcl.data": ["DATASETS", "Dataset", "from_arrays", "load", "register"],
    "maskcl.engine": ["Outcome", "RunSpec", "Seeds", "TrainingConfig", "run_population"],
}


@pytest.mark.parametrize("name", maskcl.__all__)
def test_every_exported_name_can_be_imported(name: str) -> None:
    assert getattr(maskcl, name) is not None
    assert name in dir(maskcl)


def test_every_exported_name_has_its_line_in_the_page_of_names() -> None:
    page = (Path(__file__).parents[2] / "docs" / "names.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `maskcl\.(\w+)` \|", page, re.MULTILINE)) == sorted(maskcl.__all__)


def test_what_a_method_may_import_has_its_place_in_the_page_of_names() -> None:
    page = (Path(__file__).parents[2] / "docs" / "names.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\| `maskcl\.methods` \|(.*)", page, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", line)) == set(importlib.import_module("maskcl.methods").__all__) - {"REGISTRY"}


def test_what_the_methods_of_the_package_import_from_the_base_is_there_for_others() -> None:
    files = (Path(__file__).parents[2] / "src" / "maskcl" / "methods").glob("*.py")
    lines = [re.findall(r"^from maskcl\.methods\.base import (.+)", f.read_text("utf-8"), re.MULTILINE) for f in files]
    names = {name.strip() for found in lines for line in found for name in line.split(",")} - {"("}
    assert "per_member" in names
    assert names <= set(importlib.import_module("maskcl.methods").__all__)


def test_exported_names_are_sorted() -> None:
    assert list(maskcl.__all__) == sorted(maskcl.__all__)


@pytest.mark.parametrize("module", PROMISED)
def test_promised_names_are_exported(module: str) -> None:
    exported = importlib.import_module(module)
    assert set(PROMISED[module]) <= set(exported.__all__)
    assert all(hasattr(exported, name) for name in exported.__all__)


@pytest.mark.parametrize(
    "module", ["maskcl", "maskcl.cli", "maskcl.errors", "maskcl.metrics", "maskcl.report", "maskcl.results"]
)
def test_import_loads_no_torch(module: str) -> None:
    program = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_import_of_the_package_loads_no_other_library() -> None:
    program = "import sys, maskcl; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert not {"jinja2", "matplotlib", "numpy", "pydantic", "rich", "scipy", "sklearn", "typer"} & set(loaded)
