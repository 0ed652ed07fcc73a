from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from maskcl.data.idx import is_whole, read_idx
from maskcl.errors import DataError

_HEADER = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3])
_GOOD = _HEADER + bytes([1, 2, 3, 4, 5, 6])
_ZIPPED = gzip.compress(_GOOD)


@pytest.mark.parametrize("content", [_GOOD, _ZIPPED, gzip.compress(_GOOD, 1)], ids=["plain", "gzip", "gzip -1"])
def test_files_are_read_zipped_or_not_and_checked_by_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    values = read_idx(path, sha256=hashlib.sha256(_GOOD).hexdigest())
    np.testing.assert_array_equal(values, [[1, 2, 3], [4, 5, 6]])
    assert values.dtype == np.uint8


BAD_FILES = {
    "empty": (b"", "must begin with 4 bytes of idx magic"),
    "only half a magic": (_GOOD[:3], "must begin with 4 bytes of idx magic"),
    "another magic": (b"\1" + _GOOD[1:], "must be an idx file of unsigned bytes.*'01 00 08 02'"),
    "floats": (bytes([0, 0, 0x0D, 1, 0, 0, 0, 1, 0, 0, 0, 0]), "must be an idx file of unsigned bytes.*'00 00 0d 01'"),
    "no dimensions": (bytes([0, 0, 8, 0]), "must be an idx file of unsigned bytes"),
    "a web page": (b"<html>not found</html>", "must be an idx file of unsigned bytes"),
    "header cut": (_GOOD[:10], "must have a header of 12 bytes, got 10"),
    "values cut": (_GOOD[:-1], r"is truncated: its header says \(2, 3\), must hold 6 values, got 5"),
    "enormous size": (bytes([0, 0, 8, 2]) + b"\xff" * 8 + b"1", "is truncated: .* got 1"),
    "values after the end": (_GOOD + b"\0", "has bytes after its end: .* got 7"),
    "gzip cut": (_ZIPPED[:-9], "must be a whole gzip file"),
    "gzip header only": (_ZIPPED[:10], "must be a whole gzip file"),
    "gzip with a wrong checksum": (_ZIPPED[:-8] + b"1234" + _ZIPPED[-4:], "must be a whole gzip file .*CRC"),
    "gzip with a flipped byte": (_ZIPPED[:10] + b"\xff" + _ZIPPED[11:], "must be a whole gzip file"),
    "gzip and something else": (_ZIPPED + b"more", "must be a whole gzip file"),
    "gzip of a cut file": (gzip.compress(_GOOD[:-1]), "is truncated"),
    "other values": (_HEADER + bytes(6), "must have the content with sha256"),
}


@pytest.mark.parametrize(("content", "said"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_damaged_files_are_refused_by_name_in_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "train-labels"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_idx(path, sha256=hashlib.sha256(_GOOD).hexdigest())
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_every_cut_of_a_zipped_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut"
    for length in range(len(_ZIPPED)):
        path.write_bytes(_ZIPPED[:length])
        with pytest.raises(DataError, match="cut: "):
            read_idx(path)


def test_a_folder_or_nothing_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(DataError, match="must be a readable file"):
            read_idx(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_a_file_is_whole_where_its_length_is_what_its_header_says(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    content, path = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]) + bytes(range(7, 31)), tmp_path / "file"
    path.write_bytes(pack(content))
    assert is_whole(path)
    for cut in (0, 1, 2, 5, 10, len(pack(content)) - 1):
        path.write_bytes(pack(content)[:cut])
        assert not is_whole(path)
    assert not is_whole(tmp_path / "nowhere")
