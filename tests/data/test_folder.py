# ruff: noqa: E501  (one case a line reads better)

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from drawn import draw, draw_folder, pixels
from PIL import Image

from maskcl.data import FolderData, from_folder
from maskcl.errors import ConfigError, DataError, MissingDataError


def test_classes_are_sorted_by_name_and_pictures_within_them(tmp_path: Path) -> None:
    drawn = {}
    for split in ("train", "test"):
        for name in ("b", "a", "B"):
            for file in ("2.png", "10.png", "deep/1.png"):
                drawn[split, name, file] = draw(tmp_path / "p" / split / name / file, len(drawn))
    dataset = from_folder(tmp_path / "p", root=tmp_path / "root")
    assert dataset.class_names == ("B", "a", "b")
    assert dataset.num_classes == 3
    files = ("10.png", "2.png", "deep/1.png")
    for split, images, labels in (
        ("train", dataset.train_inputs, dataset.train_labels),
        ("test", dataset.test_inputs, dataset.test_labels),
    ):
        expected = [drawn[split, name, file] for name in ("B", "a", "b") for file in files]
        np.testing.assert_array_equal(images, np.stack(expected).transpose(0, 3, 1, 2))
        assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert dataset.name == "p"


def test_val_judges_where_there_is_no_test(tmp_path: Path) -> None:
    draw_folder(tmp_path / "p", splits=("train", "val"))
    assert len(from_folder(tmp_path / "p", root=tmp_path / "root").test_labels) == 6
    drawn = draw(tmp_path / "p" / "test" / "cat" / "0.png", 50)
    draw(tmp_path / "p" / "test" / "dog" / "0.png", 51)
    dataset = from_folder(tmp_path / "p", root=tmp_path / "root")
    np.testing.assert_array_equal(dataset.test_inputs[0], drawn.transpose(2, 0, 1))
    assert len(dataset.test_labels) == 2


def test_a_share_of_each_class_is_held_out_by_seed(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "p", splits=("train",), each=10)

    def held(**settings: int) -> list[str]:
        found = FolderData(str(folder), held_out=0.3, **settings).find()  # type: ignore[arg-type]
        paths = {entry.path for entry in (*found.train, *found.test)}
        assert len(paths) == len(found.train) + len(found.test) == 20
        assert [entry.label for entry in found.test] == [0, 0, 0, 1, 1, 1]
        return [entry.path for entry in found.test]

    assert held() == held(split_seed=0)
    assert held() != held(split_seed=1)
    dataset = from_folder(folder, held_out=0.3, root=tmp_path / "root")
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (14, 6)


def test_what_systems_leave_in_folders_is_no_data(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "p")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (folder / "train" / name).write_bytes(b"")
        (folder / "train" / "cat" / name).write_bytes(b"")
    (folder / "train" / ".cache").mkdir()
    assert len(FolderData(str(folder)).find().train) == 6


def test_links_are_followed_once(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "p")
    (folder / "train" / "emu").symlink_to(folder / "train" / "cat", target_is_directory=True)
    (folder / "test" / "emu").symlink_to(folder / "test" / "cat", target_is_directory=True)
    (folder / "train" / "cat" / "again").symlink_to(folder / "train" / "cat", target_is_directory=True)
    found = FolderData(str(folder)).find()
    assert [entry.path for entry in found.train if entry.label == 2] == [f"train/emu/{i}.png" for i in range(3)]


@pytest.mark.parametrize("target", ["..", "../..", "../../..", "deep"])
def test_a_link_to_a_folder_that_holds_its_class_is_refused(tmp_path: Path, target: str) -> None:
    folder = draw_folder(tmp_path / "pets", ("cat", "dog"), each=2)
    if target == "deep":  # the class lies elsewhere, and leads back to where its link is
        (folder / "train" / "cat").rename(tmp_path / "cats")
        (folder / "train" / "cat").symlink_to(tmp_path / "cats", target_is_directory=True)
        (tmp_path / "cats" / "in").mkdir()
        link = folder / "train" / "cat" / "in" / "loop"
        link.symlink_to(folder / "train", target_is_directory=True)
    else:
        link = folder / "train" / "cat" / "loop"
        link.symlink_to(target, target_is_directory=True)
    with pytest.raises(DataError, match=f"^{link}: must not lead to .*, which holds .*/train/cat and what is beside"):
        from_folder(folder, root=tmp_path)


def test_a_link_to_a_folder_elsewhere_belongs_to_its_class(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "pets", ("cat", "dog"), each=2)
    (folder / "train" / "cat").rename(tmp_path / "more")
    (folder / "train" / "cat").mkdir()
    (folder / "train" / "cat" / "link").symlink_to(tmp_path / "more", target_is_directory=True)
    assert from_folder(folder, root=tmp_path).train_labels.tolist() == [0, 0, 1, 1]


def test_a_path_is_of_the_working_directory_or_of_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = draw_folder(tmp_path / "p")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert FolderData("p").path == FolderData("~/p").path == FolderData(str(folder)).path == folder
    assert FolderData("p/../p/").find().name == "p"


