"""Checkpoints as files: the last two are kept, broken and foreign ones are named once, and the one before serves."""

from __future__ import annotations

import errno
import json
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from maskcl.engine import Checkpoints
from maskcl.engine.checkpoint_file import FORMAT
from maskcl.engine.checkpoints import population_name, shared_out

KEYS = ["0a1b2c3d-0", "0a1b2c3d-1"]
NAME = population_name(KEYS)
ABOUT = {"maskcl": "1", "torch": "2.0"}


def content(step: int, keys: list[str] = KEYS) -> dict[str, Any]:
    return {"done": [step] * len(keys), "weights": torch.arange(20.0) + step, "empty": torch.zeros(0, 3)}


class Folder:
    """A folder of checkpoints, and what is told of it."""

    def __init__(self, path: Path, about: dict[str, Any] = ABOUT) -> None:
        self.path, self.told = path, list[str]()
        self.checkpoints = Checkpoints(path, about, tell=self.told.append)

    def write(self, *steps: int) -> None:
        for step in steps:
            self.checkpoints.write(NAME, KEYS, content(step))

    def newest(self, keys: list[str] = KEYS) -> list[int]:
        """The steps of the newest."""
        return [saved.content["done"][0] for saved in self.checkpoints.newest(set(keys))]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir()) if self.path.exists() else []


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "checkpoints")


def numbered(*numbers: int) -> list[str]:
    return [f"{NAME}-{number:06d}.safetensors" for number in numbers]


def test_the_last_two_are_kept_and_all_go_in_the_end(folder: Folder) -> None:
    for step in range(1, 6):
        folder.write(step)
        assert folder.files() == numbered(*range(max(1, step - 1), step + 1))
        assert folder.newest() == [step]
    saved = folder.checkpoints.newest({KEYS[1]})[0]
    assert torch.equal(saved.tensors["weights"], content(5)["weights"])
    folder.checkpoints.remove(NAME)
    assert not folder.path.exists()
    assert folder.told == []


