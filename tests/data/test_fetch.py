from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskcl.data.idx_set import IdxSet
from maskcl.errors import DataError, MissingDataError

_IMAGES = "train-images-idx3-ubyte"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def mirror(tiny_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server on the loopback that serves the files of `tiny`."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(tiny_root / "tiny")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_download_brings_a_loadable_data_set(tiny: IdxSet, tiny_root: Path, mirror: str, tmp_path: Path) -> None:
    target = tmp_path / "fresh" / "data"
    files = tiny.download(target, mirror=mirror)
    assert [file.file for file in files] == list(tiny.sha256)
    assert all(file.fetched and file.num_bytes == file.path.stat().st_size for file in files)
    assert sorted(path.name for path in (target / "tiny").iterdir()) == sorted(f"{file}.gz" for file in tiny.sha256)
    np.testing.assert_array_equal(tiny.load(target).train_inputs, tiny.load(tiny_root).train_inputs)


def test_intact_files_are_not_downloaded_again(tiny: IdxSet, mirror: str, tmp_path: Path) -> None:
    (first, *_) = tiny.download(tmp_path, mirror=mirror)
    before = first.path.stat().st_mtime_ns
    assert not any(file.fetched for file in tiny.download(tmp_path, mirror=mirror))
    assert first.path.stat().st_mtime_ns == before


def test_damaged_file_is_replaced(tiny: IdxSet, mirror: str, tmp_path: Path) -> None:
    (first, *_) = tiny.download(tmp_path, mirror=mirror)
    first.path.write_bytes(first.path.read_bytes()[:-5])
    assert [file.fetched for file in tiny.download(tmp_path, mirror=mirror)] == [True, False, False, False]
    assert tiny.load(tmp_path).num_classes == 3


def test_progress_ends_at_the_size_of_each_file(tiny: IdxSet, mirror: str, tmp_path: Path) -> None:
    reports: dict[str, tuple[int, int | None]] = {}

    def note(file: str, done: int, total: int | None) -> None:
        reports[file] = done, total

    files = tiny.download(tmp_path, mirror=mirror, on_progress=note)
    assert reports == {file.file: (file.num_bytes, file.num_bytes) for file in files}


@pytest.mark.parametrize("content", [b"<html>log in first</html>", b"\x1f\x8b cut"])
def test_what_is_not_the_file_is_never_written(
    tiny: IdxSet, tiny_root: Path, mirror: str, tmp_path: Path, content: bytes
) -> None:
    (tiny_root / "tiny" / f"{_IMAGES}.gz").write_bytes(content)
    with pytest.raises(DataError, match=f"{_IMAGES}.gz: must be"):
        tiny.download(tmp_path / "target", mirror=mirror)
    assert not (tmp_path / "target").exists()


def test_file_that_the_mirror_lacks_is_one_sentence(tiny: IdxSet, tiny_root: Path, mirror: str, tmp_path: Path) -> None:
    (tiny_root / "tiny" / f"{_IMAGES}.gz").unlink()
    with pytest.raises(MissingDataError, match=r"must be reachable to download it \(.*File not found\)"):
        tiny.download(tmp_path / "target", mirror=mirror)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/", "nowhere", "http://[broken/"])
def test_unreachable_mirror_is_one_sentence_with_a_hint(
    tiny: IdxSet, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(MissingDataError, match=r"must be reachable to download it \(.+\)\.\nhint: ") as caught:
        tiny.download(tmp_path / "target", mirror=address)
    assert str(caught.value).startswith(address.rstrip("/"))
    assert not (tmp_path / "target").exists()


def test_folder_that_cannot_be_written_is_refused(tiny: IdxSet, mirror: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=f"{_IMAGES}.gz: must be writable"):
        tiny.download(tmp_path / "file", mirror=mirror)


def test_failed_write_leaves_no_part_behind(tiny: IdxSet, mirror: str, tmp_path: Path) -> None:
    in_the_way = tmp_path / "tiny" / f"{_IMAGES}.gz"
    in_the_way.mkdir(parents=True)
    with pytest.raises(DataError, match="must be writable"):
        tiny.download(tmp_path, mirror=mirror)
    assert list(in_the_way.parent.iterdir()) == [in_the_way]
