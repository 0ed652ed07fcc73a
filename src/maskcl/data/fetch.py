"""Get small files from the network: checked in memory before anything is written, then renamed into place."""

from __future__ import annotations

from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from maskcl.data.source import Progress
from maskcl.errors import DataError, MissingDataError, message
from maskcl.files import write_whole

__all__ = ["CHUNK", "HEADERS", "TIMEOUT_SECONDS", "fetch", "unreachable", "unwritable", "write"]

CHUNK = 1 << 18
HEADERS = {"User-Agent": "maskcl"}
TIMEOUT_SECONDS = 30


def fetch(url: str, file: str, on_progress: Progress | None = None) -> bytes:
    """Return what lies at `url`; memory will do for the 26 MB that the largest idx file has.

    Args:
        url: The address.
        file: What progress calls it.
        on_progress: Called as (file, bytes received, bytes in all or None) while it comes in.

    Raises:
        MissingDataError: It cannot be reached.
    """
    content = bytearray()
    try:
        with urlopen(Request(url, headers=HEADERS), timeout=TIMEOUT_SECONDS) as response:
            length = response.headers.get("Content-Length")
            total = int(length) if length is not None else None
            while chunk := response.read(CHUNK):
                content += chunk
                if on_progress is not None:
                    on_progress(file, len(content), total)
    except (OSError, HTTPException, ValueError) as error:  # unreachable or refused; broken off; not an address
        raise unreachable(url, error) from error
    return bytes(content)


def unreachable(url: str, error: Exception) -> MissingDataError:
    """Return the error for an address that cannot be read."""
    reason = str(getattr(error, "reason", None) or error or type(error).__name__)
    hint = "check the network, or put the file there by hand and give its folder with --data-root or MASKCL_DATA"
    return MissingDataError(message(url, f"must be reachable to download it ({reason})", hint=hint))


def unwritable(path: Path, error: OSError) -> DataError:
    """Return the error for a file that cannot be written."""
    hint = "choose a folder that can be written with --data-root or MASKCL_DATA"
    return DataError(message(str(path), f"must be writable ({error.strerror or error})", hint=hint))


def write(path: Path, content: bytes) -> None:
    """Write a file in one piece or not at all, also when two processes do it at once."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise unwritable(path, error) from error
