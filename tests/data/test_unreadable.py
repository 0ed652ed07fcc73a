"""A bad picture is one for good; what the system does not give at a moment is none."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest
from drawn import draw_folder
from PIL import Image

from maskcl.data import caches, from_folder, pictures
from maskcl.errors import DataError, MaskclWarning


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return draw_folder(tmp_path / "pets")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "must be a readable file (Too many open files)"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), "must be a readable file (Permission denied)"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "must be a readable file (Input/output error)"),
        (MemoryError(), "must fit into the memory there is while it is decoded"),
        (OSError("out of memory error when reading image file"), "must fit into the memory there is"),
    ],
    ids=["EMFILE", "EACCES", "EIO", "MemoryError", "Pillow's"],
)
@pytest.mark.parametrize("place", ["open", "decode", "EXIF"])
def test_what_the_system_does_not_give_is_no_bad_picture(
    place: str, error: Exception, words: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be given the next time: nothing is left out, and nothing is kept."""

    def fail(*_: object, **__: object) -> None:
        raise error

    opened = Path.open
    if place == "open":
        if not (isinstance(error, OSError) and error.errno):
            pytest.skip("files are not opened like that")
        monkeypatch.setattr(Path, "open", lambda p, *a, **k: fail() if p.name == "1.png" else opened(p, *a, **k))
    else:
        what, name = (Image.Image, "getexif") if place == "EXIF" else (pictures, "_rgb")
        monkeypatch.setattr(what, name, fail)
    with pytest.raises(DataError, match=re.escape(words)) as caught:
        from_folder(folder, root=tmp_path / "root", skip_unreadable=True)
    assert "skip_unreadable" not in str(caught.value)
    assert caches(tmp_path / "root") == []
    monkeypatch.undo()
    assert len(from_folder(folder, root=tmp_path / "root", skip_unreadable=True).train_labels) == 6


def test_a_broken_offset_is_of_the_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = pictures._rgb

    def fail(picture: Image.Image, where: str) -> Image.Image:
        if where.endswith("cat/0.png"):
            raise OSError(errno.EINVAL, "Invalid argument")
        return plain(picture, where)

    monkeypatch.setattr(pictures, "_rgb", fail)
    with pytest.warns(MaskclWarning, match="2 pictures left out"):
        from_folder(folder, root=tmp_path / "root", skip_unreadable=True)
