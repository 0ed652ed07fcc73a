"""Files as a whole: written completely or not at all, and their digests."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from maskcl.errors import ConfigError, check, message

__all__ = ["as_path", "file_digest", "remove_left_over", "write_atomically", "write_whole"]

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
    """Do what `write_atomically` does, and raise OSError as the system does, for those who word it themselves.

    A link stays, and what it leads to is written; a file that is there keeps its permissions; what is no file is left.
    """
    path = Path(os.path.realpath(path))
    mode = _mode(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(temporary, "xb") as file:
            if mode is not None:
                os.chmod(temporary, mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _mode(path: Path) -> int | None:
    """Permissions of a file; None where none is there."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device")
    return stat.S_IMODE(mode)


def as_path(path: Any, where: str) -> Path:
    """Return a path that was given, with the user's folder in place of ~.

    Args:
        path: A string, or an `os.PathLike` of one.
        where: The argument, for messages.

    Raises:
        ConfigError: It is none: empty, of another type, or with characters that no name of a file can have.

    >>> as_path("a/b.model", "path").name
    'b.model'
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    good = isinstance(text, str) and text != "" and "\0" not in text
    try:
        os.fsencode(text if good else "")
    except UnicodeEncodeError:
        good = False
    check(good, where, "must be the path of a file, a string or a Path", path)
    return Path(os.path.expanduser(text))


def remove_left_over(folder: Path) -> None:
    """Remove what processes left in a folder that were killed while they wrote; for when nobody writes there.

    Files that cannot be removed stay, as does what is no file.
    """
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if _TEMPORARY.fullmatch(path.name) and path.is_file():
                with suppress(OSError):
                    path.unlink()
