"""Progress where no bar can be drawn: a line now and then, with what is left. The clock is ours."""

from __future__ import annotations

import time

import pytest

from maskcl.cli.console import LINE_EVERY, progress


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
