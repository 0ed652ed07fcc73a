# ruff: noqa: E501  (one case a line reads better)

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn import SMALL_TINY, draw_tiny

from maskcl import data
from maskcl.data.tiny_imagenet import TINY_IMAGENET
from maskcl.errors import DataError, MissingDataError


def test_labels_are_wnids_sorted_and_val_judges(tmp_path: Path) -> None:
    draw_tiny(tmp_path)
    dataset = SMALL_TINY.load(tmp_path)
    assert dataset.class_names == ("n01", "n02", "n03")  # wnids.txt has n02 first
    assert dataset.train_labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    np.testing.assert_array_equal(dataset.train_inputs[:, 0, 0, 0], [20, 25, 30, 0, 5, 10, 40, 45, 50])
    assert dataset.test_labels.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(dataset.test_inputs[:, 2, 7, 7], [201, 201, 200, 200, 202, 202])
    assert dataset.input_shape == (3, 8, 8)  # grey ones too


def test_fewer_wnids_make_a_smaller_set_in_the_same_order(tmp_path: Path) -> None:
    folder = draw_tiny(tmp_path)
    whole = SMALL_TINY.load(tmp_path)
    (folder / "wnids.txt").write_text("n03\nn01\n")
    part = SMALL_TINY.load(tmp_path)
    assert part.class_names == ("n01", "n03")
    np.testing.assert_array_equal(part.train_inputs, whole.train_inputs[[0, 1, 2, 6, 7, 8]])
    np.testing.assert_array_equal(part.test_inputs, whole.test_inputs[[0, 1, 4, 5]])
    assert part.fingerprint != whole.fingerprint
    assert not SMALL_TINY.says_it_all(tmp_path)


def test_the_root_may_be_the_folder_itself(tmp_path: Path) -> None:
    folder = draw_tiny(tmp_path)
    assert SMALL_TINY.find(folder).key == SMALL_TINY.find(tmp_path).key
    assert SMALL_TINY.presence(folder) == ("present", folder)


def _cut(path: Path, text: str) -> None:
    path.write_text(text)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no wnids": (lambda f: (f / "wnids.txt").unlink(), r"tiny_imagenet: must have the file .*wnids\.txt"),
    "no annotations": (lambda f: (f / "val/val_annotations.txt").unlink(), r"must have the file .*val_annotations\.txt"),
    "no class folder": (lambda f: shutil.rmtree(f / "train/n03"), r"must have .*train/n03/images, for wnids\.txt lists n03"),
    "a training picture less": (lambda f: (f / "train/n01/images/n01_1.JPEG").unlink(), "must have 3 pictures in train/n01, and has 2"),
    "a val picture less": (lambda f: (f / "val/images/val_1.JPEG").unlink(), r"must have .*val_1\.JPEG, which val_annotations\.txt names"),
}  # fmt: skip
WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "a val picture without label": (lambda f: shutil.copy(f / "val/images/val_1.JPEG", f / "val/images/x.JPEG"), r"must name every picture in val/images, and lacks x\.JPEG"),
    "a line without class": (lambda f: _cut(f / "val/val_annotations.txt", "val_0.JPEG\n"), "on each line, each picture once, and line 1 has not, got 'val_0.JPEG'"),
    "a picture twice": (lambda f: _cut(f / "val/val_annotations.txt", "val_0.JPEG\tn01\nval_0.JPEG\tn02\n"), "line 2 has not"),
    "a way out": (lambda f: _cut(f / "val/val_annotations.txt", "../../x.JPEG\tn01\n"), "line 1 has not"),
    "a class twice": (lambda f: _cut(f / "wnids.txt", "n01\nn02\nn01\n"), r"wnids\.txt: must list each class once"),
    "a way out of train": (lambda f: _cut(f / "wnids.txt", "n01\n../x\n"), r"wnids\.txt: must list each class once, a name"),
    "one class": (lambda f: _cut(f / "wnids.txt", "n01\n"), r"wnids\.txt: must list two classes or more, got 1"),
    "no text": (lambda f: (f / "wnids.txt").write_bytes(b"\xff\xfe\x00"), r"wnids\.txt: must be a readable file \(it is not UTF-8 text\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", {**CHANGES, **WRONG})
def test_files_that_are_not_the_publishers_are_one_sentence(tmp_path: Path, case: str) -> None:
    folder = draw_tiny(tmp_path)
    change, must = {**CHANGES, **WRONG}[case]
    change(folder)
    with pytest.raises(DataError, match=must) as caught:
        SMALL_TINY.load(tmp_path)
    assert isinstance(caught.value, MissingDataError) == (case in CHANGES)
    assert len(str(caught.value).splitlines()) <= 2
    assert SMALL_TINY.presence(tmp_path) == ("incomplete", folder)
    assert [state.state for state in SMALL_TINY.verify(tmp_path)] == ["missing" if case in CHANGES else "damaged"]


def test_missing_data_name_the_command(tmp_path: Path) -> None:
    assert SMALL_TINY.presence(tmp_path) == ("missing", tmp_path / "tiny-imagenet-200")
    with pytest.raises(MissingDataError, match=r"hint: get it with `maskcl data download tiny_imagenet --data-root "):
        data.load("tiny_imagenet", tmp_path)
    with pytest.raises(MissingDataError, match=r"nowhere is no folder"):
        data.load("tiny_imagenet", tmp_path / "nowhere")


def test_an_empty_picture_is_not_present_and_verify_names_it(tmp_path: Path) -> None:
    folder = draw_tiny(tmp_path)
    (state,) = SMALL_TINY.verify(tmp_path)
    assert (state.file, state.state) == ("15 pictures", "intact")
    (folder / "train/n01/images/n01_1.JPEG").write_bytes(b"")
    assert SMALL_TINY.presence(tmp_path)[0] == "incomplete"
    (state,) = SMALL_TINY.verify(tmp_path)
    assert (state.file, state.state) == ("train/n01/images/n01_1.JPEG", "damaged")
    assert "is empty" in (state.problem or "")


@pytest.mark.skipif("MASKCL_DATA" not in os.environ, reason="MASKCL_DATA names no folder that might have it")
def test_the_real_set_has_500_and_50_of_each_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if TINY_IMAGENET.presence()[0] != "present":
        pytest.skip("Tiny-ImageNet is not below MASKCL_DATA")
    found = TINY_IMAGENET.find()
    assert len(found.train) == 500 * len(found.classes)
    assert len(found.test) == 50 * len(found.classes)
    assert list(found.classes) == sorted(found.classes)


def test_an_archive_put_there_by_hand_becomes_a_set_that_loads(tmp_path: Path) -> None:
    draw_tiny(tmp_path / "made")
    root = tmp_path / "root"
    root.mkdir()
    packed = shutil.make_archive(str(root / "tiny-imagenet-200"), "zip", tmp_path / "made", "tiny-imagenet-200")
    archive = dataclasses.replace(SMALL_TINY.archive, md5=hashlib.md5(Path(packed).read_bytes()).hexdigest())
    offered = dataclasses.replace(SMALL_TINY, archive=archive)
    (found,) = offered.download(root)
    assert (found.path, found.fetched) == (root / "tiny-imagenet-200", False)
    np.testing.assert_array_equal(offered.load(root).train_inputs, SMALL_TINY.load(tmp_path / "made").train_inputs)
    (again,) = offered.download(root)
    assert again.file == "tiny-imagenet-200"
    assert not again.fetched
