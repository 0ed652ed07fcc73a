"""Two processes on one folder: each run is made once, and who waits says for whom, and takes over."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from faults.commands import ONE, Command, left_over, prepared, results


@pytest.mark.parametrize("killed", [False, True])
def test_who_waits_says_for_whom_and_takes_over(killed: bool, tmp_path: Path) -> None:
    folder = prepared(tmp_path, ONE.replace('"er"', '"waiting"'))
    first = Command(folder, "-q")
    assert first.until((folder / "begun").exists)
    second = Command(folder, "-q")
    waits = f"waits for process {first.pid} on {socket.gethostname()} (1 run), in the same folder; "
    assert second.until(lambda: second.err)
    assert second.err == f"{waits}what it leaves behind is taken over\n"
    if killed:
        first.kill()
    (folder / "go").touch()
    assert second.status() == 0
    assert killed or first.status() == 0
    begun = (folder / "begun").read_text().split()
    assert begun == [str(first.pid), str(second.pid)][: 1 + killed]
    assert len(results(folder)) == 2
    assert left_over(folder) == []


def test_two_that_begin_together_make_what_one_makes(tmp_path: Path, whole: Path) -> None:
    folder = prepared(tmp_path)
    commands = [Command(folder, "-q"), Command(folder, "-q")]
    assert [(command.status(), command.err.count("Traceback")) for command in commands] == [(0, 0)] * 2, commands[0].err
    assert results(folder) == results(whole)
    assert left_over(folder) == []
