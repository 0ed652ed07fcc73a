"""Runs that are killed, whatever they are doing, and begun again until they end: every file is as if they were not."""

from __future__ import annotations

import os
import random
from itertools import count
from pathlib import Path

import pytest
from faults.commands import ONE, Command, left_over, listed, prepared, results

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

KILLS = 5


def test_killed_and_begun_again_every_file_is_the_same(tmp_path: Path, whole: Path) -> None:
    chance, kills = random.Random(0), 0
    for number in count():  # one run may end before it was killed often enough
        folder = prepared(tmp_path / str(number))
        while True:
            command = Command(folder, "-q")
            if kills < KILLS:
                enough, writing = command.written() + chance.randint(1, 6), kills % 2 == 1
                if command.until(lambda: command.written() >= enough or (writing and _writes(folder))):  # noqa: B023
                    command.kill()
                    kills += 1
            if command.status() == 0:
                break
            assert command.status() == -9, command.err
        assert results(folder) == results(whole)
        assert left_over(folder) == []
        if kills >= KILLS:
            break


def _writes(folder: Path) -> bool:
    """Whether a checkpoint is being written at this moment."""
    return any(name.endswith(".tmp") for name in listed(folder / "out" / ".maskcl" / "checkpoints"))


def test_what_was_killed_in_the_middle_of_writing_is_no_result(tmp_path: Path, whole: Path) -> None:
    folder = prepared(tmp_path)
    private = folder / "out" / ".maskcl"

    def with_one_before() -> list[Path]:
        """Checkpoints to go on from the one before: of a first one it is not known whose it was, and it stays."""
        return [path for path in (private / "checkpoints").glob("*.safetensors") if not path.stem.endswith("-000001")]

    command = Command(folder, "-q")
    assert command.until(with_one_before)
    command.kill()
    place = folder / "out" / "er-11112222"
    place.mkdir()
    (place / ".seed-0.json.0123abcd.tmp").write_text("{")
    (private / "checkpoints" / ".x.0123abcd.tmp").write_text("half")
    newest = max(with_one_before())
    newest.write_bytes(newest.read_bytes()[:-100])
    (private / "claims").write_text('{"x": ')
    again = Command(folder, "-q")
    assert again.status() == 0
    assert again.err == "" or again.err.count("\n") == again.err.count("It is left alone.") == 1
    assert results(folder) == results(whole)
    assert [name for name in left_over(folder) if "er-11112222" not in name] == []


def test_a_checkpoint_stays_where_the_result_of_its_run_is_broken(tmp_path: Path) -> None:
    folder = prepared(tmp_path, ONE)
    assert Command(folder, "-q").status() == 0
    (result,) = (folder / "out").glob("*/seed-0.json")
    result.write_text(result.read_text()[:500])
    command = Command(folder, "-q")
    assert command.until(command.written), command.err
    command.kill()
    before = command.written()
    assert before > 0
    other = Command(folder, "-q", "--set", "training.epochs=1")
    assert other.status() == 0, other.err
    assert other.written() == before
    assert Command(folder, "-q").status() == 0
    assert left_over(folder) == []
