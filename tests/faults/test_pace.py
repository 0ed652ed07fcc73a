"""When a checkpoint is due; the clock is ours."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from contract.test_contract import OPTIONS

from maskcl.engine import run_population
from maskcl.engine.pace import MINUTE, SHARE, Pace
from maskcl.methods import find
from maskcl.testing import Trial
from maskcl.testing.cutting import assert_same_outcome, in_pieces


class Clock:
    """Seconds, moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("maskcl.engine.pace.time.perf_counter", clock)
    return clock


def test_every_k_steps_and_at_task_ends(clock: Clock) -> None:
    pace = Pace(10)
    assert [pace.due(4) for _ in range(4)] == [False, False, True, True]  # at 12, and until one is written
    pace.written(5.0)
    assert not pace.due(9)
    assert pace.due(1)
    assert pace.due_at_end()


def test_never(clock: Clock) -> None:
    pace = Pace(0)
    clock.now += 1e6
    assert not pace.due(1000)
    assert not pace.due_at_end()


def test_short_runs_write_none_and_long_ones_one_a_minute(clock: Clock) -> None:
    pace = Pace(None)
    clock.now += MINUTE - 1
    assert not pace.due(1000)
    assert not pace.due_at_end()
    clock.now += 1
    assert pace.due(1)
    pace.written(0.1)
    clock.now += MINUTE - 1
    assert not pace.due(1)
    assert pace.due_at_end()  # the run has lasted its minute
    clock.now += 1
    assert pace.due(1)


@pytest.mark.parametrize("cost", [0.7, 3.0, 60.0])
def test_writing_takes_no_more_than_its_share_of_the_time(cost: float, clock: Clock) -> None:
    pace, spent, began = Pace(None), 0.0, clock.now
    for step in range(20_000):
        clock.now += 1.0
        if pace.due(1) or (step % 7 == 0 and pace.due_at_end()):
            clock.now += cost
            spent += cost
            pace.written(cost)
    assert 0 < spent <= cost + (clock.now - began) / SHARE


def test_the_wall_clock_may_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(0, 4e9))
    training = {"dtype": "float32", "checkpoint_every": 1, "save_weights": True}
    specs = [Trial(find("derpp"), OPTIONS.get("derpp", {})).spec(training=training)]
    whole = run_population(specs, threads=1)
    assert_same_outcome(whole[0], in_pieces(specs, executor="stack")[0], what="on a clock that jumps")


def test_no_module_asks_for_the_time_of_day() -> None:
    source = Path(__file__).parents[2] / "src" / "maskcl"
    asking = [str(path.relative_to(source)) for path in source.rglob("*.py") if "time.time(" in path.read_text()]
    assert asking == []
