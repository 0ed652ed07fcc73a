"""What `maskcl report` makes of a path that is no folder of results, and of its surroundings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import maskcl
from maskcl.cli import main
from maskcl.errors import DataError
from maskcl.results import load_results


@pytest.mark.parametrize(
    ("name", "home"), [("runs/er-0123abcd/seed-0.json", "runs"), ("runs/report.html", "runs"), ("table.csv", ".")]
)
def test_a_file_in_place_of_a_folder_is_told_from_what_is_not_there(
    name: str, home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("{}")
    assert main(["report", name]) == 2
    hint = f"hint: maskcl report {home} reports all that lies there"
    assert capsys.readouterr().err == f"error: {name}: must be a folder of results, and is a file.\n{hint}\n"


def test_a_page_is_drawn_whatever_window_system_matplotlib_is_told_to_use(tmp_path: Path) -> None:
    maskcl.run({"method": "finetune", "scenario": {"subset": 0.1}}, seeds=1, out=tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "maskcl", "report", str(tmp_path), "--format", "html"],
        env=os.environ | {"MPLBACKEND": "bogus"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert list((tmp_path / "figures").glob("*.png"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs files that are no files")
def test_what_is_neither_file_nor_folder_is_told_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for name in ("pipe", "nowhere"):
        with pytest.raises(DataError, match=f"{name}: must be a folder of results, and is none"):
            load_results(tmp_path / name)
