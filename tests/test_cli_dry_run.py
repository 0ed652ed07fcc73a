from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_cli import SMALL

from maskcl.cli import main


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("maskcl.engine.groups.free_cores", lambda: 1)  # how runs are grouped follows the load
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


def groups(out: str) -> list[list[str]]:
    """The rows of the table of groups, cut at two spaces or more."""
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("train together"))
    return [re.split(r" {2,}", line.strip()) for line in lines[start + 1 : lines.index("", start)]]


def test_groups_and_estimates_are_printed_and_marked(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(small.rglob("*"))
    argv = ["run", "small.toml", "--dry-run", "--seeds", "3", "--set", "grid.mask=['none', {leak = 0.1}, {leak = 0.3}]"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    plain, masked = groups(out)
    assert plain[0] == "er no mask"
    assert masked[0] == "er leak=0.1 and 1 more setting"
    for row, runs in ((plain, 3), (masked, 6)):
        count, size = re.fullmatch(r"(\d+) groups? of (\d+)", row[1]).groups()  # type: ignore[union-attr]
        assert int(count) * int(size) == runs
        assert row[2:4] == ["stack", "1"]
        assert re.fullmatch(r"\d+ s", row[4])
        assert row[5] == "1 MB"
    (estimate,) = (line for line in out.splitlines() if line.startswith("estimated: "))
    assert re.search(r"about \d+ s and \d+ MB of memory, .* at a time; from steps measured for \d+\.\d s", estimate)
    assert out.splitlines()[-1] == "small: 9 of 9 runs to do, results in runs/small"
    assert sorted(small.rglob("*")) == before


def test_what_is_done_is_not_estimated(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "small.toml", "-q"])
    capsys.readouterr()
    assert main(["run", "small.toml", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "estimated" not in out
    assert out.splitlines()[-1] == "small: 0 of 2 runs to do, results in runs/small"
    assert main(["run", "small.toml", "--dry-run", "--set", "grid.mask=['none', {leak = 0.3}]"]) == 0
    assert [row[0] for row in groups(capsys.readouterr().out)] == ["er leak=0.3"]


def test_the_executor_that_is_asked_for_is_told(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "small.toml", "--dry-run", "--executor", "loop"]) == 0
    assert [row[1:3] for row in groups(capsys.readouterr().out)] == [["1 group of 1", "loop"]] * 2


def test_processes_get_a_group_each(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "small.toml", "--dry-run", "--seeds", "3", "--jobs", "3"]) == 0
    out = capsys.readouterr().out
    assert [row[1] for row in groups(out)] == ["3 groups of 1"] * 2
    assert "up to 3 groups at a time" in out


def test_what_there_was_no_time_to_measure_is_told(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskcl.engine.measuring.PATIENCE", 0.0)
    assert main(["run", "small.toml", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert [row[4] for row in groups(out)] == ["?"] * 2
    assert "estimated: time unknown and " in out
    assert "; 2 of 2 kinds of runs are not in it: measuring would take too long\n" in out


def test_what_is_estimated_as_another_is_told(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    took = iter((0.0, 0.0, 99.0))  # as it begins, and before each of the two
    monkeypatch.setattr("maskcl.engine.measuring.time", type("Clock", (), {"perf_counter": lambda: next(took)}))
    monkeypatch.setattr("maskcl.engine.measuring._seconds", lambda *_: 40.0)
    assert main(["run", "small.toml", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert [row[4] for row in groups(out)] == ["40 s"] * 2
    assert "estimated: about 80 s and " in out
    assert "; 1 of 2 kinds of runs taken to be as one with another mask or size of memory\n" in out
