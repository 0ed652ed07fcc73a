"""A folder of results with anything else in it: what can be read is reported, the rest is named."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report.fabricate import fabricate

from maskcl import report
from maskcl.cli import main
from maskcl.errors import DataError, MaskclWarning, MissingDataError
from maskcl.results import LeftOut, Results, load_results, reading, result_path, write_result
from maskcl.results.folder import read_folder

posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs files that are no files")
RUNS = fabricate(methods=("er",), masks=[None, {"leak": 0.1}], num_seeds=2)


@pytest.fixture(autouse=True)
def no_hanging() -> Iterator[None]:
    """Whoever waits for the writer of a FIFO waits for ever."""
    if not hasattr(signal, "alarm"):
        yield
        return
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four runs."""
    for run in RUNS:
        write_result(place(tmp_path, run), run)
    return tmp_path


def place(folder: Path, run: dict[str, Any]) -> Path:
    return result_path(folder, run["label"], run["config"], run["seed"])


def inside(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def read(folder: Path) -> tuple[int, LeftOut]:
    runs, left_out = read_folder(folder)
    return len(runs), left_out


def test_a_folder_of_results_alone_leaves_nothing_out(folder: Path) -> None:
    (folder / "report.html").write_text("<p>")
    (folder / "table.csv").write_text("a,b")
    (folder / ".hidden.json").write_text("{")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.json").write_text("{")
    assert read(folder) == (4, LeftOut())
    assert Results.load(folder).left_out == LeftOut()


FOREIGN = {
    "package.json": b'{"name": "x", "version": "1.0.0"}',
    "list.json": b"[1, 2]",
    "number.json": b"3",
    "empty.json": b"",
    "cut.json": b'{"name": ',
    "bytes.json": b"\xff\xfe\x00",
    "schema.json": b'{"$schema": "https://json-schema.org", "schema": 1}',
    "deep.json": b"[" * 100_000,
    "twice.json": b'{"a": 1, "a": 2}',
    "below/tsconfig.json": b"{}",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_left_out_and_named(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(FOREIGN[name])
    assert read(folder) == (4, LeftOut(foreign=(name,)))
    with pytest.warns(MaskclWarning) as told:
        assert len(Results.load(folder).runs) == 4
    assert [str(one.message) for one in told] == [f"left out 1 JSON file that is no result of maskcl: {name}."]


def test_foreign_files_are_named_once_together(folder: Path) -> None:
    for i in range(7):
        (folder / f"{i}.json").write_text("{}")
    with pytest.warns(MaskclWarning) as told:
        Results.load(folder)
    expected = "left out 7 JSON files that are no results of maskcl: 0.json, 1.json, 2.json and 4 more."
    assert [str(one.message) for one in told] == [expected]


def test_whatever_lies_in_the_place_of_a_result_is_a_broken_result(folder: Path) -> None:
    path = place(folder, RUNS[0])
    path.write_bytes(FOREIGN["package.json"])
    assert read(folder)[1].broken == (f"{inside(folder, path)}: must be the result of a run, and has no 'schema'.",)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "wrong", "newer", "without schema"])
def test_a_broken_result_is_named_with_its_reason_and_the_rest_is_read(folder: Path, damage: str) -> None:
    path = folder / "copied" / "elsewhere.json"  # told by what it holds, not by where it lies
    path.parent.mkdir()
    text = place(folder, RUNS[0]).read_text()
    place(folder, RUNS[0]).unlink()
    raw = json.loads(text)
    lacking = {key: value for key, value in raw.items() if key != "schema"}
    content, said = {
        "cut": (text[:-500], "must be JSON"),
        "flipped": (text.replace('"seconds": 0.31', '"seconds": -0.31'), "seconds: must be a number, 0 or more"),
        "empty": ("", ""),
        "wrong": (json.dumps(raw | {"metrics": {"final_accuracy": 5.0}}), "metrics.final_accuracy: must be a fraction"),
        "newer": (json.dumps(raw | {"schema": 2}), "schema: must be 1, got 2"),
        "without schema": (json.dumps(lacking), "must be the result of a run, and has no 'schema'"),
    }[damage]
    path.write_text(content)
    count, left_out = read(folder)
    assert count == 3
    if damage == "empty":
        assert left_out == LeftOut(foreign=("copied/elsewhere.json",))
        return
    (sentence,) = left_out.broken
    assert sentence.startswith(f"copied/elsewhere.json: {said}")
    assert "\n" not in sentence


def test_many_broken_results_are_named_up_to_five_then_counted(folder: Path) -> None:
    for run in RUNS[1:]:
        for i in range(3):
            place(folder, run).with_name(f"seed-1{i}.json").write_text("{")
    with pytest.warns(MaskclWarning) as told:
        results = Results.load(folder)
    texts = [str(one.message) for one in told]
    assert len(texts) == 6
    assert all(text.startswith("left out er_") and "must be JSON" in text for text in texts[:5])
    assert texts[5] == "left out 1 more file that cannot be read."
    assert len(results.left_out.broken) == 6


@posix
@pytest.mark.parametrize("name", ["odd.json", "er-01234567/seed-0.json"])
@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "folder", "loop", "nowhere", "file of folder"])
def test_what_is_no_regular_file_neither_hangs_nor_stops_anything(
    folder: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    monkeypatch.chdir(path.parent)  # a socket's path may not be long
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"device": "/dev/zero", "loop": path.name, "nowhere": "gone", "file of folder": ".."}[kind])
    count, left_out = read(folder)
    assert count == 4
    named = [*left_out.foreign, *(sentence.partition(": ")[0] for sentence in left_out.broken)]
    assert named == ([] if kind == "folder" else [name])


