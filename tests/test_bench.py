"""The benchmarks run, and give what their tables say; how fast is not for a test."""

from __future__ import annotations

import math

import pytest

from maskcl.bench import cfgm, step
from maskcl.cli import main


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "MEMBERS", 2)
    monkeypatch.setattr(step, "ROUNDS", 2)
    monkeypatch.setattr(step, "ROWS_PER_TASK", 400)
    monkeypatch.setattr(cfgm, "ROUNDS", 2)


@pytest.mark.parametrize("method", ["er", "derpp"])
def test_a_step_is_held_against_a_bare_loop_and_the_products(tiny: None, method: str) -> None:
    lines = step.bench_step(method, threads=1, say=lambda text: None)
    assert [line.name.removeprefix(f"{method} ") for line in lines] == [
        "bare loop", "loop", "stack of 2", "limit: products alone"
    ]  # fmt: skip
    assert lines[0].ratio == 1
    assert all(math.isfinite(line.ratio) and line.samples_per_second > 0 for line in lines)


def test_every_replaying_task_has_a_line(tiny: None) -> None:
    assert [line.name for line in step.bench_flat(say=lambda text: None)] == ["task 1", "task 2", "task 3", "task 4"]


@pytest.mark.parametrize("setting", cfgm.SETTINGS)
def test_what_cfgm_costs_is_measured(tiny: None, setting: str) -> None:
    cost = cfgm._measure("MLP, stack of 32", setting)
    assert len(cost.seconds) == 2
    assert all(s > 0 for s in cost.seconds)
    assert cost.num_bytes > 0


def test_an_unknown_benchmark_is_refused_before_anything_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "nonsense"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "must be one of er, derpp, flat, cfgm" in err
