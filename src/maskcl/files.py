"""Writing a file as a whole or not at all: results, weights and figures."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from maskcl.errors import ConfigError, message

__all__ = ["write_atomically", "write_whole"]


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
