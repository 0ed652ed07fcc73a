"""--devices: a process that dies fails its run in one sentence, the same command goes on, and nobody is left behind."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from faults.commands import ONE, Command, gone, left_over, prepared, results, workers

from maskcl.cli import main
from maskcl.experiment.comparing import explanations

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked for in /proc")

TWO = ONE.replace("epochs = 2", "epochs = 1")
LONG = TWO.replace("epochs = 1", "epochs = 2000").replace("checkpoint_every = 25", "checkpoint_every = 100")
KILLED = "of the 2 processes that made this run together was ended by SIGKILL (out of memory?)"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two processes made a run."""
    folder = prepared(tmp_path_factory.mktemp("shared"), TWO)
    command = Command(folder, "-q", "--devices", "2")
    assert command.status() == 0, command.err
    assert command.err == ""
    assert left_over(folder) == []
    return folder


def test_the_result_tells_the_devices_and_little_else(shared: Path, tmp_path: Path) -> None:
    folder = prepared(tmp_path, TWO)
    assert Command(folder, "-q", "--executor", "loop").status() == 0
    (there,), (here,) = ([*(at / "out").glob("*/seed-0.json")] for at in (shared, folder))
    first, second = (json.loads(path.read_text()) for path in (there, here))
    assert first["executor"] == second["executor"] | {
        "devices": 2, "reason": "each run is shared out among devices"}  # fmt: skip
    assert first["config_hash"] == second["config_hash"]
    np.testing.assert_allclose(first["class_incremental"], second["class_incremental"], atol=0.02)
    assert [row[:2] for row in explanations(first, second) if row[0] == "executor devices"] == [
        ("executor devices", "2")
    ]


@pytest.mark.parametrize(("rank", "after"), [(0, 2), (1, 2), (1, 1)])
def test_a_process_that_is_killed_fails_its_run_and_the_same_command_goes_on(
    rank: int, after: int, tmp_path: Path, shared: Path
) -> None:
    folder = prepared(tmp_path, TWO)
    command = Command(folder, "-q", "--devices", "2")
    assert command.until(command.written), command.err
    crew = workers(command.pid)
    os.kill(crew[rank], signal.SIGKILL)
    assert command.status() == 3
    failed, again = command.err.splitlines()
    assert failed.startswith("failed: ")
    assert failed.endswith(f"seed 0: number {rank + 1} {KILLED}")
    assert again == "the same command tries these runs again"
    gone(crew)
    begun = command.written()
    assert begun > 0
    devices = ("--devices", "2") if after == 2 else ("--executor", "loop")
    next_one = Command(folder, "-q", "--log-level", "debug", *devices)
    assert next_one.status() == 0, next_one.err
    assert left_over(folder) == []
    found, whole = results(folder, executors=False), results(shared, executors=False)
    if after == 2:
        assert found == whole
    else:  # it went on with one
        assert found.keys() == whole.keys()
        assert "goes on" in next_one.err
        (path,) = (folder / "out").glob("*/seed-0.json")
        executor = json.loads(path.read_text())["executor"]
        assert "devices" not in executor
        assert executor["reason"] == "asked for"


STOPPED = "stopped: what was finished is kept in out, and the same command goes on from there\n"


def test_a_signal_while_they_start_ends_them(tmp_path: Path) -> None:
    folder = prepared(tmp_path, LONG)
    command = Command(folder, "-q", "--devices", "2")
    assert command.until(lambda: len(workers(command.pid)) == 2)
    crew = workers(command.pid)
    command.signal(signal.SIGTERM)
    assert command.status() == 143
    assert command.err == STOPPED
    gone(crew)


@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_ends_all_of_them_with_their_state_saved(signals: int, tmp_path: Path) -> None:
    folder = prepared(tmp_path, LONG)
    command = Command(folder, "-q", "--devices", "2")
    assert command.until(command.written), command.err
    crew, before = workers(command.pid), command.written()
    command.interrupt(crew, signals)
    assert command.status() == 130
    assert command.err == STOPPED
    gone(crew)
    assert signals == 2 or command.written() > before


def test_processes_end_with_the_command(tmp_path: Path) -> None:
    folder = prepared(tmp_path, LONG)
    command = Command(folder, "-q", "--devices", "2")
    assert command.until(command.written), command.err
    crew = workers(command.pid)
    assert len(crew) == 2
    command.kill()
    gone(crew)


# fmt: off
# ruff: noqa: E501  (one case a line)
CASES = {
    "none": (["--devices", "0"], "--devices: must be 1 to 1000, got 0."),
    "jobs": (["--devices", "2", "--jobs", "2"], "--jobs: must be left out with --devices, which makes runs one by one, got 2."),
    "ray": (["--devices", "2", "--launcher", "ray"], "--launcher: must be local with --devices, which are of one machine, got 'ray'."),
    "stack": (["--devices", "2", "--executor", "stack"], "--executor: must be auto or loop with --devices, got 'stack'."),
    "batch": (["--devices", "3", "--set", "training.batch_size=2"],
              "--devices: must be at most training.batch_size, 2: each device has rows of every batch, got 3."),
    "compile": (["--devices", "2", "--set", "training.compile=true"],
                "training.compile: must be left out with --devices, got True."),
}
# fmt: on


@pytest.mark.parametrize(("arguments", "sentence"), CASES.values(), ids=list(CASES))
def test_what_cannot_be_is_refused_in_a_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.toml").write_text(TWO)
    assert main(["run", str(tmp_path / "e.toml"), "--out", str(tmp_path / "out"), *arguments]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.strip().count("\n") == 0
    assert said.out == ""
    assert not (tmp_path / "out").exists()


def test_more_devices_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from engine.small import spec

    from maskcl.errors import ConfigError
    from maskcl.launch import check_devices, on_devices

    monkeypatch.setattr(on_devices, "find_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"^--devices: must be at most the number of GPUs here, 1, got 2\.$"):
        check_devices([spec("er")], 2)
    monkeypatch.setattr(on_devices, "find_device", lambda name: torch.device("mps"))
    with pytest.raises(ConfigError, match=r"^--devices: must be 1 on MPS"):
        check_devices([spec("er")], 2)


def test_each_process_sees_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from maskcl.launch.on_devices import surroundings

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert surroundings(1, "cuda") == {"CUDA_VISIBLE_DEVICES": "1"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-aa")
    assert [surroundings(rank, "cuda")["CUDA_VISIBLE_DEVICES"] for rank in (0, 1)] == ["3", "GPU-aa"]
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    assert surroundings(0, "cpu") == {}


def test_the_dry_run_says_what_its_estimates_are_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "e.toml").write_text(TWO)
    arguments = ["run", str(tmp_path / "e.toml"), "--out", str(tmp_path / "out"), "--dry-run", "--devices", "2"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "estimates are of one device; each run will be made by 2, one run after the other" in said
    assert "loop" in said
