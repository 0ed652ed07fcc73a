"""What a worker is told, and what it tells: JSON lines, one real process."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from faults.commands import EXPERIMENT, prepared

from maskcl.experiment.sharing import Share
from maskcl.launch import Recipe
from maskcl.launch.child import Child
from maskcl.launch.worker import COMMAND
from maskcl.progress import Resumed


class Worker:
    """A worker, and what it says."""

    def __init__(self, recipe: dict[str, Any]) -> None:
        self.process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.say(recipe)

    def say(self, what: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def until(self, *ends: str) -> list[dict[str, Any]]:
        """What it says until one of these."""
        said: list[dict[str, Any]] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said.append(json.loads(line))
            if set(said[-1]) & set(ends):
                break
        return said


@contextmanager
def working(recipe: dict[str, Any]) -> Iterator[Worker]:
    worker = Worker(recipe)
    with worker.process:
        try:
            yield worker
        finally:
            worker.process.kill()


def test_a_worker_makes_piece_by_piece_and_says_what_became_of_it(tmp_path: Path) -> None:
    folder = prepared(tmp_path, EXPERIMENT)
    recipe = Recipe(str(folder / "e.toml"), str(folder / "out"), 1, {"training.epochs": 1}, None, "auto", 1, "typed")
    runs = recipe.planned().runs
    with working(asdict(recipe)) as worker:
        assert worker.until("ready") == [{"ready": True}]
        keys = [run.key for run in runs[:2]]
        worker.say({"keys": keys})
        said = worker.until("done")
        assert [news["result"] for news in said if "result" in news] == keys
        assert sum(news.get("progress", 0.0) for news in said) == pytest.approx(2)
        assert all(run.path is not None and run.path.exists() == (run.key in keys) for run in runs)

        worker.say({"keys": [runs[2].key]})
        assert {"result": runs[2].key} in worker.until("done")

        assert runs[3].path is not None
        shutil.rmtree(runs[3].path.parent, ignore_errors=True)
        runs[3].path.parent.touch()  # where a folder should be
        worker.say({"keys": [runs[3].key]})
        (refused,) = (news["refused"] for news in worker.until("refused", "done") if "refused" in news)
        assert "must be a file that can be written" in refused
        assert worker.process.wait() == 2


def test_a_worker_that_goes_on_says_what_it_has_found(tmp_path: Path) -> None:
    folder = prepared(tmp_path, EXPERIMENT.replace("epochs = 2", "epochs = 200"))
    recipe = Recipe(str(folder / "e.toml"), str(folder / "out"), 1, {}, None, "auto", 1, "typed")
    piece = {"keys": [recipe.planned().runs[0].key]}
    with working(asdict(recipe)) as worker:
        worker.say(piece)
        assert worker.until("resumed")[-1] == {"resumed": 0.0}
        while not list((folder / "out" / ".maskcl" / "checkpoints").glob("*.safetensors")):
            worker.until("progress")
    with working(asdict(recipe)) as worker:
        worker.say(piece)
        found = worker.until("resumed", "done")[-1]["resumed"]
        assert 0 < found < 1


def test_a_worker_that_dies_takes_back_what_it_had_found_and_what_it_made(tmp_path: Path) -> None:
    folder = prepared(tmp_path, EXPERIMENT)
    recipe = Recipe(str(folder / "e.toml"), str(folder / "out"), 1, {}, None, "auto", 1, "typed")
    told, planned = list[float](), recipe.planned()
    child = Child.__new__(Child)
    news = iter([{"resumed": 0.7}, {"progress": 0.2}, None])
    child.say, child.heard = lambda what: None, lambda: next(news)  # type: ignore[method-assign]
    assert not child.make(planned.runs[:1], Share(planned, None, on_progress=told.append), print)
    assert told == pytest.approx([0.7, 0.2, -0.7, -0.2])
    assert [isinstance(amount, Resumed) for amount in told] == [True, False, True, False]


def test_a_recipe_that_cannot_be_planned_is_refused(tmp_path: Path) -> None:
    recipe = Recipe(str(tmp_path / "none.toml"), str(tmp_path), None, {}, None, "auto", 1, "typed")
    with working(asdict(recipe)) as worker:
        (said,) = worker.until("ready", "refused")
        assert str(tmp_path / "none.toml") in said["refused"]
        assert worker.process.wait() == 2


def test_runs_that_a_changed_file_has_no_more_fail_in_a_sentence(tmp_path: Path) -> None:
    folder = prepared(tmp_path, EXPERIMENT)
    recipe = Recipe(str(folder / "e.toml"), str(folder / "out"), 1, {"training.epochs": 1}, None, "auto", 1, "typed")
    kept, lost = (run.key for run in recipe.planned().runs[:2])
    prepared(tmp_path, EXPERIMENT.replace("leak = 0.1", "leak = 0.2"))
    reason = f"{recipe.file} was changed meanwhile, and has this run no more"
    with working(asdict(recipe)) as worker:
        worker.say({"keys": [kept, lost]})
        said = worker.until("done")
        assert {"failed": [lost], "reason": reason} in said
        assert {"result": kept} in said
        worker.say({"keys": [lost]})
        assert worker.until("done") == [{"failed": [lost], "reason": reason}, {"done": True}]


def test_what_its_parent_was_warned_of_it_does_not_say_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = prepared(tmp_path, EXPERIMENT)
    recipe = Recipe(str(folder / "e.toml"), str(folder / "out"), 1, {}, None, "auto", 1, "typed")
    path = recipe.planned().runs[0].path
    assert path is not None
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with working(asdict(recipe)) as worker:
        assert worker.until("ready", "said") == [{"ready": True}]
    assert capfd.readouterr().err == ""
