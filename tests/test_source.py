"""Results and checkpoints tell which code made them, whatever its version calls itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import maskcl
from maskcl.cli import main
from maskcl.experiment import plan
from maskcl.experiment.in_process import checkpoints_of
from maskcl.results import read_result
from maskcl.source import source_digest, tree_digest

EXPERIMENT: dict[str, Any] = {"method": "finetune", "scenario": {"subset": 0.1}, "seeds": 1}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "part").mkdir(parents=True)
    (folder / "a.py").write_text("x = 1\n")
    (folder / "part" / "b.py").write_text("y = 2\n")
    return folder


def test_equal_source_has_one_digest_wherever_it_lies(tree: Path, tmp_path: Path) -> None:
    digest = tree_digest(tree)
    assert digest is not None
    assert len(digest) == 16
    shutil.copytree(tree, tmp_path / "other")
    (tmp_path / "other" / "__pycache__").mkdir()
    (tmp_path / "other" / "__pycache__" / "a.pyc").write_bytes(b"\0")
    assert tree_digest(tmp_path / "other") == digest


@pytest.mark.parametrize("change", ["content", "name", "moved", "more", "less", "cut elsewhere"])
def test_any_change_is_another_digest(change: str, tree: Path) -> None:
    before, a, b = tree_digest(tree), tree / "a.py", tree / "part" / "b.py"
    if change == "content":
        a.write_text("x = 2\n")
    elif change == "name":
        a.rename(tree / "c.py")
    elif change == "moved":
        a.rename(tree / "part" / "a.py")
    elif change == "more":
        (tree / "empty.py").write_text("")
    elif change == "less":
        b.unlink()
    else:
        a.write_text("x = ")
        b.write_text("1\ny = 2\n")
    assert tree_digest(tree) not in (None, before)


def test_source_that_is_not_in_files_has_none(tmp_path: Path) -> None:
    assert tree_digest(tmp_path) is None
    assert tree_digest(tmp_path / "package.zip" / "maskcl") is None


def test_results_tell_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = maskcl.run(EXPERIMENT, out=tmp_path).runs
    assert run["environment"]["source"] == source_digest() == tree_digest(Path(maskcl.__file__).parent)
    monkeypatch.setattr("maskcl.experiment.in_process.source_digest", lambda: None)
    (run,) = maskcl.run(EXPERIMENT).runs
    assert "source" not in run["environment"]


def test_a_checkpoint_of_other_source_is_named_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = plan(EXPERIMENT, out=tmp_path).runs
    told: list[str] = []

    def opened(source: str | None) -> Any:
        monkeypatch.setattr("maskcl.experiment.in_process.source_digest", lambda: source)
        return checkpoints_of(run, tell=told.append)

    opened("0" * 16).write("0123456789abcdef", [run.key], {"done": [7]})
    assert [saved.content["done"] for saved in opened("0" * 16).newest({run.key})] == [[7]]
    assert told == []
    assert opened("1" * 16).newest({run.key}) == []
    assert told[-1].endswith(f"is of source {'0' * 16} and not {'1' * 16}. It is left alone.")
    opened(None).write("0123456789abcdef", [run.key], {"done": [8]})  # as those were written that knew of no source
    assert [saved.content["done"] for saved in opened("0" * 16).newest({run.key})] == [[7]]
    assert told[-1].endswith(f"is of source None and not {'0' * 16}. It is left alone.")


@pytest.mark.parametrize("source", [None, "0" * 16])
def test_repeat_names_it_where_numbers_differ(
    source: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maskcl.run(EXPERIMENT, out=tmp_path)
    (path,) = tmp_path.rglob("seed-0.json")
    document = json.loads(path.read_text())
    document["environment"]["source"] = source
    if source is None:
        del document["environment"]["source"]
    path.write_text(json.dumps(document))
    assert "source" not in read_result(path)["environment"] or source is not None
    assert main(["repeat", str(path), "-q"]) == 0  # the same numbers: nothing has to be explained
    assert "source" not in capsys.readouterr().out
    document["confidence"][1][0] += 0.25
    del document["checksum"]
    path.write_text(json.dumps(document))
    assert main(["repeat", str(path), "-q"]) == 1
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("source"))
    assert row.split(maxsplit=1)[1].rsplit(maxsplit=1) == [source or "not told", source_digest()]
