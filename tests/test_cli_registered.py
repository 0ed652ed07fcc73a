"""Methods, networks, memory policies and data sets registered in Python, used from an experiment file and commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from torch import Tensor, nn

import maskcl
from maskcl.cli import main
from maskcl.data import DATASETS, Dataset
from maskcl.errors import ConfigError
from maskcl.experiment import json_schema, plan
from maskcl.memory import POLICIES, MemoryPolicy, MemoryState
from maskcl.methods import REGISTRY, Method, Needs, Step
from maskcl.networks import NETWORKS
from maskcl.results import Results
from maskcl.settings import dial

FILE = """
seeds = 1
[scenario]
dataset = "blobs"
num_tasks = 2
[method]
name = "doubled"
factor = 2.0
[memory]
size = 12
policy = "first"
[network]
name = "narrow"
[training]
batch_size = 10
save_weights = true
"""


def blobs(shift: float = 0.0) -> Dataset:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    inputs = (rng.normal(size=(200, 6)) + 3 * labels[:, None] + shift).astype(np.float32)
    return maskcl.from_arrays(inputs, labels, inputs, labels)


@dataclass(frozen=True, kw_only=True)
class Doubled(Method):
    """The loss of every row, times a factor."""

    key: ClassVar[str] = "doubled"
    title: ClassVar[str] = "Doubled"
    paper: ClassVar[str] = ""
    factor: float = dial(1.0, "what losses are multiplied by, above 0", above=0)

    @property
    def needs(self) -> Needs:
        return Needs(memory=True)

    def loss(self, step: Step) -> Tensor:
        return self.factor * self.losses(step).mean(-1)


class First(MemoryPolicy):
    """The first rows of the stream."""

    def writes(self, state: MemoryState, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        slots = state.num_seen + np.arange(len(labels))
        return np.where(slots < len(state.rows), slots, -1)


def narrow(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """One hidden layer."""
    return nn.Sequential(nn.Linear(*input_shape, 8), nn.ReLU(), nn.Linear(8, num_classes))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before = [(registry, set(registry)) for registry in (REGISTRY, NETWORKS, POLICIES, DATASETS)]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text(FILE)
    yield tmp_path
    for registry, keys in before:
        for key in set(registry) - keys:
            registry.remove(key)


def register_all() -> None:
    maskcl.methods.register(Doubled)
    maskcl.networks.register(narrow, key="narrow")
    maskcl.memory.register("first")(First)
    maskcl.data.register("blobs", lambda root: blobs(), description="four clouds of points")


def test_a_file_names_what_was_registered(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "own.toml", "-q"]) == 2
    assert "got 'doubled'" in capsys.readouterr().err
    register_all()
    assert main(["run", "own.toml", "-q"]) == 0
    (result,) = Results.load(folder / "runs").runs
    config = result["config"]
    assert (config["method"], config["memory"]["policy"]) == ({"name": "doubled", "factor": 2.0}, "first")
    assert config["scenario"]["dataset"] == "blobs"
    assert config["network"]["name"] == "narrow"
    assert result["status"] == "finished"
    (path,) = folder.rglob("*.safetensors")
    assert maskcl.load_network(path).maskcl_info.about["method"] == "doubled"


def test_commands_describe_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    register_all()
    assert main(["methods", "doubled"]) == main(["methods"]) == main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert "The loss of every row, times a factor." in out
    assert "what losses are multiplied by, above 0" in out
    assert [line.split()[0] for line in out.splitlines() if "Doubled" in line] == ["doubled"]
    (line,) = [line for line in out.splitlines() if line.startswith("blobs")]
    assert line.split() == ["blobs", "four", "clouds", "of", "points", "registered"]
    assert main(["data", "verify", "blobs"]) == main(["data", "download", "blobs"]) == 0
    assert capsys.readouterr().out == "blobs is registered, and its files are its loader's\n" * 2


def test_the_schema_has_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def choices(schema: dict[str, Any]) -> list[set[str]]:
        defs = schema["$defs"]
        policy = next(
            form["enum"] for form in defs["MemoryConfigSection"]["properties"]["policy"]["anyOf"] if "enum" in form
        )
        names = [schema["properties"][section]["anyOf"][0]["enum"] for section in ("method", "network")]
        return [
            *map(set, names),
            set(policy),
            set(defs["ScenarioSection"]["properties"]["dataset"]["oneOf"][0]["enum"]),
        ]

    before = choices(json_schema())
    register_all()
    assert main(["schema"]) == 0
    after = choices(json.loads(capsys.readouterr().out))
    assert [new - old for new, old in zip(after, before, strict=True)] == [
        {"doubled"},
        {"narrow"},
        {"first"},
        {"blobs"},
    ]


def test_near_matches_know_it(folder: Path) -> None:
    register_all()
    for change, text in (
        ({"method.name": "doubld"}, "method.name: .* Did you mean 'doubled'"),
        ({"network.name": "narow"}, "network.name: .* Did you mean 'narrow'"),
        (
            {"memory.policy": "frist"},
            "memory.policy: must be 'reservoir', .* or 'first', got 'frist'. Did you mean 'first'",
        ),
        (
            {"scenario.dataset": "blob"},
            "scenario.dataset: must be 'digits', .* or 'blobs', got 'blob'. Did you mean 'blobs'",
        ),
        ({"method.facto": 1.0}, "'method.facto' is not a key of an experiment file. Did you mean 'method.factor'"),
    ):
        with pytest.raises(ConfigError, match=text):
            plan("own.toml", overrides=change, out="out")


def test_results_on_other_data_of_one_name_are_not_taken_for_these(folder: Path) -> None:
    register_all()
    first = plan("own.toml", out="out").runs[0].config
    DATASETS.remove("blobs")
    maskcl.data.register("blobs", blobs(shift=1.0))
    second = plan("own.toml", out="out").runs[0].config
    assert first["scenario"].keys() == second["scenario"].keys()
    assert first["scenario"]["fingerprint"] != second["scenario"]["fingerprint"]
    assert "fingerprint" not in plan({"method": "er"}).runs[0].config["scenario"]
