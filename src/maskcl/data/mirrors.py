"""Download the files of a data set: checked in memory before anything is written, then renamed into place."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from maskcl.data.idx import unpack_idx
from maskcl.data.idx_set import IdxSet, data_root
from maskcl.errors import DataError, MissingDataError, message

__all__ = ["DownloadedFile", "download_idx_set"]

Progress = Callable[[str, int, "int | None"], None]

_CHUNK = 1 << 18
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class DownloadedFile:
    """One file after a download.

    Attributes:
        file: Its name, without .gz.
        path: Where it lies.
        fetched: False where an intact file was there already.
        num_bytes: Its size as stored.
    """

    file: str
    path: Path
    fetched: bool
    num_bytes: int


def download_idx_set(
    idx_set: IdxSet, root: str | Path | None = None, *, mirror: str | None = None, on_progress: Progress | None = None
) -> list[DownloadedFile]:
    """Download the files that are missing or damaged; intact ones stay as they are.

    Args:
        idx_set: What to download.
        root: Folder of data sets, as in `data_root`; files go to root/name.
        mirror: Address to append file names to, instead of the set's own.
        on_progress: Called as (file, bytes received, bytes in all or None) while a file comes in.

    Returns:
        The files, in the set's order.

    Raises:
        MissingDataError: If the mirror cannot be reached.
        DataError: If it sends something else, or the folder cannot be written.
    """
    files = []
    for file in idx_set.sha256:
        path = _intact(idx_set, file, root)
        fetched = path is None
        if path is None:
            url = f"{(mirror or idx_set.mirror).rstrip('/')}/{file}.gz"
            packed = _fetch(url, file, on_progress)
            unpack_idx(packed, where=url, sha256=idx_set.sha256[file])
            path = data_root(root) / idx_set.folders[0] / f"{file}.gz"
            _write(path, packed)
        files.append(DownloadedFile(file, path, fetched, path.stat().st_size))
    return files


def _intact(idx_set: IdxSet, file: str, root: str | Path | None) -> Path | None:
    try:
        idx_set.read(file, root)
    except DataError:  # missing or damaged
        return None
    return idx_set.find(file, root)


def _fetch(url: str, file: str, on_progress: Progress | None) -> bytes:
    """Return what lies at `url`: 26 MB at most for the sets we know, so memory will do."""
    content = bytearray()
    try:
        with urlopen(Request(url, headers={"User-Agent": "maskcl"}), timeout=_TIMEOUT_SECONDS) as response:
            length = response.headers.get("Content-Length")
            total = int(length) if length is not None else None
            while chunk := response.read(_CHUNK):
                content += chunk
                if on_progress is not None:
                    on_progress(file, len(content), total)
    except (OSError, HTTPException, ValueError) as error:  # unreachable or refused; broken off; not an address
        reason = str(getattr(error, "reason", None) or error or type(error).__name__)
        hint = "check the network, or put the file there by hand and give its folder with --data-root or MASKCL_DATA"
        raise MissingDataError(message(url, f"must be reachable to download it ({reason})", hint=hint)) from error
    return bytes(content)


def _write(path: Path, content: bytes) -> None:
    """Write a file in one piece or not at all, also when two processes do it at once."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        hint = "choose a folder that can be written with --data-root or MASKCL_DATA"
        raise DataError(message(str(path), f"must be writable ({error.strerror or error})", hint=hint)) from error