@pytest.mark.parametrize("where", ["os.fsync", "os.replace"])
def test_one_that_cannot_be_written_leaves_those_before_as_they_were(
    where: str, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write(1, 2)
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(where, full)
        with pytest.raises(OSError, match="No space left"):
            folder.write(3)
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before
    folder.write(3)
    assert folder.newest() == [3]


def _broken(folder: Folder, change: Callable[[bytes], bytes]) -> None:
    """The newest of two, changed: it is named once and left alone, and the one before serves."""
    newest, told = folder.path / numbered(2)[0], len(folder.told)
    whole = newest.read_bytes()
    newest.write_bytes(change(whole))
    assert folder.newest() == [1]
    assert folder.newest() == [1]
    assert [text.startswith(f"{newest}: must ") for text in folder.told[told:]] == [True]
    assert folder.told[-1].endswith(" It is left alone.")
    assert newest.read_bytes() == change(whole)
    newest.write_bytes(whole)
    folder.checkpoints._told.clear()


def test_cut_off_anywhere_it_is_refused(folder: Folder) -> None:
    folder.write(1, 2)
    size = len((folder.path / numbered(2)[0]).read_bytes())
    for end in [*range(0, size, 13), size - 1]:
        _broken(folder, lambda whole, end=end: whole[:end])  # type: ignore[misc]
    _broken(folder, lambda whole: whole + b"\0")


def test_any_bit_that_is_another_has_it_refused(folder: Folder) -> None:
    folder.write(1, 2)
    rng, size = random.Random(0), len((folder.path / numbered(2)[0]).read_bytes())
    for place in [*range(16), *range(16, size, 3)]:
        bit = 1 << rng.randrange(8)
        _broken(folder, lambda whole, p=place, b=bit: whole[:p] + bytes([whole[p] ^ b]) + whole[p + 1 :])  # type: ignore[misc]


HEADER = {"format": FORMAT, "about": ABOUT, "digest": "", "text": json.dumps({"keys": KEYS, "content": {}})}
FOREIGN: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"not a checkpoint\n",
    "a pickle": lambda: pickle.dumps({"weights": [1.0]}),
    "another's tensors": lambda: save({"weight": torch.ones(3)}),
    "another's header": lambda: save({"weight": torch.ones(3)}, {"format": "pt"}),
    "no JSON": lambda: save({}, {"maskcl.checkpoint": "{"}),
    "a list": lambda: save({}, {"maskcl.checkpoint": "[1]"}),
    "a number": lambda: save({}, {"maskcl.checkpoint": "7"}),
    "no versions": lambda: save({}, {"maskcl.checkpoint": json.dumps(HEADER | {"about": None})}),
    "no keys": lambda: save({}, {"maskcl.checkpoint": json.dumps(HEADER | {"text": "{}"})}),
    "text that is none": lambda: save({}, {"maskcl.checkpoint": json.dumps(HEADER | {"text": 5})}),
    "another digest": lambda: save({}, {"maskcl.checkpoint": json.dumps(HEADER)}),
    "deep": lambda: save({}, {"maskcl.checkpoint": json.dumps(HEADER | {"text": "[" * 100_000})}),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_checkpoint_is_refused_by_name(kind: str, folder: Folder) -> None:
    folder.write(1, 2)
    _broken(folder, lambda _: FOREIGN[kind]())


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
def test_what_is_no_file_is_refused_by_name(make: Callable[[Path], None], folder: Folder) -> None:
    folder.write(1)
    make(folder.path / numbered(2)[0])
    assert folder.newest() == [1]
    assert folder.told[0].startswith(f"{folder.path / numbered(2)[0]}: must be a")
    folder.write(3)
    assert folder.newest() == [3]


@pytest.mark.parametrize("version", [0, FORMAT - 1, FORMAT + 1])
def test_older_and_newer_formats_are_refused_by_name(
    version: int, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write(1)
    with monkeypatch.context() as patch:
        patch.setattr("maskcl.engine.checkpoint_file.FORMAT", version)
        folder.write(2)
    assert folder.newest() == [1]
    assert folder.told == [
        f"{folder.path / numbered(2)[0]}: must have format {FORMAT}, got {version}. It is left alone."
    ]


def test_other_versions_are_refused_by_name_and_kept_until_the_results_are_there(tmp_path: Path) -> None:
    old, new = Folder(tmp_path / "c"), Folder(tmp_path / "c", ABOUT | {"torch": "2.1", "cuda": "12"})
    old.write(7, 8, 9)
    assert new.newest() == []
    told = "must be of these versions, and is of torch 2.0 and not 2.1, cuda None and not 12. It is left alone."
    assert new.told == [f"{tmp_path / 'c' / name}: {told}" for name in reversed(numbered(2, 3))]
    new.write(1, 2, 3)
    assert new.files() == numbered(2, 3, 5, 6)
    again = Folder(tmp_path / "c", ABOUT | {"torch": "2.1", "cuda": "12"})  # another process, which goes on
    assert again.newest() == [3]
    again.write(4)
    assert again.files() == numbered(2, 3, 6, 7)
    assert Folder(tmp_path / "c").newest() == [9]  # and who goes back finds his own
    again.checkpoints.remove(NAME)
    assert not again.path.exists()


def test_a_run_in_several_checkpoints_goes_on_from_the_one_that_is_furthest(folder: Folder) -> None:
    keys = [f"0a1b2c3d-{seed}" for seed in range(5)]
    for part, step in ((keys, 5), (keys[1:3], 9), (keys[3:4], 2), (keys[2:3], 9)):
        folder.checkpoints.write(population_name(part), part, content(step, part))
    wanted = keys[:4]
    shares = shared_out(folder.checkpoints.newest(set(wanted)), wanted)
    taken = sorted((saved.content["done"][0], places) for saved, places in shares)
    assert sorted(place for _, places in taken for place in places) == [0, 1, 2, 3]
    assert (5, [0, 3]) in taken
    assert folder.checkpoints.newest({"ffffffff-0"}) == []


def test_one_that_goes_as_it_is_read_was_not_there(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process has gone on: safetensors has opened it, and torch, which opens it once more, finds none."""
    folder.write(1, 2)
    from_file = torch.UntypedStorage.from_file
    opened = []

    def late(name: str, *arguments: Any, **options: Any) -> Any:
        opened.append(Path(name).name)
        (folder.path / numbered(2)[0]).unlink(missing_ok=True)
        return from_file(name, *arguments, **options)

    monkeypatch.setattr(torch.UntypedStorage, "from_file", late)
    assert folder.newest() == [1]
    assert numbered(2)[0] in opened
    folder.write(2)
    assert folder.checkpoints.there(set(KEYS)) == {(NAME, 1)}
    assert folder.told == []


def test_what_nobody_goes_on_from_is_tidied_away(folder: Folder) -> None:
    other = ["0a1b2c3d-0", "ffffffff-0"]
    folder.write(1, 2)
    folder.checkpoints.write(population_name(other), other, content(1, other))
    left = folder.path / f".{numbered(3)[0]}.0123abcd.tmp"
    left.write_bytes(b"killed as it wr")
    folder.checkpoints.tidy(set(KEYS).__contains__, alone=False)
    assert folder.files() == sorted([left.name, f"{population_name(other)}-000001.safetensors"])
    folder.checkpoints.tidy(set(KEYS).__contains__, alone=True)
    assert folder.files() == [f"{population_name(other)}-000001.safetensors"]
    folder.checkpoints.tidy(lambda key: True, alone=True)
    assert not folder.path.exists()


def test_what_cannot_be_read_and_belongs_to_nobody_is_named_once_and_stays(folder: Folder) -> None:
    folder.write(1)
    (folder.path / numbered(1)[0]).rename(folder.path / f"{'f' * 16}-000001.safetensors")  # of some other population
    broken = folder.path / f"{'0' * 16}-000007.safetensors"
    broken.write_bytes(b"cut off")
    for _ in range(2):
        folder.checkpoints.tidy(lambda key: True, alone=True)
    (told,) = folder.told
    assert told.startswith(f"{broken}: must be ")
    assert told.endswith(" It is left alone.")
    assert folder.files() == [broken.name]
    broken.unlink()
    folder.checkpoints.tidy(lambda key: True, alone=True)
    assert not folder.path.exists()


def test_a_folder_that_is_closed_is_named_once_and_stops_nothing(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Any) -> list[str]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    folder.write(1)
    monkeypatch.setattr(os, "listdir", closed)
    assert folder.newest() == []
    assert folder.checkpoints.there(set(KEYS)) == set()
    folder.checkpoints.tidy(lambda key: True, alone=False)
    folder.checkpoints.remove(NAME)
    assert folder.told == [f"{folder.path}: no checkpoint can be looked for (Permission denied)."]


def test_files_that_cannot_be_removed_stay_and_stop_nothing(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    folder.write(1, 2)
    monkeypatch.setattr(Path, "unlink", kept)
    folder.checkpoints.tidy(lambda key: True, alone=False)
    folder.checkpoints.remove(NAME)
    assert folder.files() == numbered(1, 2)
    assert folder.newest() == [2]
