"""What lies around the shell: a full disk, a closed stdout, folders that one may not look into, pipes for files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from painted import SMALL, paint

from maskcl import Learner
from maskcl.cli import main
from maskcl.cli.console import note


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "pets", "red", "green", each=3)
    return tmp_path


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    status = main(argv)
    err = capsys.readouterr().err
    assert status == 2
    assert err.startswith("error: ")
    assert len(err.splitlines()) <= 2
    return err


FIT = ["fit", "pets", "--into", "a.model", "--epochs", "1", *SMALL]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a full disk is known to Linux alone")
@pytest.mark.parametrize("command", ["fit", "predict", "evaluate json", "evaluate", "methods"])
def test_a_full_disk_is_told_in_a_sentence(
    here: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(FIT) == 0
    capsys.readouterr()
    argv = {"fit": FIT, "predict": ["predict", "a.model", "pets", "-q"], "methods": ["methods"],
            "evaluate": ["evaluate", "a.model", "pets", "-q"],
            "evaluate json": ["evaluate", "a.model", "pets", "-q", "--format", "json"]}[command]  # fmt: skip
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        err = refused(argv, capsys)
    assert "stdout: must take what is printed (No space left on device)" in err
    assert "hint: files that were to be written are there" in err
    assert Learner.load(here / "a.model").classes_.tolist() == ["green", "red"]


def test_a_closed_stdout_is_told_in_a_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        assert "stdout: must take what is printed (it is closed)" in refused(["methods"], capsys)
        assert "stdout: must take what is printed (it is closed)" in refused(["--version"], capsys)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a full disk is known to Linux alone")
@pytest.mark.parametrize("end", [">/dev/full", ">&-"])
def test_python_has_nothing_to_add_at_its_end(end: str) -> None:
    command = f'"{sys.executable}" -m maskcl --version {end}'
    found = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("error: stdout: must take what is printed (")
    assert len(found.stderr.splitlines()) == 2


def test_without_stderr_nothing_is_told_on_stdout(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        note("hint: nobody sees it")
    assert capsys.readouterr().out == ""


def test_a_machine_without_memory_is_told_in_a_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("maskcl.learner.pictures.read_folder", full)
    assert "memory: must suffice for what was asked for" in refused(FIT, capsys)


def test_pictures_that_do_not_fit_are_told_before_they_are_read(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskcl.learner.pictures.free_bytes", lambda device: 10**6)
    argv = ["fit", "pets", "--into", "a.model", "--image-size", "400", "-q"]
    assert "image_size: must fit into the 0.001 GB that are free, and 6 pictures of 400 x 400 take" in refused(
        argv, capsys
    )
    assert not (here / "a.model").exists()


def forbidden(path: Path, patch: pytest.MonkeyPatch) -> None:
    """As if one had no right to look at what is in a folder: root, who runs tests in containers, has it."""
    stat, scan = os.stat, os.scandir

    def denied(at: Any) -> bool:
        found = Path(os.fsdecode(at)) if isinstance(at, (str, bytes, os.PathLike)) else Path()
        return path in Path(os.path.abspath(found)).parents

    def look(at: Any, *args: Any, **kwargs: Any) -> os.stat_result:
        if denied(at):
            raise PermissionError(13, "Permission denied", str(at))
        return stat(at, *args, **kwargs)

    def listed(at: Any = ".") -> Any:
        if Path(os.path.abspath(at)) == path:
            raise PermissionError(13, "Permission denied", str(at))
        return scan(at)

    patch.setattr(os, "stat", look)
    patch.setattr(os, "scandir", listed)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["predict", "private/a.model", "pets"], "private/a.model: must be in a folder that can be read (Permission"),
        (["evaluate", "private/a.model", "pets"], "private/a.model: must be in a folder that can be read (Permission"),
        (["export", "private/a.model", "--onnx", "b.onnx"], "private/a.model: must be in a folder that can be read"),
        (["fit", "pets", "--into", "private/a.model"], "private/a.model: must be in a folder that can be read"),
        (["export", "a.model", "--onnx", "private/b.onnx"], "private/b.onnx: must be in a folder that can be read"),
        (["fit", "private/pets", "--into", "b.model"], "private/pets: must be in a folder that can be read"),
        (["fit", "private", "--into", "b.model"], "private: must be a readable folder (Permission denied)"),
        (["predict", "a.model", "private/x.png"], "private/x.png: must be in a folder that can be read (Permission"),
        (["predict", "a.model", "private"], "private: must be a readable folder (Permission denied)"),
        (["evaluate", "a.model", "private"], "private: must be a readable folder (Permission denied)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_may_not_be_looked_at_is_not_said_to_be_missing(
    here: Path, argv: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "private").mkdir()
    assert main(FIT) == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        forbidden(here / "private", patch)
        assert words in refused(argv if argv[0] == "export" else [*argv, "-q"], capsys)


def test_a_model_that_may_not_be_read_is_not_said_to_be_missing(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    assert main(FIT) == 0
    capsys.readouterr()
    monkeypatch.setattr("maskcl.weights.files.open", denied, raising=False)
    for argv in (["predict", "a.model", "pets", "-q"], [*FIT[:3], "a.model", "-q"]):
        assert "a.model: must be a file that can be read (Permission denied)." in refused(argv, capsys)


def test_a_pipe_is_no_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(here / "pipe")
    assert "pipe: must be a file, and is a pipe, a socket or a device." in refused([*FIT[:3], "pipe", "-q"], capsys)
    assert "pipe: must be a model, and is not there." in refused(["predict", "pipe", "pets", "-q"], capsys)


def test_a_picture_that_is_in_several_places_of_the_memory_is_counted_once(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT[:4], "--epochs", "3", *SMALL]) == 0
    assert "memory       18 of 30 places are filled, with 6 different pictures\n" in capsys.readouterr().out
    assert main(["fit", "pets", "--into", "b.model", "--epochs", "1", *SMALL]) == 0
    assert "memory       6 of 30 places are filled\n" in capsys.readouterr().out


def test_a_model_keeps_its_permissions_and_its_link(here: Path) -> None:
    assert main(FIT) == 0
    (here / "a.model").chmod(0o600)
    (here / "link.model").symlink_to("a.model")
    before = (here / "a.model").read_bytes()
    assert main([*FIT[:3], "link.model", "--epochs", "1", "-q"]) == 0
    assert (here / "link.model").is_symlink()
    assert (here / "a.model").read_bytes() != before
    assert (here / "a.model").stat().st_mode & 0o777 == 0o600


def test_a_model_whose_guesses_are_not_finite_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learner = Learner("mlp", memory=4).fit(np.zeros((4, 3, 8, 8), np.uint8), ["red", "green"] * 2)
    for weight in learner._core.state.weights.params.values():
        weight.detach().fill_(3e38)
    learner.save("b.model")
    assert "must be rows for which the network gives finite scores" in refused(
        ["evaluate", "b.model", "pets", "-q"], capsys
    )
