"""Files as a whole: written completely or not at all, and their digests."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from maskcl.errors import ConfigError, message

__all__ = ["file_digest", "remove_left_over", "write_atomically", "write_whole"]

_CHUNK = 1 << 20
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
"""Names that `write_whole` gives to files on their way."""


def file_digest(path: str | os.PathLike[str], digest: Any) -> str:
    """Return the hexadecimal digest of a file, a piece at a time: it may be larger than memory.

    Args:
        path: The file.
        digest: A fresh object of `hashlib`.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return str(digest.hexdigest())


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write to a temporary name in the same folder, sync, and rename; make the folder where it is missing.

    Raises:
        ConfigError: The file cannot be written; what was there before is as it was.
    """
    try:
        write_whole(Path(path), content)
    except OSError as error:
        raise ConfigError(message(str(path), f"must be a file that can be written ({error.strerror})")) from error


def write_whole(path: Path, content: bytes) -> None:
    """Do what `write_atomically` does, and raise OSError as the system does, for those who word it themselves."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_left_over(folder: Path) -> None:
    """Remove what processes left in a folder that were killed while they wrote; for when nobody writes there.

    Files that cannot be removed stay, as does what is no file.
    """
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if _TEMPORARY.fullmatch(path.name) and path.is_file():
                with suppress(OSError):
                    path.unlink()
