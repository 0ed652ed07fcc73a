"""Nothing can be written, or no more: results say so in a sentence, checkpoints in a line, and runs go on."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.commands import NOBODY, ONE, Command, left_over, prepared, results

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits of files are POSIX's")


def sentences(command: Command) -> list[str]:
    return command.err.splitlines()


def test_results_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    folder = prepared(tmp_path, ONE)
    command = Command(folder, "-q", "--set", "training.checkpoint_every=0", largest=1000)
    assert command.status() == 2
    (said,) = sentences(command)
    assert said.startswith("error: out/er_no_mask-")
    assert said.endswith("seed-0.safetensors: must be a file that can be written (File too large).")
    assert results(folder) == {}
    assert left_over(folder) == []


def test_a_report_that_cannot_be_written_is_one_sentence_and_the_results_are_there(tmp_path: Path) -> None:
    folder = prepared(tmp_path, ONE)
    command = Command(folder, "-q", "--set", "training.checkpoint_every=0", largest=20_000)
    assert command.status() == 2
    said, hint = sentences(command)
    assert said.startswith("error: out/figures/")
    assert said.endswith(": must be a file that can be written (File too large).")
    assert hint == "hint: all results are there; maskcl report out --format html draws the report"
    assert "In percent, class-incremental." in command.out  # the table is told all the same
    assert "report:" not in command.out
    assert len(results(folder)) == 2
    assert left_over(folder) == []
    assert Command(folder, "-q").status() == 0
    assert (folder / "out" / "report.html").exists()


def test_checkpoints_that_cannot_be_written_are_told_and_runs_go_on(tmp_path: Path) -> None:
    wide, thin = prepared(tmp_path / "wide", ONE.replace("[16]", "[3000]")), tmp_path / "thin"
    command = Command(wide, "-q", "--set", "training.save_weights=false", largest=800_000)
    assert command.status() == 0, command.err
    (said,) = sentences(command)
    assert said == "out/.maskcl/checkpoints: no checkpoint can be written (File too large); runs go on without."
    other = Command(prepared(thin, ONE.replace("[16]", "[3000]")), "-q", "--set", "training.save_weights=false")
    assert other.status() == 0
    assert results(wide) == results(thin)
    assert left_over(wide) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with little room."""
    place = tmp_path / "disk"
    place.mkdir()
    if not sys.platform.startswith("linux") or os.getuid() != 0:
        pytest.skip("needs Linux and root, to mount a small file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full_ends_it_and_it_goes_on_once_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    folder, other = prepared(small_disk / "run", ONE), prepared(tmp_path / "other", ONE)
    (folder / "filling").write_bytes(bytes(20_000))
    command = Command(folder, "-q")
    assert command.status() == 2
    *_, said = sentences(command)
    assert said.endswith("must be a file that can be written (No space left on device).")
    assert not [name for name in left_over(folder) if name.endswith(".tmp")]
    (folder / "filling").unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    again = Command(folder, "-q")
    assert again.status() == 0, again.err
    assert Command(other, "-q").status() == 0
    assert results(folder) == results(other)
    assert left_over(folder) == []


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that others may look into, and not write to."""
    with tempfile.TemporaryDirectory() as name:
        folder = prepared(Path(name) / "run", ONE)
        (folder / "out").mkdir()
        for path in (folder.parent, folder, folder / "out"):
            path.chmod(0o555)
        yield folder
        for path in (folder.parent, folder, folder / "out"):
            path.chmod(0o755)


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_made(readable: Path) -> None:
    os.chmod(readable, 0o755)  # what it says has to go somewhere
    command = Command(readable, "-q", user=NOBODY if os.getuid() == 0 else None)
    assert command.status() == 2
    said = sentences(command)[-1]
    assert said == "error: out: must be a folder that can be written, got 'out'."
    assert list((readable / "out").iterdir()) == []