@posix
def test_links_to_results_are_followed_and_links_to_folders_are_not(folder: Path, tmp_path_factory: Any) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "loop").symlink_to(other)
    (other / "all").symlink_to(folder)
    for run in RUNS[:2]:
        path = place(other, run)
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(place(folder, run))
    assert read(other) == (2, LeftOut())


@posix
def test_folders_deeper_than_paths_can_tell_are_named(folder: Path) -> None:
    home, depth = os.getcwd(), 1500
    os.chdir(folder)
    try:
        for _ in range(depth):
            os.mkdir("deep")
            os.chdir("deep")
        count, left_out = read(folder)
        for _ in range(depth):  # what removes temporary folders calls itself for each
            os.chdir("..")
            os.rmdir("deep")
    finally:
        os.chdir(home)
    assert count == 4
    assert len(left_out.broken) <= 1
    assert all(
        len(sentence) < 400 and "must be a folder that can be looked into" in sentence for sentence in left_out.broken
    )


def test_a_file_that_may_not_be_read_is_named_with_the_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, path = os.open, place(folder, RUNS[2])

    def refusing(name: Any, *options: Any) -> int:
        if Path(name) == path:
            raise PermissionError(13, "Permission denied")
        return opened(name, *options)

    monkeypatch.setattr(reading.os, "open", refusing)
    count, left_out = read(folder)
    assert count == 3
    assert left_out.broken == (f"{inside(folder, path)}: must be a file that can be read (Permission denied).",)


def test_a_folder_that_may_not_be_looked_into_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir, path = os.scandir, place(folder, RUNS[2]).parent

    def refusing(name: Any) -> Any:
        if Path(name) == path:
            raise PermissionError(13, "Permission denied")
        return scandir(name)

    monkeypatch.setattr("maskcl.results.folder.os.scandir", refusing)
    count, left_out = read(folder)
    assert count == 2
    assert left_out.broken == (f"{path.name}: must be a folder that can be looked into (Permission denied).",)


def test_a_file_that_goes_away_meanwhile_was_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, path = os.open, place(folder, RUNS[2])

    def gone(name: Any, *options: Any) -> int:
        if Path(name) == path:
            path.unlink()
        return opened(name, *options)

    monkeypatch.setattr(reading.os, "open", gone)
    assert read(folder) == (3, LeftOut())


def test_a_huge_file_is_refused_by_name_without_being_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place(folder, RUNS[0])
    with path.open("r+b") as file:
        file.truncate(10 << 30)  # of holes
    asked: list[Any] = []
    opened = os.open
    monkeypatch.setattr(reading.os, "open", lambda *options: asked.append(Path(options[0])) or opened(*options))
    count, left_out = read(folder)
    assert (count, path in asked) == (3, False)
    assert left_out.broken == (f"{inside(folder, path)}: must have 67,108,864 bytes or fewer, and has 10,737,418,240.",)


def test_names_that_would_steer_a_terminal_are_shown_as_text(folder: Path) -> None:
    (folder / "a\x1b[31m\u202e.json").write_text("{}")
    assert read(folder)[1].foreign == ("a\ufffd[31m\ufffd.json",)


def test_a_folder_in_which_nothing_can_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="must be a folder of results, and is not there"):
        load_results(tmp_path / "nowhere")
    with pytest.raises(
        DataError, match=r"must hold result files \(\*\.json\), and holds none\.\nhint: maskcl run FILE"
    ):
        load_results(tmp_path)
    (tmp_path / "package.json").write_text("{}")
    with pytest.raises(
        DataError, match=r"and holds 1 JSON file that is no result of maskcl: package\.json\.\nhint: maskcl"
    ):
        load_results(tmp_path)
    for seed in (0, 1):
        write_result(tmp_path / f"seed-{seed}.json", RUNS[0] | {"seed": seed, "seconds": "long"})
    with pytest.raises(
        DataError, match=r"and holds none \(1 more cannot be read either\); seed-0\.json: seconds: must be"
    ):
        load_results(tmp_path)


def test_two_files_of_one_run_stop_it_all(folder: Path) -> None:
    copy = folder / "copy" / "seed-0.json"
    copy.parent.mkdir()
    copy.write_bytes(place(folder, RUNS[0]).read_bytes())
    with pytest.raises(DataError, match=r"must hold each run once.* seed 0 in copy/seed-0\.json and er_"):
        load_results(folder)


def test_the_page_says_what_was_left_out(folder: Path) -> None:
    (folder / "<b>package.json").write_text("{}")
    place(folder, RUNS[0]).write_text("{")
    with pytest.warns(MaskclWarning):
        results = Results.load(folder)
    page = report.render(results, "html")
    assert "Left out of this report: er_" in page
    assert "must be JSON" in page
    assert "1 JSON file that is no result of maskcl: &lt;b&gt;package.json." in page
    assert "<b>package.json" not in page
    assert "Left out" not in report.render(Results(results.runs), "html")


@pytest.mark.parametrize("format", ["table", "html"])
def test_the_command_reports_what_it_can(folder: Path, format: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "package.json").write_text("{}")
    place(folder, RUNS[0]).write_text("{")
    assert main(["report", str(folder), "--format", format]) == 0
    shown = capsys.readouterr()
    first, second = shown.err.splitlines()
    assert first.startswith("warning: left out er_")
    assert second == "warning: left out 1 JSON file that is no result of maskcl: package.json."
    assert ("ER" in shown.out) == (format == "table")


def test_the_command_ends_with_2_where_nothing_can_be_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result(tmp_path / "seed-0.json", RUNS[0] | {"seconds": "long"})
    assert main(["report", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"error: {tmp_path}: must hold results that can be read, and holds none; seed-0.json: ")
    assert "Traceback" not in shown.err
