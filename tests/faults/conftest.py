from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def heard_signals() -> None:
    """Programs that tests start hear signals, also where the tests run under nohup or in the background of a script."""
    if os.name == "posix":
        for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, usual)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the experiment was run, and nothing happened to it."""
    from faults.commands import Command, left_over, prepared

    folder = prepared(tmp_path_factory.mktemp("whole"))
    command = Command(folder, "-q")
    assert command.status() == 0, command.err
    assert command.err == ""
    assert left_over(folder) == []
    return folder
