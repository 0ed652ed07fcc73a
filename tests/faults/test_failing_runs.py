"""A run that fails or diverges leaves the others alone, is listed with its reason, and the exit status tells."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from faults.commands import ONE, Command, left_over, prepared, results

MIXED = ONE.replace('method = "er"\n', "").replace("seeds = 1", "seeds = 2")


def test_an_error_in_one_run_leaves_the_others_alone(tmp_path: Path) -> None:
    grid = '[grid]\nmethod = ["er", {name = "raising", after = 60}]\n'
    folder = prepared(tmp_path, MIXED + grid)
    command = Command(folder, "-q")
    assert command.status() == 3
    *failed, last = command.err.splitlines()
    assert [line.startswith("failed: ") for line in failed] == [True, True]
    assert [line.endswith(f", seed {k}: RuntimeError: no good") for k, line in enumerate(failed)] == [True, True]
    assert last == "the same command tries these runs again"
    assert "report: out/report.html" in command.out
    assert [Path(name).name for name in results(folder)] == [
        f"seed-{k}.{end}" for k in (0, 1) for end in ("json", "safetensors")
    ]
    before = results(folder)
    again = Command(folder, "-q", "--set", "grid.method=['er', {name='raising', after=-1}]")
    assert again.status() == 0, again.err
    assert before.items() <= results(folder).items()


def test_where_all_runs_fail_that_is_what_is_said(tmp_path: Path) -> None:
    folder = prepared(tmp_path, ONE.replace('"er"', '{ name = "raising", after = 3 }'))
    command = Command(folder, "-q")
    assert command.status() == 3
    first, last = command.err.splitlines()
    assert first.startswith("failed: ")
    assert first.endswith("seed 0: RuntimeError: no good")
    assert last == "the same command tries these runs again"
    assert command.out == ""
    assert results(folder) == {}
    assert left_over(folder) == []


CHOOSY = (
    MIXED + '[grid]\nmethod = [{name = "choosy"}, {name = "choosy", trouble = 2.0}, {name = "choosy", trouble = 0.5}]\n'
)


def test_an_error_in_one_member_of_a_population_leaves_the_others_alone(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "all", CHOOSY)
    command = Command(folder, "-q")
    assert command.status() == 3
    *failed, last = command.err.splitlines()
    assert [line.rpartition(", seed ")[2] for line in failed] == [f"{k}: RuntimeError: trouble 2" for k in (0, 1)]
    assert last == "the same command tries these runs again"
    good = prepared(tmp_path / "good", CHOOSY.replace('{name = "choosy", trouble = 2.0}, ', ""))
    assert Command(good, "-q").status() == 0
    assert len(results(good)) == 8
    assert results(folder) == results(good)


def test_an_error_of_every_member_is_listed_for_each(tmp_path: Path) -> None:
    text = ONE.replace('"er"', '{ name = "raising", after = 3 }').replace("seeds = 1", "seeds = 16")
    folder = prepared(tmp_path, text)
    command = Command(folder, "--log-level", "debug", "--set", "training.checkpoint_every=0")
    assert command.status() == 3
    failed = [line for line in command.err.splitlines() if line.startswith("failed: ")]
    assert [line.rpartition(", seed ")[2] for line in failed] == [f"{k}: RuntimeError: no good" for k in range(16)]
    populations = re.findall(r"begins: (\d+) runs?", command.err)
    assert 16 < sum(map(int, populations)) <= 5 * 16


def diverged(folder: Path) -> list[object]:
    documents = [json.loads(path.read_text()) for path in sorted((folder / "out").glob("*/seed-*.json"))]
    return [document["diverged"] for document in documents]


REASON = "its loss or its weights are not finite"


def test_a_learning_rate_that_is_far_too_large(tmp_path: Path) -> None:
    folder = prepared(tmp_path, ONE)
    command = Command(folder, "-q", "--set", "grid.optimizer.lr=[0.05, 1e30]")
    assert command.status() == 3
    assert "diverged" in command.out.lower()
    assert {str(one) for one in diverged(folder)} == {"None", str({"task": 0, "reason": REASON})}
    again = Command(folder, "-q", "--set", "grid.optimizer.lr=[0.05, 1e30]")
    assert again.status() == 3  # a run that diverged is done, and stays one that diverged


@pytest.mark.parametrize("executor", ["loop", "stack"])
def test_a_loss_that_is_no_number_in_one_step(executor: str, tmp_path: Path) -> None:
    folder = prepared(tmp_path, ONE.replace('"er"', '{ name = "undefined", after = 100 }'))
    command = Command(folder, "-q", "--executor", executor)
    assert command.status() == 3
    assert diverged(folder) == [{"task": 1, "reason": REASON}]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    rng, labels = np.random.default_rng(0), np.arange(40) % 4
    inputs = rng.random((40, 5)).astype(np.float32)
    inputs[17, 3] = value
    np.savez(
        tmp_path / "own.npz", train_inputs=inputs, train_labels=labels, test_inputs=inputs[:8], test_labels=labels[:8]
    )
    folder = prepared(tmp_path, ONE.replace('dataset = "digits"', 'dataset = { npz = "own.npz" }\nnum_tasks = 2'))
    command = Command(folder, "-q")
    assert command.status() == 2
    (said,) = command.err.splitlines()
    assert said.startswith("error: ")
    assert "must be finite numbers" in said
    assert not (folder / "out").exists()
