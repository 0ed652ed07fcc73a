from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from maskcl import files


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
