"""A plan in shards and pieces: each run in exactly one, and all of them together what one process makes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from maskcl.cli.parts import cores_each, parse_shard
from maskcl.engine import Checkpoints
from maskcl.engine.checkpoints import population_name
from maskcl.errors import ConfigError
from maskcl.experiment import carry_out, execute, plan
from maskcl.launch.pieces import pieces

SMALL: dict[str, Any] = {
    "name": "small",
    "seeds": 3,
    "scenario": {"tasks": [[0, 1], [2, 3]], "subset": 0.3},
    "memory": {"size": 20},
    "network": {"hidden": [16]},
    "method": "er",
    "grid": {"mask": ["none", {"leak": 0.1}]},
}


def contents(folder: Path) -> dict[str, Any]:
    """What result files say, but for times and how many ran side by side."""
    found = {}
    for path in sorted(folder.rglob("*.json")):
        told = json.loads(path.read_text())
        found[str(path.relative_to(folder))] = [told[name] for name in ("config", "metrics", "confidence", "tasks")]
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("whole")
    execute(plan(SMALL, out=out), executor="stack", threads=1)
    return contents(out)


@pytest.mark.parametrize("count", [1, 2, 4, 6, 9])
def test_each_run_is_in_one_shard_whatever_is_finished(count: int) -> None:
    planned = plan(SMALL)
    shards = [planned.shard(i, count) for i in range(count)]
    assert [run for shard in shards for run in shard.runs] == list(planned.runs)
    assert max(len(shard.runs) for shard in shards) - min(len(shard.runs) for shard in shards) <= 1


@pytest.mark.parametrize("count", [2, 4])
def test_all_shards_in_any_order_and_again_are_the_whole(count: int, tmp_path: Path, whole: dict[str, Any]) -> None:
    order = list(range(count))
    random.Random(count).shuffle(order)
    for i in order:
        execute(plan(SMALL, out=tmp_path).shard(i, count), executor="stack", threads=1)
    assert contents(tmp_path) == whole
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    for i in reversed(order):
        assert execute(plan(SMALL, out=tmp_path).shard(i, count)).runs
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")} == before
    assert not (tmp_path / ".maskcl").exists()


def test_a_shard_without_runs_does_nothing(tmp_path: Path) -> None:
    assert execute(plan(SMALL, out=tmp_path / "out").shard(0, 9)).runs
    assert carry_out(plan(SMALL, out=tmp_path / "none").shard(8, 9)) == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("text", ["1/1", "2/8", "1000/1000"])
def test_shards_count_from_1(text: str) -> None:
    index, count = map(int, text.split("/"))
    assert parse_shard(text) == (index - 1, count)
    assert parse_shard(None) is None


WRONG = ["", "1", "0/4", "5/4", "1/0", "-1/4", "1/-4", "1 / 4", "a/b", "1/1001", "1/4/2", "½/2", "٣/٤"]


@pytest.mark.parametrize("text", WRONG)
def test_other_shards_are_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--shard: must be I/N, as 1/4, with I from 1 to N and N up to 1000, got"):
        parse_shard(text)


@pytest.mark.parametrize("jobs", [0, -1, 1001])
def test_jobs_are_1_to_1000(jobs: int) -> None:
    with pytest.raises(ConfigError, match="--jobs: must be 1 to 1000"):
        cores_each(jobs)


def test_jobs_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskcl.machine.usable_cores", lambda: 8)
    assert [cores_each(jobs) for jobs in (1, 3, 8, 100)] == [8, 2, 1, 1]


@pytest.mark.parametrize("workers", [1, 2, 4, 7])
def test_each_run_is_in_one_piece_and_every_worker_has_one(workers: int) -> None:
    mixed = plan(SMALL | {"grid": {"mask": ["none", {"leak": 0.1}], "network.hidden": [[16], [8]]}})
    found = pieces(mixed.runs, workers, threads=1)
    assert sorted(run.key for part in found for run in part) == sorted(run.key for run in mixed.runs)
    assert len(found) >= workers
    assert all(len({run.spec.structure for run in part}) == 1 for part in found)


def test_runs_with_convolutions_come_one_by_one() -> None:
    images = SMALL | {
        "network": {"name": "convnet", "hidden": [4]},
        "scenario": {"dataset": "mnist_small", "subset": 0.1},
    }
    assert [len(part) for part in pieces(plan(images).runs, 2, threads=1)] == [1] * 6


def test_runs_of_a_checkpoint_stay_together_and_come_first(tmp_path: Path) -> None:
    runs = plan(SMALL).runs
    begun, checkpoints = [runs[5].key, runs[1].key, "ffffffff-0"], Checkpoints(tmp_path, {})
    checkpoints.write(population_name(begun), begun, {"done": [3, 3, 3]})
    found = pieces(runs, 2, threads=1, checkpoints=checkpoints)
    assert [run.key for run in found[0]] == begun[:2]
    assert sorted(run.key for part in found for run in part) == sorted(run.key for run in runs)
