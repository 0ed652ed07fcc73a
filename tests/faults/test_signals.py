"""Ctrl-C and SIGTERM: the step is ended, the state is written down, and the exit status tells which it was."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from faults.commands import ONE, Command, listed, prepared

from maskcl.engine import Checkpoints
from maskcl.experiment.stopping import STOPPED_BY, stop_signals

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

STOPPED = "stopped: what was finished is kept in out, and the same command goes on from there\n"
LONG = ONE.replace("epochs = 2", "epochs = 2000").replace("checkpoint_every = 25", "checkpoint_every = 10000000")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_ends_it_with_its_state_saved(number: int, status: int, tmp_path: Path) -> None:
    folder = prepared(tmp_path, LONG)
    command = Command(folder, "-q")
    assert command.until((folder / "out" / ".maskcl" / "claims").exists)
    command.signal(number)
    assert command.status() == status
    assert command.err == STOPPED
    assert command.out == ""
    private = folder / "out" / ".maskcl"
    assert listed(private) == ["checkpoints", "claims.lock"]
    (name,) = listed(private / "checkpoints")
    assert name.endswith("-000001.safetensors")
    told: list[str] = []
    assert Checkpoints(private / "checkpoints", {}, tell=told.append).newest({"x"}) == []
    assert told == []  # it is whole, and of other runs


def test_a_closed_terminal_is_nothing_to_who_ignores_it() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stop_signals() as stopping:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stopping()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stopping()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
        STOPPED_BY.clear()


def test_the_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    folder = prepared(tmp_path, LONG.replace('"er"', '"waiting"'))  # a step that never ends
    command = Command(folder, "-q", "--executor", "loop")
    assert command.until((folder / "begun").exists)
    command.signal(signal.SIGINT)
    assert command.until((folder / "asked").exists)
    assert command.process.is_alive()
    command.signal(signal.SIGINT)
    assert command.status() == 130
    assert command.err == STOPPED
