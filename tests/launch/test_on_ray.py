"""A real Ray of two workers on this machine: results are those of this process, and one worker is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: make test-ray")

EXPERIMENT = """
name = "on_ray"
seeds = 2
method = "er"

[scenario]
dataset = "digits"

[memory]
size = 20

[training]
save_weights = true
epochs = {epochs}

[grid]
mask = ["none", {{ leak = 0.1 }}]
"""


def run(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "maskcl", "run", "on_ray.toml", *arguments]
    own = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.Popen(command, cwd=folder, env=own, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def results(folder: Path) -> dict[str, Any]:
    found = {}
    for path in sorted(folder.glob("*/seed-*.json")):
        document = json.loads(path.read_text())
        for name in ("seconds", "timings", "origin", "executor"):
            del document[name]
        found[path.relative_to(folder).as_posix()] = document, path.with_suffix(".safetensors").read_bytes()
    return found


def pieces_at_work() -> list[int]:
    """Processes of Ray that run a piece: Ray names them after the function."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if name.startswith(b"ray::_piece"):
                found.append(int(entry.name))
    return found


def test_results_are_those_of_this_process(tmp_path: Path) -> None:
    (tmp_path / "on_ray.toml").write_text(EXPERIMENT.format(epochs=1))
    for process in (run(tmp_path, "--out", "here", "-q"), run(tmp_path, "--out", "there", "-q", "--launcher", "ray")):
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert len(results(tmp_path / "here")) == 4
    assert results(tmp_path / "there") == results(tmp_path / "here")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked for in /proc")
def test_a_worker_that_is_killed_costs_no_run(tmp_path: Path) -> None:
    (tmp_path / "on_ray.toml").write_text(EXPERIMENT.format(epochs=15))
    process, killed = run(tmp_path, "--out", "there", "-q", "--launcher", "ray"), list[int]()
    while process.poll() is None and not killed:
        time.sleep(0.1)
        for worker in pieces_at_work()[:1]:
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert killed, "it has ended before anything was killed"
    other = run(tmp_path, "--out", "here", "-q")
    assert other.communicate()[1] == ""
    assert results(tmp_path / "there") == results(tmp_path / "here")


def test_a_task_asks_for_no_more_cores_than_a_machine_of_the_cluster_has(tmp_path: Path) -> None:
    (tmp_path / "on_ray.toml").write_text(EXPERIMENT.format(epochs=1))
    program = (
        "import ray; ray.init(num_cpus=1, log_to_driver=False, include_dashboard=False)\n"
        "from maskcl.cli import main\n"
        "raise SystemExit(main(['run', 'on_ray.toml', '--out', 'there', '--launcher', 'ray']))"
    )
    own = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "OMP_NUM_THREADS")}
    process = subprocess.run(
        [sys.executable, "-c", f"import os; os.sched_getaffinity = lambda pid: set(range(8))\n{program}"],
        cwd=tmp_path, env=own, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert "each task gets 1 core, and not 8: no machine of the cluster has more" in process.stderr
    assert len(results(tmp_path / "there")) == 4
