"""A publisher's archive: fetched where it broke off, checked, unpacked beside its place, then renamed into it."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock

from maskcl.data.fetch import CHUNK, HEADERS, TIMEOUT_SECONDS, unreachable, unwritable
from maskcl.data.publisher import Archive
from maskcl.data.source import DownloadedFile, Progress
from maskcl.errors import DataError, MissingDataError, message, reason
from maskcl.files import file_digest

__all__ = ["download_archive"]

_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError)
"""What reading an archive raises that is none; RuntimeError where it asks for a password."""
_OF_ITS_OWN = (None, errno.EINVAL, errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)
"""Of the system's errors, those that an archive leads to: it is no gzip file, has an offset before its begin, or names
that no folder can have. Others are the disk's."""
_ATTEMPTS = 5  # connections that broke off after they brought something; the next command goes on all the same


def download_archive(
    archive: Archive, root: Path, *, mirror: str | None = None, on_progress: Progress | None = None
) -> DownloadedFile:
    """Bring an archive's folder to `root/folder`; one that is there already gives way only to a whole one.

    Args:
        archive: Which.
        root: Folder of data sets. An archive that was put there by hand is used, and kept.
        mirror: Address to append the archive's name to, instead of its own.
        on_progress: Called as (file, bytes received, bytes in all or None).

    Returns:
        The archive as it was fetched; its path is the unpacked folder.

    Raises:
        MissingDataError: The address cannot be reached, or broke off; what came is kept, and the next call goes on.
        DataError: Another checksum, a member outside of the folder, or nowhere to write.
    """
    url = archive.url if mirror is None else f"{mirror.rstrip('/')}/{archive.file}"
    path, part = root / archive.file, root / f"{archive.file}.part"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{archive.file}.lock"):
            by_hand = path.is_file() and _md5(path) == archive.md5
            if not by_hand:
                with _telling_of_another(path):
                    _fetch(url, part, archive.file, on_progress)
                digest = _md5(part)
                if digest != archive.md5:
                    part.unlink()
                    hint = "it is not what was published: try again, or another address"
                    raise DataError(message(url, f"must have the md5 {archive.md5}", digest, hint=hint))
            packed = path if by_hand else part
            size = packed.stat().st_size
            _unpack(packed, root, archive)
            part.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, MissingDataError):
            raise
        raise unwritable(root / archive.folder, error) from error
    return DownloadedFile(archive.file, root / archive.folder, not by_hand, size)


@contextmanager
def _telling_of_another(path: Path) -> Iterator[None]:
    """Where the network fails, say that what was put there by hand was looked at, and why it did not do."""
    try:
        yield
    except MissingDataError as error:
        if not path.is_file():
            raise
        sentence, _, hint = str(error).partition("\n")
        text = f"{sentence.rstrip('.')}, for {path} is not what was published: its md5 is {_md5(path)}."
        raise MissingDataError(f"{text}\n{hint}" if hint else text) from error


def _fetch(url: str, part: Path, file: str, on_progress: Progress | None) -> None:
    """Bring `part` to its full length, from where it broke off."""
    for attempt in range(_ATTEMPTS):
        start = _size(part)
        try:
            total = _receive(url, part, file, on_progress)
        except _NetworkError as error:
            if _size(part) > start and attempt < _ATTEMPTS - 1:
                continue
            raise unreachable(url, error.cause) from error
        came = _size(part)
        if total is None or came == total:
            return
        if came > total:
            part.unlink()  # of something else
    must = f"must be read to its end, and broke off after {came} of {total} bytes"
    raise MissingDataError(message(url, must, hint="the same command goes on from there"))


def _receive(url: str, part: Path, file: str, on_progress: Progress | None) -> int | None:
    """Append what is still missing; returns how many bytes there are in all, where the server says."""
    there = _size(part)
    headers = {**HEADERS, "Range": f"bytes={there}-"} if there else HEADERS
    with _telling_the_network_from_the_disk():
        try:
            response = urlopen(Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
        except HTTPError as error:
            total = error.headers.get("Content-Range", "").rpartition("/")[2]
            if error.code != 416 or not total.isdigit():  # 416: nothing lies beyond what is there
                raise
            return int(total)
    with response:
        goes_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {there}-")
        done, length = there if goes_on else 0, response.headers.get("Content-Length", "")
        known = done + int(length) if length.isdigit() else None
        with part.open("ab" if goes_on else "wb") as out:
            while True:
                with _telling_the_network_from_the_disk():
                    chunk = response.read(CHUNK)
                if not chunk:
                    return known
                out.write(chunk)
                done += len(chunk)
                if on_progress is not None:
                    on_progress(file, done, known)


class _NetworkError(Exception):
    def __init__(self, cause: Exception) -> None:
        self.cause = cause


@contextmanager
def _telling_the_network_from_the_disk() -> Iterator[None]:
    """Both raise OSErrors, and a full disk is not an address that cannot be reached."""
    try:
        yield
    except (OSError, HTTPException, ValueError) as error:
        raise _NetworkError(error) from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5(path: Path) -> str:
    return file_digest(path, hashlib.md5(usedforsecurity=False))


def _unpack(packed: Path, root: Path, archive: Archive) -> None:
    """Unpack into a new folder, and put that in its place only when it is whole."""
    fresh, target = root / f".{archive.folder}.{secrets.token_hex(4)}.tmp", root / archive.folder
    try:
        with closing(_members(packed, archive)) as members:
            for name, content in members:
                with content:
                    path = fresh / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as out:
                        shutil.copyfileobj(content, out)
        _put(fresh / archive.folder, target, before=fresh / ".before")
    except DataError:
        raise
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno not in _OF_ITS_OWN:
            raise
        raise DataError(message(archive.file, f"must be an archive that can be unpacked ({reason(error)})")) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _put(new: Path, target: Path, *, before: Path) -> None:
    """Put a folder in the place of another, which goes to `before`, or back where the new one cannot be put there."""
    try:
        if target.exists():
            os.replace(target, before)
        os.replace(new, target)
    except BaseException:  # an interruption between the two as well
        if before.exists() and not target.exists():
            os.replace(before, target)
        raise


def _members(packed: Path, archive: Archive) -> Generator[tuple[PurePosixPath, IO[bytes]], None, None]:
    """The files of an archive, all of them in its one folder.

    A link, or a way out of the folder, is refused whatever the Python: `tarfile`'s own filter is not in all of 3.10.
    """
    if zipfile.is_zipfile(packed):
        with zipfile.ZipFile(packed) as opened:
            for item in opened.infolist():
                if not item.is_dir():
                    yield _inside(item.filename, archive, plain=not _is_link(item)), opened.open(item)
    else:
        with tarfile.open(packed) as tar:
            for member in tar:
                if not member.isdir():
                    name, content = _inside(member.name, archive, plain=member.isreg()), tar.extractfile(member)
                    assert content is not None, "a regular file has content"
                    yield name, content


def _is_link(item: zipfile.ZipInfo) -> bool:
    return (item.external_attr >> 16) & 0o170000 == 0o120000


def _inside(name: str, archive: Archive, *, plain: bool) -> PurePosixPath:
    path = PurePosixPath(name)
    inside = len(path.parts) > 1 and path.parts[0] == archive.folder and ".." not in path.parts and "\\" not in name
    if not (plain and inside):
        raise DataError(message(archive.file, f"must hold nothing but files in {archive.folder}", name))
    return path
