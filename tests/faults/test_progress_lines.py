"""Progress where no bar can be drawn: a line now and then, with what is left. The clock is ours."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest

from maskcl.cli.console import progress
from maskcl.cli.lines import LINE_EVERY
from maskcl.progress import Resumed


class Clock:
    now = 500.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_line_now_and_then_with_the_time_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("mine", 4, "runs", quiet=False) as advance:
        assert advance is not None
        for _ in range(10):
            clock.now += LINE_EVERY / 10
            advance(0.1)
        assert lines(capsys) == ["mine: 1/4 runs in 30 s, about 90 s left"]
        clock.now += LINE_EVERY - 1
        advance(1.0)
        assert lines(capsys) == []
        clock.now += 7200
        advance(0.5)
        assert lines(capsys) == ["mine: 2.5/4 runs in 2 h 1 min, about 1 h 13 min left"]
        advance(-1.0)  # a worker died: what it lost is made again
        clock.now += LINE_EVERY
        advance(0.0)
        assert lines(capsys) == ["mine: 1.5/4 runs in 2 h 1 min, about 3 h 22 min left"]
    assert lines(capsys) == ["mine: 4/4 runs in 2 h 1 min"]


def test_what_was_found_says_nothing_of_how_fast_it_goes(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("mine", 4, "runs", quiet=False) as advance:
        assert advance is not None
        advance(Resumed(2.0))
        clock.now += LINE_EVERY
        advance(0.0)
        assert lines(capsys) == ["mine: 2/4 runs in 30 s"]
        clock.now += LINE_EVERY
        advance(0.5)
        assert lines(capsys) == ["mine: 2.5/4 runs in 60 s, about 3 min left"]
        advance(Resumed(-1.0))  # a worker died, and another one is about to find what it had found
        clock.now += LINE_EVERY
        advance(Resumed(1.0))
        assert lines(capsys) == ["mine: 2.5/4 runs in 90 s, about 4 min left"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nor_does_it_in_a_bar(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rich.console.monotonic", clock)
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with progress("mine", 4, "runs", quiet=False) as advance:
        assert advance is not None
        for amount in (0.0, Resumed(0.0), Resumed(3.0), 0.0, 0.1, 0.1):
            clock.now += 10
            advance(amount)
        time.sleep(0.3)  # it is drawn ten times a second
        shown = sys.stderr.getvalue()
    told = re.findall(
        r"([0-9.]+)/4 runs +(?:([0-9.]+) runs/s)? +left +([0-9:-]+)", re.sub("\x1b[^a-zA-Z]*[a-zA-Z]", "", shown)
    )
    assert told[-1] == ("3.2", "0.00667", "0:02:00")


def test_short_work_says_nothing_more_than_it_has_to(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("mine", 2, "runs", quiet=False) as advance:
        assert advance is not None
        advance(1.0)
    print("", end="")
    assert len(lines(capsys)) <= 1


def test_before_anything_is_done_nobody_knows_what_is_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("mine", None, "pictures", quiet=False) as advance:
        assert advance is not None
        clock.now += LINE_EVERY
        advance(0.0)
        assert lines(capsys) == ["mine: 0 pictures in 30 s"]


def test_quiet_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("mine", 4, "runs", quiet=True) as advance:
        assert advance is None
    assert lines(capsys) == []
