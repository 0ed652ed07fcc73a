from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import re
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from maskcl.data import archive as archives
from maskcl.data.archive import download_archive
from maskcl.data.publisher import Archive
from maskcl.errors import DataError, MissingDataError

FILES = {"things/a.txt": b"a", "things/deep/b.bin": bytes(range(256)) * 3000}


def packed_tar(files: dict[str, bytes], *, extra: tarfile.TarInfo | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        if extra is not None:
            tar.addfile(extra)
    return buffer.getvalue()


def packed_zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return buffer.getvalue()


class Server:
    """Serves one content, with ranges or without; each connection may break off, and what was asked is noted."""

    def __init__(self) -> None:
        self.content, self.ranges, self.breaks, self.asked = b"", True, list[int](), list[str | None]()

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                outer.asked.append(asked)
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and outer.ranges else 0
                size = len(outer.content)
                if start >= size:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{size}")
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(size - start))
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
                self.end_headers()
                end = start + outer.breaks.pop(0) if outer.breaks else size
                self.wfile.write(outer.content[start:end])

            def log_message(self, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(archives, "CHUNK", 1024)
    serves = Server()
    with serves.serving() as address:
        serves.address = address  # type: ignore[attr-defined]
        yield serves


def offered(server: Server, content: bytes, name: str = "things.tar.gz") -> Archive:
    server.content = content
    return Archive(f"{server.address}/{name}", hashlib.md5(content).hexdigest(), "things")  # type: ignore[attr-defined]


def unpacked(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(("pack", "name"), [(packed_tar, "t.tar.gz"), (packed_zip, "t.zip")])
def test_an_archive_becomes_its_folder_and_nothing_else(
    server: Server, tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes], name: str
) -> None:
    archive = offered(server, pack(FILES), name)
    reports: list[tuple[str, int, int | None]] = []
    found = download_archive(archive, tmp_path / "new", on_progress=lambda *told: reports.append(told))
    assert (found.file, found.fetched, found.num_bytes) == (name, True, len(server.content))
    assert {k: v for k, v in unpacked(tmp_path / "new").items() if not k.endswith(".lock")} == FILES
    assert reports[-1] == (name, len(server.content), len(server.content))
    assert [done for _, done, _ in reports] == sorted(done for _, done, _ in reports)


def test_a_connection_that_breaks_off_is_taken_up_where_it_was(server: Server, tmp_path: Path) -> None:
    archive = offered(server, packed_tar(FILES))
    server.breaks = [1500, 900]
    download_archive(archive, tmp_path)
    assert server.asked == [None, "bytes=1500-", "bytes=2400-"]
    assert unpacked(tmp_path / "things") == {k.removeprefix("things/"): v for k, v in FILES.items()}


def test_a_later_call_goes_on_from_what_an_earlier_one_got(server: Server, tmp_path: Path) -> None:
    archive = offered(server, packed_tar(FILES))
    server.breaks = [300] * 5
    with pytest.raises(MissingDataError, match=r"broke off|must be reachable"):
        download_archive(archive, tmp_path)
    assert (tmp_path / "things.tar.gz.part").stat().st_size == 1500
    assert not (tmp_path / "things").exists()
    server.asked.clear()
    download_archive(archive, tmp_path)
    assert server.asked == ["bytes=1500-"]
    assert not (tmp_path / "things.tar.gz.part").exists()


def test_a_server_without_ranges_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    archive = offered(server, packed_tar(FILES))
    server.ranges = False
    (tmp_path / "things.tar.gz.part").write_bytes(server.content[:700])
    download_archive(archive, tmp_path)
    assert server.asked == ["bytes=700-"]
    assert (tmp_path / "things" / "a.txt").read_bytes() == b"a"


def test_a_part_that_is_whole_already_is_used(server: Server, tmp_path: Path) -> None:
    archive = offered(server, packed_tar(FILES))
    (tmp_path / "things.tar.gz.part").write_bytes(server.content)
    download_archive(archive, tmp_path)
    assert server.asked == [f"bytes={len(server.content)}-"]
    assert (tmp_path / "things" / "a.txt").exists()


def test_a_part_longer_than_the_archive_is_thrown_away(server: Server, tmp_path: Path) -> None:
    archive = offered(server, packed_tar(FILES))
    (tmp_path / "things.tar.gz.part").write_bytes(bytes(len(server.content) + 5))
    download_archive(archive, tmp_path)
    assert (tmp_path / "things" / "a.txt").exists()


def test_another_checksum_is_refused_and_nothing_is_kept(server: Server, tmp_path: Path) -> None:
    archive = dataclasses.replace(offered(server, packed_tar(FILES)), md5="0" * 32)
    with pytest.raises(DataError, match=r"things\.tar\.gz: must have the md5 0{32}, got '[0-9a-f]{32}'\.\nhint: "):
        download_archive(archive, tmp_path)
    assert set(unpacked(tmp_path)) <= {".things.tar.gz.lock"}


def test_an_archive_put_there_by_hand_is_used_and_kept(server: Server, tmp_path: Path) -> None:
    archive = offered(server, packed_tar(FILES))
    (tmp_path / "things.tar.gz").write_bytes(server.content)
    assert download_archive(archive, tmp_path).fetched is False
    assert server.asked == []
    assert (tmp_path / "things.tar.gz").exists()
    assert (tmp_path / "things" / "a.txt").exists()


def test_a_folder_that_is_there_gives_way_to_the_whole_one(server: Server, tmp_path: Path) -> None:
    archive = offered(server, packed_tar(FILES))
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "half.bin").write_bytes(b"1")
    download_archive(archive, tmp_path)
    assert sorted(p.name for p in (tmp_path / "things").iterdir()) == ["a.txt", "deep"]
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".tmp")]


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "content",
    [
        packed_tar({"things/a": b"", "../out": b"x"}),
        packed_tar({"things/../../out": b"x"}),
        packed_tar({"/tmp/out": b"x"}),
        packed_tar({"other/a": b"x"}),
        packed_tar({}, extra=link("things/l", "/etc/passwd", tarfile.SYMTYPE)),
        packed_tar({"things/a": b""}, extra=link("things/l", "things/a", tarfile.LNKTYPE)),
        packed_tar({}, extra=link("things/pipe", "", tarfile.FIFOTYPE)),
        packed_zip({"things/a": b"", "../out": b"x"}),
        packed_zip({"things/..\\..\\out": b"x"}),
    ],
    ids=["up", "up within", "absolute", "other folder", "link", "hard link", "pipe", "zip up", "zip backslash"],
)
def test_a_member_outside_of_the_folder_is_refused(server: Server, tmp_path: Path, content: bytes) -> None:
    archive = offered(server, content)
    with pytest.raises(DataError, match=r"things\.tar\.gz: must hold nothing but files in things, got '"):
        download_archive(archive, tmp_path / "root")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "root" / "things").exists()
    assert not [p for p in (tmp_path / "root").iterdir() if p.name.endswith(".tmp")]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk", "Ctrl-C"])
