from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from maskcl import files
from maskcl.errors import ConfigError


@pytest.mark.parametrize("size", [0, 1, 9, 10, 25])
def test_a_digest_in_pieces_is_the_digest_of_the_whole(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_CHUNK", 10)
    content = bytes(range(size))
    (tmp_path / "a").write_bytes(content)
    for make in (hashlib.md5, hashlib.sha256, lambda data=b"": hashlib.blake2b(data, digest_size=8)):
        assert files.file_digest(tmp_path / "a", make()) == make(content).hexdigest()
    with pytest.raises(FileNotFoundError):
        files.file_digest(tmp_path / "b", hashlib.md5())


def test_a_link_stays_and_its_file_keeps_its_permissions(tmp_path: Path) -> None:
    target, link = tmp_path / "inner" / "a", tmp_path / "link"
    files.write_atomically(target, b"one")
    target.chmod(0o640)
    link.symlink_to(target)
    files.write_atomically(link, b"two")
    assert link.is_symlink()
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"two", 0o640)
    (tmp_path / "later").symlink_to(tmp_path / "new" / "b")
    files.write_atomically(tmp_path / "later", b"three")
    assert (tmp_path / "new" / "b").read_bytes() == b"three"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner", "later", "link", "new"]


def test_what_is_no_file_is_left_as_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path, words in (
        (tmp_path / "pipe", "it is a pipe, a socket or a device"),
        (Path("/dev/null"), "it is a pipe"),
        (tmp_path / "folder", "Is a directory"),
        (tmp_path, "Is a directory"),
        (Path("/"), "Is a directory"),
    ):
        with pytest.raises(ConfigError, match=words):
            files.write_atomically(path, b"content")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]
