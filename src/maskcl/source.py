"""Which code this is: a digest of the package's source, for two checkouts may have one version number."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

__all__ = ["source_digest"]


@cache
def source_digest() -> str | None:
    """Return 16 hex digits of all Python files of the package, names and contents; None where they are not in files.

    They are read once, at the first call (10 ms): what is changed while a process runs is not what it runs. Code of
    one's own and of other packages is not in it.
    """
    return tree_digest(Path(__file__).parent)


def tree_digest(folder: Path) -> str | None:
    """Return 16 hex digits of the Python files in a folder and below, in the order of their names; None without any."""
    found = hashlib.blake2b(digest_size=8)
    try:
        paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
        for path in paths:
            content = (folder / path).read_bytes()
            found.update(f"{path}\0{len(content)}\0".encode(errors="surrogateescape") + content)
    except OSError:
        return None
    return found.hexdigest() if paths else None
