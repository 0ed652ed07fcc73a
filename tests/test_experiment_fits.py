"""What cannot fit into memory is refused when it is planned."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from maskcl.errors import ConfigError
from maskcl.experiment import plan, run, shipped
from maskcl.results import Results

SMALL: dict[str, Any] = {"method": "er", "seeds": 1, "training": {"batch_size": 32}}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("memory.size", 10**14),
        ("network.hidden", [10**9]),
        ("training.epochs", 10**12),
        ("method.replay_batch", 10**9),
    ],
)
def test_runs_that_cannot_fit_are_refused_in_one_sentence(key: str, value: Any) -> None:
    sentence = r"experiment: .*: must fit into the .* GB that are free, and a run needs about .* GB\."
    with pytest.raises(ConfigError) as error:
        plan(SMALL, overrides={key: value})
    assert re.fullmatch(sentence, str(error.value))


def test_a_setting_deep_in_a_grid_is_looked_at_too() -> None:
    with pytest.raises(ConfigError, match=r"memory.size: must fit into"):
        plan(SMALL, overrides={"grid.memory.size": [20, 50, 10**14]})


def test_what_is_finished_need_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(SMALL, out=tmp_path)
    monkeypatch.setattr("maskcl.engine.resources.free_bytes", lambda device: 10)
    assert isinstance(run(SMALL, out=tmp_path), Results)
    with pytest.raises(ConfigError, match="must fit into"):
        run(SMALL, out=tmp_path, seeds=2)


def test_planning_takes_a_few_milliseconds_a_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds() -> float:
        began = time.process_time()
        plan(shipped("digits_masks.toml"))
        return time.process_time() - began

    whole = min(seconds() for _ in range(3))
    monkeypatch.setattr("maskcl.experiment.planning.check_fits", lambda specs: None)
    assert whole - min(seconds() for _ in range(3)) < 8 * 0.03  # 8 structures at 3 ms when measured
