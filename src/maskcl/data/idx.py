"""The idx format of MNIST and its relatives: four bytes of magic, sizes, then the values.

Only unsigned bytes are read, the type of every image and label file in use. Files may be gzipped or not.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from maskcl.errors import DataError, check, message, reason

__all__ = ["is_whole", "read_idx", "unpack_idx"]

_UNSIGNED_BYTES = 0x08


def read_idx(path: str | Path, *, sha256: str | None = None) -> npt.NDArray[np.uint8]:
    """Read an idx file strictly.

    Args:
        path: The file, gzipped or not, whatever its name ends in.
        sha256: What the uncompressed content must hash to, in hexadecimal. The content counts, not the gzip
            file, since distributions compress anew.

    Returns:
        The values, read-only, in the shape that the file states.

    Raises:
        DataError: If the file cannot be read, is damaged in any way or has another checksum.
    """
    try:
        packed = Path(path).read_bytes()
    except OSError as error:
        raise DataError(message(str(path), f"must be a readable file ({error.strerror or error})")) from error
    return unpack_idx(packed, where=str(path), sha256=sha256)


def unpack_idx(packed: bytes, *, where: str, sha256: str | None = None) -> npt.NDArray[np.uint8]:
    """Read the bytes of an idx file; `where` is what messages call it, the rest is as in `read_idx`.

    >>> unpack_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]), where="labels").tolist()
    [7, 9]
    """
    content = _gunzip(packed, where) if packed[:2] == b"\x1f\x8b" else packed  # idx files begin with two zeros
    check(
        len(content) >= 4, where, "must begin with 4 bytes of idx magic, file ends after", len(content), error=DataError
    )
    known = content[:2] == b"\0\0" and content[2] == _UNSIGNED_BYTES and content[3] >= 1
    must = "must be an idx file of unsigned bytes (magic 00 00 08 and the number of dimensions)"
    check(known, where, must, content[:4].hex(" "), error=DataError)
    start = 4 + 4 * content[3]
    check(len(content) >= start, where, f"must have a header of {start} bytes", len(content), error=DataError)
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    size, found = math.prod(shape), len(content) - start
    kind = "is truncated" if found < size else "has bytes after its end"
    check(found == size, where, f"{kind}: its header says {shape}, must hold {size} values", found, error=DataError)
    if sha256 is not None:
        digest = hashlib.sha256(content).hexdigest()
        check(digest == sha256, where, f"must have the content with sha256 {sha256}", digest, error=DataError)
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def is_whole(path: Path) -> bool:
    """Whether a file is as long as its own header says, told by its first bytes and its last.

    A gzip file ends with the size of its content, modulo 2**32: where it was cut, other bytes stand there.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            size = file.seek(-4, 2) + 4
            found = int.from_bytes(file.read(4), "little") if packed else size
        with gzip.open(path) if packed else path.open("rb") as content:
            header = content.read(4)
            sizes = content.read(4 * header[3])
    except (OSError, EOFError, IndexError, zlib.error):
        return False
    shape = [int.from_bytes(sizes[at : at + 4], "big") for at in range(0, len(sizes), 4)]
    return len(sizes) == 4 * header[3] and found == (4 + len(sizes) + math.prod(shape)) % 2**32


def _gunzip(packed: bytes, where: str) -> bytes:
    try:
        return gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(message(where, f"must be a whole gzip file ({reason(error)})")) from error