def test_a_folder_that_is_there_comes_back_where_the_new_one_cannot_take_its_place(
    error: BaseException, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "mine.txt").write_bytes(b"mine")
    replace = os.replace

    def failing(source: Any, target: Any) -> None:
        if Path(target) == tmp_path / "things" and Path(source).name == "things":
            raise error
        replace(source, target)

    monkeypatch.setattr(archives.os, "replace", failing)
    with pytest.raises(DataError if isinstance(error, OSError) else KeyboardInterrupt):
        download_archive(offered(server, packed_tar(FILES)), tmp_path)
    assert unpacked(tmp_path / "things") == {"mine.txt": b"mine"}
    assert [path.name for path in tmp_path.glob(".things.*.tmp")] == []


@pytest.mark.parametrize("content", [b"<html>log in first</html>", packed_tar(FILES)[:-200]], ids=["page", "cut"])
def test_what_is_no_archive_is_one_sentence(server: Server, tmp_path: Path, content: bytes) -> None:
    archive = offered(server, content)
    with pytest.raises(DataError, match="must be an archive that can be unpacked"):
        download_archive(archive, tmp_path)
    assert not (tmp_path / "things").exists()


def test_a_full_disk_is_not_taken_for_the_network(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, opened = offered(server, packed_tar(FILES)), Path.open

    class Full(io.BytesIO):
        def write(self, _chunk: object) -> int:
            raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "open", lambda p, *a, **k: Full() if p.suffix == ".part" else opened(p, *a, **k))
    must = re.escape(f"must be writable ({os.strerror(28)}).")
    with pytest.raises(DataError, match=must) as caught:
        download_archive(archive, tmp_path)
    assert not isinstance(caught.value, MissingDataError)


def test_an_address_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(MissingDataError, match=r"must be reachable to download it \(.+\)\.\nhint: "):
        download_archive(Archive("http://127.0.0.1:9/a.tar.gz", "0" * 32, "a"), tmp_path)


def test_where_the_network_fails_an_archive_that_is_another_one_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "a.tar.gz").write_bytes(b"another")
    text = (
        r"must be reachable to download it \(.+\), for .*/a\.tar\.gz is not what was published: "
        r"its md5 is b32d73e56ec99bc5ec8f83871cde708a\.\nhint: check the network"
    )
    with pytest.raises(MissingDataError, match=text):
        download_archive(Archive("http://127.0.0.1:9/a.tar.gz", "0" * 32, "a"), tmp_path)
    assert (tmp_path / "a.tar.gz").read_bytes() == b"another"


def test_another_archive_that_lies_there_is_left_alone_where_the_network_has_it(server: Server, tmp_path: Path) -> None:
    archive = offered(server, packed_tar(FILES))
    (tmp_path / "things.tar.gz").write_bytes(b"another")
    assert download_archive(archive, tmp_path).fetched is True
    assert (tmp_path / "things.tar.gz").read_bytes() == b"another"


def test_a_folder_that_cannot_be_written_is_one_sentence(server: Server, tmp_path: Path) -> None:
    archive = offered(server, packed_tar(FILES))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="must be writable"):
        download_archive(archive, tmp_path / "file")
