"""maskcl data: list, prepare, verify, download, clear."""

# ruff: noqa: E501  (one case a line reads better)

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from pathlib import Path

import pytest
from drawn import SMALL_TINY, draw, draw_folder, draw_tiny, png

from maskcl.cli import main
from maskcl.data import DATASETS, caches
from maskcl.data.cifar import CIFAR10


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of data sets, in which the large ones are small."""
    small = dataclasses.replace(CIFAR10, train={"data_batch_1.bin": 4}, test={"test_batch.bin": 2})
    for name, source in (("cifar10", small), ("tiny_imagenet", SMALL_TINY)):
        monkeypatch.setitem(DATASETS._things, name, dataclasses.replace(DATASETS[name], source=source))
    monkeypatch.setenv("MASKCL_DATA", str(tmp_path / "root"))
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = main(list(argv))
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


def test_a_folder_is_prepared_listed_verified_and_cleared(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pets = str(draw_folder(tmp_path / "pets"))
    status, out, err = said(capsys, "data", "prepare", pets)
    assert (status, out) == (0, "pets: 6 + 6 rows of 3 x 8 x 8, 2 classes, ready\n")
    assert "decoding" in err
    assert said(capsys, "data", "prepare", pets) == (0, out, "")  # decoded already: no bar
    _, out, _ = said(capsys, "data", "list")
    (line,) = [line for line in out.splitlines() if line.startswith("pets")]
    assert line.split()[1] == "12"
    assert "whole" in line
    status, out, _ = said(capsys, "data", "verify", pets, "-q")
    assert status == 0
    assert [line.split()[-2] for line in out.splitlines()[1:]] == ["intact", "intact"]
    status, out, _ = said(capsys, "data", "clear", pets)
    assert (status, len(out.splitlines())) == (0, 2)
    assert caches() == []


def test_a_folder_may_be_scaled_split_and_cleaned(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = draw_folder(tmp_path / "pets", splits=("train",), each=5)
    draw(folder / "train" / "cat" / "large.png", 9, 20, 30)
    (folder / "train" / "dog" / "broken.png").write_bytes(b"")
    options = ("--image-size", "4", "--held-out", "0.5", "--split-seed", "2", "--skip-unreadable", "-q")
    status, out, err = said(capsys, "data", "prepare", str(folder), *options)
    assert (status, out[:4]) == (0, "pets")
    assert "rows of 3 x 4 x 4, 2 classes, ready" in out
    assert "warning: pets: 1 picture left out as unusable" in err
    status, out, err = said(capsys, "data", "verify", str(folder), "--held-out", "0.5", "--image-size", "4", "-q")
    assert status == 2
    assert "broken.png: must be a picture, and is empty." in err
    assert "train/dog/broken.png" in out


def test_known_sets_are_prepared_and_verified(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_tiny(root)
    status, out, _ = said(capsys, "data", "prepare", "tiny_imagenet", "-q")
    assert (status, out) == (0, "tiny_imagenet: 9 + 6 rows of 3 x 8 x 8, 3 classes, ready\n")
    assert said(capsys, "data", "verify", "tiny_imagenet", "-q")[0] == 0
    (cache,) = caches()
    with (cache.folder / "test_inputs.bin").open("r+b") as file:
        file.write(b"\0\0\0\1")
    status, out, err = said(capsys, "data", "verify", "tiny_imagenet", "-q")
    assert (status, "damaged" in out) == (2, True)
    assert "must hold what was written into it" in err
    assert "hint: `maskcl data clear tiny_imagenet` removes it" in err
    assert (
        said(capsys, "data", "prepare", "digits", "-q")[1]
        == "digits: 1346 + 451 rows of 1 x 8 x 8, 10 classes, ready\n"
    )


def test_a_truncated_file_is_incomplete_and_verify_says_why(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def state() -> str:
        (line,) = [line for line in said(capsys, "data", "list")[1].splitlines() if line.startswith("cifar10 ")]
        return line.split()[-1]

    assert state() == "missing"
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "data_batch_1.bin").write_bytes(bytes(4 * 3073))
    assert state() == "incomplete"
    (folder / "test_batch.bin").write_bytes(bytes(2 * 3073))
    assert state() == "present"
    status, out, err = said(capsys, "data", "verify", "cifar10")
    assert (status, out.count("unchecked")) == (0, 2)
    assert "checksums are known of what `maskcl data download` has brought" in err
    (folder / "test_batch.bin").write_bytes(bytes(2 * 3073 - 1))
    assert state() == "incomplete"
    status, _, err = said(capsys, "data", "verify", "cifar10")
    assert (status, "must hold 2 records of 3073 bytes" in err) == (2, True)


def test_an_archive_put_there_by_hand_is_unpacked(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "made" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (folder / "data_batch_1.bin").write_bytes(bytes(4 * 3073))
    (folder / "test_batch.bin").write_bytes(bytes(2 * 3073))
    packed = shutil.make_archive(str(root / "cifar-10-binary"), "gztar", folder.parent, folder.name)
    info = DATASETS["cifar10"]
    archive = dataclasses.replace(CIFAR10.archive, md5=hashlib.md5(Path(packed).read_bytes()).hexdigest())
    source = dataclasses.replace(info.source, archive=archive)  # type: ignore[type-var]
    monkeypatch.setitem(DATASETS._things, "cifar10", dataclasses.replace(info, source=source))
    status, out, _ = said(capsys, "data", "download", "cifar10", "-q")
    assert (status, "was there" in out) == (0, True)
    status, out, err = said(capsys, "data", "verify", "cifar10")
    assert (status, out.count("intact"), err) == (0, 2, "")


def test_the_list_tells_what_is_there_of_a_set_that_may_be_smaller(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows() -> list[str]:
        (line,) = [line for line in said(capsys, "data", "list")[1].splitlines() if line.startswith("tiny_imagenet ")]
        return line.split()[-5:]

    assert rows() == ["100000", "+", "10000", "200", "missing"]
    folder = draw_tiny(root)
    assert rows() == ["9", "+", "6", "3", "present"]
    (folder / "wnids.txt").write_text("n03\nn01\n")
    assert rows() == ["6", "+", "4", "2", "present"]


def test_nothing_is_cleared_under_a_name_that_nothing_has(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = said(capsys, "data", "clear", "nothing_here")
    assert (status, out) == (2, "")
    assert err.startswith("error: data set: must be a folder of pictures, or one of digits, mnist_small,")
    assert said(capsys, "data", "clear", "tiny_imagenet")[0] == 0  # known, and nothing of it is decoded
    assert said(capsys, "data", "clear", str(draw_folder(tmp_path / "pets")))[0] == 0
    assert said(capsys, "data", "clear")[0] == 0


WRONG = {
    "no such name": (["prepare", "cifar01"], "data set: must be a folder of pictures, or one of digits, ", "Did you mean 'cifar10'?"),
    "options of a folder": (["prepare", "digits", "--image-size", "8"], "--image-size: must be left out for 'digits', which is no folder, got 8.", ""),
    "options of a folder, verified": (["verify", "mnist", "--held-out", "0.5"], "--held-out: must be left out for 'mnist'", ""),
    "missing": (["prepare", "cifar10"], "cifar10: data_batch_1.bin must be in ", "hint: get it with `maskcl data download cifar10`"),
    "size": (["prepare", "pets", "--image-size", "0"], "image_size: must be a whole number from 1 to 4096, got 0.", ""),
    "share": (["prepare", "pets", "--held-out", "0.5"], "held_out: must be left out where there is a folder 'test', got 0.5.", ""),
    "nothing of that name to clear": (["clear", "pest"], "data set: must be one of pets, got 'pest'.", "Did you mean 'pets'?"),
    "a bomb": (["prepare", "bomb"], "must have 89,478,485 pixels or fewer", "hint: scale it down, and save it anew"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_is_one_sentence_and_2(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_folder(tmp_path / "pets")
    assert main(["data", "prepare", "pets", "-q"]) == 0
    (draw_folder(tmp_path / "bomb") / "train" / "cat" / "0.png").write_bytes(png(10_000, 10_000, data=b""))
    argv, *words = WRONG[case]
    capsys.readouterr()
    status, out, err = said(capsys, "data", *argv, *(["-q"] if argv[0] != "clear" else []))
    assert (status, out) == (2, "")
    assert all(word in err for word in words)
    assert len(err.strip().splitlines()) <= 2


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root writes everywhere")
def test_a_root_that_cannot_be_written_is_one_sentence(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pets = str(draw_folder(tmp_path / "pets"))
    root.chmod(0o500)
    try:
        status, _, err = said(capsys, "data", "prepare", pets, "-q")
    finally:
        root.chmod(0o700)
    assert (status, "must have decoded pictures (Permission denied)" in err) == (2, True)
