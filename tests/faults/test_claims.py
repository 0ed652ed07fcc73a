"""Processes in one folder: what one has claimed no other gets, for as long as it lives."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from filelock import FileLock

from maskcl.claims import _NAME, Claims, _worded


@contextmanager
def another(folder: Path, *keys: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Another process with its claims, and what it got."""
    command = [sys.executable, str(Path(__file__).with_name("claiming.py")), str(folder), *keys]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def test_two_processes_share_and_who_is_killed_lets_go(tmp_path: Path) -> None:
    folder = tmp_path / "private"
    with another(folder, "a", "b") as (process, got), Claims(folder) as claims:
        assert got == ["a", "b"]
        assert claims.take(["b", "c"]) == ["c"]
        assert claims.held_by_others(["a", "b", "c"]) == {f"process {process.pid} on {socket.gethostname()}": 2}
        assert not claims.alone()
        process.kill()
        process.wait()
        assert claims.held_by_others(["a", "b", "c"]) == {}
        assert claims.take(["a", "b"]) == ["a", "b"]
        assert claims.alone()
        assert len(list(folder.glob("process-*.lock"))) == 1  # that of the dead is gone
    assert not folder.exists()


def test_who_leaves_lets_go_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "private"
    with another(folder, "a") as (process, _), Claims(folder) as claims:
        assert claims.take(["a"]) == []
        process.communicate("")
        assert claims.take(["a"]) == ["a"]
    assert not folder.exists()


def test_a_process_may_claim_what_it_has(tmp_path: Path) -> None:
    with Claims(tmp_path / "private") as claims, Claims(tmp_path / "private") as second:
        assert claims.take(["a", "b"]) == claims.take(["a", "b"]) == ["a", "b"]
        assert second.take(["b", "c", "a"]) == ["c"]


LONG_DEAD = "elsewhere-4711-0123abcd"


@pytest.mark.parametrize(
    "table",
    [
        b"", b"\xff\xfe\x00", b"{", b"[1, 2]", b"7", b'{"a": 7}', b'{"a": "../../x-1-0123abcd"}', b'{"a": "nobody"}',
        json.dumps({"a": LONG_DEAD}).encode(),
    ],
    ids=["empty", "bytes", "cut off", "a list", "a number", "no name", "a path", "other words", "dead"],
)  # fmt: skip
def test_a_table_that_is_broken_says_nothing(table: bytes, tmp_path: Path) -> None:
    with Claims(tmp_path / "private") as claims:
        (claims.folder / "claims").write_bytes(table)
        assert claims.take(["a", "b"]) == ["a", "b"]
        assert set(json.loads((claims.folder / "claims").read_text()).values()) == {claims.name}
    assert not (tmp_path / "private").exists()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_every_claim_is_granted_at_once(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", none)
    folder = tmp_path / "private"
    with Claims(folder) as claims, Claims(folder) as second:
        assert claims.take(["a"]) == second.take(["a"]) == ["a"]
        assert claims.held_by_others(["a"]) == {}
        assert not claims.alone()  # as far as can be told
    assert not folder.exists()


def test_where_there_can_be_no_folder_every_claim_is_granted(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Claims(tmp_path / "file" / "private") as claims:
        assert claims.take(["a"]) == ["a"]


def test_on_a_full_disk_claims_are_granted_but_for_those_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Claims(tmp_path / "private") as claims, Claims(tmp_path / "private") as second:
        claims.take(["a"])
        monkeypatch.setattr("maskcl.claims.write_whole", full)
        assert second.take(["a", "b"]) == ["b"]
        assert list(second.held_by_others(["a", "b"]).values()) == [1]


@pytest.mark.parametrize("host", ["", "node-7.cluster", "näh host/../x", "h" * 300, "-", "a\nb"])
def test_any_host_has_a_name_that_can_be_read_back(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    with Claims(tmp_path) as claims, Claims(tmp_path) as second:
        assert _NAME.fullmatch(claims.name)
        claims.take(["a"])
        ((told, count),) = second.held_by_others(["a"]).items()
    assert count == 1
    assert told == _worded(claims.name)
    assert re.fullmatch(rf"process {os.getpid()} on [A-Za-z0-9_.-]+", told)
    assert host != "node-7.cluster" or told.endswith(" on node-7.cluster")


def test_who_comes_in_while_another_looks_who_lives_waits_for_it(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    look = FileLock(tmp_path / f"process-{claims.name}.lock", thread_local=False)
    look.acquire()
    Timer(0.2, look.release).start()
    with claims, Claims(tmp_path) as other:
        assert claims.take(["a"]) == ["a"]
        assert other.take(["a"]) == []


def test_who_comes_in_as_its_file_is_taken_for_a_dead_ones_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Claims(tmp_path) as first, ThreadPoolExecutor(1) as pool:
        second = Claims(tmp_path)
        path, unlink, begun = tmp_path / f"process-{second.name}.lock", Path.unlink, list[Future[Claims]]()

        def late(self: Path, missing_ok: bool = False) -> None:
            if self == path and not begun:
                begun.append(pool.submit(second.__enter__))
                wait(begun, timeout=0.2)  # it has opened the file by then, and has the lock if it can have it
            unlink(self, missing_ok=missing_ok)

        path.touch()
        monkeypatch.setattr(Path, "unlink", late)
        assert first.alone()
        begun[0].result()
        assert second.take(["a"]) == ["a"]
        assert first.take(["a"]) == []
        assert not first.alone()
        pool.submit(second.__exit__, None, None, None).result()
        assert first.take(["a"]) == ["a"]
