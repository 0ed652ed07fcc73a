"""A package that is really installed, as far as Python can tell: its method and network are first-class citizens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = '''
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from maskcl.methods import Draw, Method, Needs, dial, option


@dataclass(frozen=True, kw_only=True)
class Gentle(Method):
    """Gentle replay: memory rows count less."""

    key: ClassVar[str] = "gentle"
    title: ClassVar[str] = "Gentle replay"

    replay_batch: int = option(10, "memory rows a step, 1 or more", least=1)
    weight: float = dial(0.5, "weight of memory rows, 0 or more", least=0)

    @property
    def needs(self):
        return Needs(draws=(Draw(self.replay_batch),))

    def loss(self, step):
        stream, *memory = step.split(self.losses(step))
        return stream.mean(-1) + (self.weight * memory[0].mean(-1) if memory else 0)


def net(input_shape, num_classes):
    size = 1
    for n in input_shape:
        size *= n
    return nn.Sequential(nn.Flatten(), nn.Linear(size, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, num_classes))
'''
FILE = """
seeds = 2
method = { name = "gentle", weight = 0.3 }
network = "own_net"
memory = { size = 50 }
mask = { leak = 0.1 }

[grid]
"method.weight" = [0.3, 1.0]
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    (tmp_path / "gentle_package.py").write_text(CODE)
    about = tmp_path / "gentle_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: gentle-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[maskcl.methods]\ngentle = gentle_package:Gentle\nbroken = gentle_package:Missing\n"
        "[maskcl.networks]\nown_net = gentle_package:net\n"
    )
    (tmp_path / "own.toml").write_text(FILE)
    return tmp_path


def maskcl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    program = "from maskcl.cli import entry; entry()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_methods_and_networks_of_an_installed_package_are_known_everywhere(installed: Path) -> None:
    listed = maskcl(installed, "methods")
    assert "gentle" in listed.stdout
    assert "method 'broken' of an installed package (gentle_package:Missing) is left out" in listed.stderr
    assert "weight of memory rows, 0 or more" in maskcl(installed, "methods", "gentle").stdout
    schema = json.loads(maskcl(installed, "schema").stdout)
    assert "gentle" in json.dumps(schema)
    assert "own_net" in json.dumps(schema)
    for executor in ("stack", "loop"):
        run = maskcl(installed, "run", "own.toml", "--out", executor, "--executor", executor, "--quiet")
        assert run.returncode == 0, run.stderr
        results = [json.loads(path.read_text()) for path in sorted((installed / executor).rglob("seed-*.json"))]
        assert len(results) == 4
        assert {result["config"]["network"]["name"] for result in results} == {"own_net"}
        assert all(result["status"] == "finished" for result in results)
