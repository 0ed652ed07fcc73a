"""--jobs: a worker that dies costs no run, one that dies twice fails its runs alone, and none outlives its parent."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from faults.commands import ONE, Command, gone, left_over, listed, prepared, results, workers

from maskcl.claims import Claims

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked for in /proc")

LONG = ONE.replace("epochs = 2", "epochs = 2000").replace("checkpoint_every = 25", "checkpoint_every = 500")


def test_a_worker_that_is_killed_costs_no_run(tmp_path: Path, whole: Path) -> None:
    folder = prepared(tmp_path)
    command = Command(folder, "-q", "--jobs", "2")
    assert command.until(command.written), command.err
    os.kill(workers(command.pid)[0], signal.SIGKILL)
    assert command.status() == 0, command.err
    assert "was ended by SIGKILL (out of memory?); another one goes on from where it stood\n" in command.err
    assert results(folder, executors=False) == results(whole, executors=False)
    assert left_over(folder) == []


def test_a_run_whose_worker_dies_twice_has_failed(tmp_path: Path) -> None:
    folder, killed = prepared(tmp_path, ONE), set[int]()
    command = Command(folder, "-q", "--jobs", "2")
    while command.until(lambda: set(workers(command.pid)) - killed):
        (worker,) = set(workers(command.pid)) - killed
        os.kill(worker, signal.SIGKILL)
        killed.add(worker)
    assert command.status() == 3
    died = "a process that made 1 run was ended by SIGKILL (out of memory?)"
    first, second, last = command.err.splitlines()
    assert first == f"{died}; another one goes on from where it stood"
    assert second.endswith(f"seed 0: {died}, 2 times")
    assert second.startswith("failed: ")
    assert last == "the same command tries these runs again"
    assert len(killed) == 2
    assert left_over(folder) == []


def test_workers_end_with_their_parent_and_leave_checkpoints(tmp_path: Path) -> None:
    folder = prepared(tmp_path, LONG)
    command = Command(folder, "-q", "--jobs", "2")
    assert command.until(command.written), command.err
    (worker,) = workers(command.pid)
    before = command.written()
    command.kill()
    gone([worker])
    assert command.written() > before
    assert not [name for name in listed(folder / "out" / ".maskcl" / "checkpoints") if name.endswith(".tmp")]
    with Claims(folder / "out" / ".maskcl") as claims:
        assert claims.alone()


@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_ends_workers_too(signals: int, tmp_path: Path) -> None:
    folder = prepared(tmp_path, LONG)
    command = Command(folder, "-q", "--jobs", "2")
    assert command.until(command.written), command.err
    (worker,) = workers(command.pid)
    before = command.written()
    command.interrupt([worker], signals)
    assert command.status() == 130
    gone([worker])
    assert command.err.startswith("stopped: what was finished is kept in out")
    assert signals == 2 or command.written() > before
