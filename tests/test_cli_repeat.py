from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cli import SMALL

import maskcl
from maskcl.cli import main
from maskcl.results import read_result


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The result of a run, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    maskcl.run("small.toml", out="out", overrides={"mask": {"leak": 0.1}}, executor="stack")
    (path,) = Path("out").rglob("seed-0.json")
    return path


def changed(path: Path, by: float) -> Path:
    """A copy whose confidence is another."""
    result = json.loads(path.read_text())
    result.pop("checksum", None)
    result["confidence"][1][0] += by
    result["environment"]["torch"] = "1.0"
    other = Path("changed.json")
    other.write_text(json.dumps(result))
    return other


def test_an_identical_run_is_one_line_and_writes_nothing(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path().rglob("*"))
    assert main(["repeat", str(made), "-q"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("identical: er leak=0.1, seed 0; ")
    assert shown.out.endswith(" numbers are equal to the last bit\n")
    assert shown.err == ""
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(("by", "word"), [(0.25, "differs"), (1e-9, "equal to rounding")])
def test_what_differs_is_told_with_its_place_and_what_may_explain_it(
    by: float, word: str, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["repeat", str(changed(made, by)), "-q"]) == 1
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{word}: er leak=0.1, seed 0; 1 of ")
    assert f"largest difference {by:.2g}" in first
    (row,) = (line.split() for line in lines if line.startswith("confidence"))
    assert row[:2] == ["confidence[1,", "0]"]
    assert float(row[2]) - float(row[3]) == pytest.approx(by, abs=1e-8)
    assert row[5:] == ["1", "of", "4"]
    (why,) = (line.split() for line in lines if line.startswith("torch"))
    assert why[1] == "1.0"


def test_what_nothing_explains_is_said(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads(made.read_text())
    result.pop("checksum", None)
    result["metrics"]["final_accuracy"] = 0.0
    Path("changed.json").write_text(json.dumps(result))
    assert main(["repeat", "changed.json", "-q", "--executor", "stack"]) == 1
    assert "are those that the file tells of" in capsys.readouterr().out


def test_many_differences_are_cut_to_the_largest(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads(made.read_text())
    result.pop("checksum", None)
    result["metrics"] |= {f"made_up_{i}": i / 30 for i in range(30)}
    Path("changed.json").write_text(json.dumps(result))
    assert main(["repeat", "changed.json", "-q"]) == 1
    out = capsys.readouterr().out
    assert out.count("made_up_") == 20
    assert "and 10 more, with smaller differences" in out


def test_the_new_result_is_written_where_asked(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repeat", str(made), "--executor", "loop", "--out", "new/again.json"]) == 1
    assert "1/1 runs" in capsys.readouterr().err
    old, new = read_result(made), read_result("new/again.json")
    assert new["executor"]["name"] == "loop"
    assert (new["config_hash"], new["seed"], new["label"]) == (old["config_hash"], old["seed"], old["label"])
    command = f"maskcl repeat {made} --executor loop --out new/again.json"
    assert new["origin"]["command"] == command
    assert main(["repeat", "new/again.json", "-q"]) == 0


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["nothing.json"], "error: nothing.json: must be "),
        (["."], "error: .: must be a"),
        (["small.toml"], "error: small.toml: must be JSON"),
        (["RESULT", "--executor", "fast"], "error: executor: must be one of auto, stack, loop, got 'fast'."),
        (["RESULT", "--device", "gpu"], "error: device: must be one of auto, cpu, cuda, mps, got 'gpu'."),
        (["RESULT", "--out", "RESULT"], "error: --out: must be another file than the result, got"),
        (["RESULT", "--out", "out"], "error: --out: must be a file, and is a folder, got 'out'."),
        (["RESULT", "--out", "small.toml/a.json"], "error: out: must be a folder that can be written"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_runs(
    argv: list[str], words: str, made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unexpected(*_: object, **__: object) -> None:
        raise AssertionError("runs")

    monkeypatch.setattr("maskcl.engine.run.grouped", unexpected)
    assert main(["repeat", *(str(made) if word == "RESULT" else word for word in argv)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(words), shown.err
    assert len(shown.err.partition("\nhint: ")[0].strip().splitlines()) == 1


def test_ctrl_c_writes_nothing(made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maskcl.engine.run.grouped", interrupted)
    assert main(["repeat", str(made), "--out", "again.json", "-q"]) == 130
    assert not Path("again.json").exists()


def test_a_file_that_is_no_result_is_not_written_over(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("notes.txt").write_text("mine")
    assert main(["repeat", str(made), "-q", "--out", "notes.txt"]) == 2
    words = "--out: must be a new file's name, for what is there is no result, got 'notes.txt'."
    assert words in capsys.readouterr().err
    assert Path("notes.txt").read_text() == "mine"
    for _ in range(2):
        assert main(["repeat", str(made), "-q", "--out", "again.json"]) == 0