LAYOUTS = {
    "no folder": (lambda f: None, "folder: must be a folder of pictures, and .*nowhere is none", "nowhere"),
    "no train": (lambda f: (f / "train").rename(f / "training"), "must have a folder 'train' with a folder for", "p"),
    "no test": (lambda f: _remove(f / "test"), "must have a folder 'test' or 'val'.*\nhint: held_out = 0.2", "p"),
    "class missing in test": (lambda f: _remove(f / "test" / "dog"), "the same classes in 'train' and 'test', and 'dog'", "p"),
    "class missing in train": (lambda f: _remove(f / "train" / "cat"), "the same classes in 'train' and 'test', and 'cat'", "p"),
    "one class": (lambda f: [_remove(f / s / "dog") for s in ("train", "test")], r"must have two classes or more, got \['cat'\]", "p"),
    "no class": (lambda f: [_remove(f / s / c) for s in ("train", "test") for c in ("cat", "dog")], r"must have two classes or more, got \[\]", "p"),
    "empty class": (lambda f: [p.unlink() for p in (f / "test" / "cat").iterdir()], "test/cat: must hold pictures, and holds none", "p"),
    "file among the classes": (lambda f: (f / "train" / "labels.csv").write_text("x"), "train: must hold nothing but folders, one for each class, and holds the file 'labels.csv'", "p"),
    "link to nowhere": (lambda f: (f / "train" / "cat" / "l.png").symlink_to(f / "gone"), "l.png: must be a file that holds a picture", "p"),
    "no picture": (lambda f: (f / "train" / "cat" / "notes.txt").write_text("x"), "notes.txt: must be a picture", "p"),
}  # fmt: skip


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


@pytest.mark.parametrize("case", LAYOUTS)
def test_another_layout_is_one_sentence(tmp_path: Path, case: str) -> None:
    change, must, name = LAYOUTS[case]
    change(draw_folder(tmp_path / "p"))  # type: ignore[no-untyped-call]
    with pytest.raises(DataError, match=must) as caught:
        from_folder(tmp_path / name, root=tmp_path / "root")
    assert len(str(caught.value).splitlines()) <= 2
    assert isinstance(caught.value, MissingDataError) == (case == "no folder")


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root reads everything")
@pytest.mark.parametrize("mode", [0, 0o400], ids=["closed", "names only"])
@pytest.mark.parametrize("inner", ["", "train", "train/cat"])
def test_a_folder_that_may_not_be_read_is_one_sentence(tmp_path: Path, inner: str, mode: int) -> None:
    folder = draw_folder(tmp_path / "p")
    (folder / inner).chmod(mode)
    try:
        with pytest.raises(DataError, match=r"must be .* \(Permission denied\)\.$"):
            from_folder(folder, root=tmp_path / "root")
    finally:
        (folder / inner).chmod(0o700)


def test_a_folder_that_the_system_refuses_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, scan = draw_folder(tmp_path / "p"), os.scandir

    def refusing(path: os.PathLike[str]) -> object:
        if os.fspath(path).endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"train/dog: must be a readable folder \(Permission denied\)\.$"):
        from_folder(folder, root=tmp_path / "root")


SETTINGS = {
    "no path": ({"folder": ""}, "folder: must be a folder, by its path, got ''"),
    "a number": ({"folder": 3}, "folder: must be a folder, by its path, got 3"),
    "size 0": ({"image_size": 0}, "image_size: must be a whole number from 1 to 4096, got 0"),
    "size true": ({"image_size": True}, "image_size: must be a whole number"),
    "size too large": ({"image_size": 5000}, "image_size: must be a whole number from 1 to 4096, got 5000"),
    "all held out": ({"held_out": 1.0}, "held_out: must be above 0 and below 1, got 1.0"),
    "nothing held out": ({"held_out": 0.0}, "held_out: must be above 0 and below 1"),
    "seed without share": ({"split_seed": 1}, "split_seed: must be left out without held_out, got 1"),
    "negative seed": ({"split_seed": -1, "held_out": 0.5}, "split_seed: must be a whole number, 0 or more"),
    "skip a word": ({"skip_unreadable": "yes"}, "skip_unreadable: must be true or false, got 'yes'"),
    "empty name": ({"name": " "}, "name: must be a name, got ' '"),
    "share beside test": ({"held_out": 0.5}, "held_out: must be left out where there is a folder 'test', got 0.5"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_out_of_range_are_refused(tmp_path: Path, case: str) -> None:
    given, must = SETTINGS[case]
    folder = draw_folder(tmp_path / "p")
    with pytest.raises(ConfigError, match=must):
        FolderData(**({"folder": str(folder)} | given)).find()  # type: ignore[arg-type]


def test_a_class_of_one_picture_cannot_be_held_out(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "p", splits=("train",), each=2)
    (folder / "train" / "dog" / "1.png").unlink()
    with pytest.raises(DataError, match=r"must have test pictures of each class, and has none of 'dog'\."):
        from_folder(folder, held_out=0.5, root=tmp_path / "root")


def test_pictures_of_all_modes_stand_beside_each_other(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "p", each=1)
    drawn = Image.fromarray(pixels(3))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        drawn.convert(mode).save(folder / "train" / "cat" / f"{mode}.png")
    drawn.convert("CMYK").save(folder / "train" / "cat" / "cmyk.jpg")
    dataset = from_folder(folder, root=tmp_path / "root")
    assert dataset.train_inputs.shape == (9, 3, 8, 8)
    by_name = dict(
        zip(sorted(path.name for path in (folder / "train" / "cat").iterdir()), dataset.train_inputs, strict=False)
    )
    np.testing.assert_array_equal(by_name["RGB.png"], by_name["RGBA.png"])
    np.testing.assert_array_equal(by_name["L.png"], by_name["LA.png"])
    np.testing.assert_array_equal(by_name["L.png"][0], by_name["L.png"][2])
