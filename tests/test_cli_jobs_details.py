"""`--log-level debug` tells what processes of `--jobs` do, too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXPERIMENT = """
name = "small"
seeds = 2
method = "er"

[scenario]
dataset = "digits"
subset = 0.05

[memory]
size = 10

[training]
checkpoint_every = 2
"""


def test_groups_and_checkpoints_of_every_process_are_told(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(EXPERIMENT)
    command = [sys.executable, "-m", "maskcl", "run", "small.toml", "--jobs", "2", "--log-level", "debug"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "group" in done.stderr
    assert "checkpoint" in done.stderr
    quiet = subprocess.run([*command[:-2], "--out", "b"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "checkpoint" not in quiet.stderr
