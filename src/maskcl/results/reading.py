"""Reading one result file: whatever lies there, it ends in a document or in one sentence."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskcl.errors import DataError, MissingDataError, message
from maskcl.results.files import CHECKSUM, MOST_BYTES, checksum_of_json, config_hash
from maskcl.results.schema import REQUIRED, SAMPLE, check_document

__all__ = ["ForeignFileError", "read_result"]

_MATRICES = ("class_incremental", "task_incremental", "confidence", "level")
_ANYTIME = {"step": np.int64, "task": np.int64, "class_incremental": np.float64, "confidence": np.float64,
            "level": np.float64, "weight_shift": np.float64}  # fmt: skip
_BEGINNING = re.compile(rb'\s*\{\s*"schema"\s*:')
"""How a file begins that maskcl wrote, also where its end is lost."""
_KNOWN = 3
"""Keys of a result, of those that are in all, that tell a broken one from somebody else's JSON."""


class ForeignFileError(DataError):
    """A file that is no result and never was one, as far as can be told."""


def read_result(path: str | os.PathLike[str], *, where: str | None = None) -> dict[str, Any]:
    """Read one result file.

    Args:
        path: The file.
        where: What messages call it; None: its path.

    Returns:
        The document as it was before it was written: arrays, and NaN for null, where numbers belong.

    Raises:
        MissingDataError: It is not there.
        DataError: It cannot be read, is not JSON, not what was written, or not as maskcl writes it. A
            `ForeignFileError` where it never was a result.
    """
    where = str(path) if where is None else where
    content = _content(Path(path), where)
    try:
        raw = json.loads(content, object_pairs_hook=_once_each, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError among the former
        reason = "lists or tables too deep" if isinstance(error, RecursionError) else str(error)
        ours = _BEGINNING.match(content) is not None
        hint = "the file is broken; delete it and run again" if ours else None
        kind = DataError if ours else ForeignFileError
        raise kind(message(where, f"must be JSON ({reason})", hint=hint)) from None
    if not isinstance(raw, dict) or "schema" not in raw:
        ours = isinstance(raw, dict) and sum(key in raw for key in REQUIRED) >= _KNOWN
        kind = DataError if ours else ForeignFileError
        raise kind(message(where, "must be the result of a run, and has no 'schema'"))
    if raw["schema"] == 1 and not any(key in raw for key in REQUIRED):
        raise ForeignFileError(message(where, "must be the result of a run, and has none of its keys"))
    check_document(raw, where)
    written = raw.pop(CHECKSUM, None)
    if written is not None and written != checksum_of_json(raw):
        hint = f"if it was changed on purpose, delete its key {CHECKSUM!r}; else delete the file and run again"
        raise DataError(message(where, "must be what was written, and its checksum is another", hint=hint))
    return _decode(raw)


def _content(path: Path, where: str) -> bytes:
    """The bytes of a regular file of sane size; nothing else is opened, for a FIFO would wait for its writer."""
    try:
        _check_kind(path.stat(), where)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            _check_kind(os.fstat(file.fileno()), where)  # once more: another may stand under its name by now
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise MissingDataError(message(where, "must be a result file, and is not there")) from None
    except OSError as error:
        raise DataError(message(where, f"must be a file that can be read ({error.strerror or error})")) from None
    if len(content) > MOST_BYTES:  # it grew, or the system does not know its size
        raise _too_large(where, f"more than {MOST_BYTES:,}")
    return content


def _check_kind(found: os.stat_result, where: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "none"
        raise ForeignFileError(message(where, f"must be a regular file, and is {kind}"))
    if found.st_size > MOST_BYTES:
        raise _too_large(where, f"{found.st_size:,}")


def _too_large(where: str, size: str) -> DataError:
    return DataError(message(where, f"must have {MOST_BYTES:,} bytes or fewer, and has {size}"))


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:100]!r} stands there twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


def _decode(raw: dict[str, Any]) -> dict[str, Any]:
    """Arrays, and NaN for null, where numbers belong."""
    result = {"experiment": "", "diverged": None, "environment": {}, "executor": {}, "anytime": None, **raw}
    result.setdefault("config_hash", config_hash(raw["config"]))
    result["config"] = _with_infinities(raw["config"])
    result["metrics"] = {name: math.nan if v is None else float(v) for name, v in raw["metrics"].items()}
    for name in (*_MATRICES, "newest_share", "weight_shift"):
        if raw.get(name) is not None:
            result[name] = np.array(raw[name], dtype=np.float64)
    if raw.get("untrained") is not None:
        result["untrained"] = {key: np.array(part, dtype=np.float64) for key, part in raw["untrained"].items()}
    if raw.get("anytime") is not None:
        told = {key: part for key in _ANYTIME if (part := raw["anytime"].get(key)) is not None}
        known = {key: np.array(part, dtype=_ANYTIME[key]) for key, part in told.items()}
        result["anytime"] = {**raw["anytime"], **known}
    if raw.get("confusion") is not None:
        result["confusion"] = {**raw["confusion"], "counts": np.array(raw["confusion"]["counts"], dtype=np.int64)}
    if raw.get("samples") is not None:
        result["samples"] = [record | {name: _numbers(record[name]) for name in SAMPLE} for record in raw["samples"]]
    return result


def _numbers(value: list[Any]) -> list[float]:
    """A list of numbers as before writing."""
    return [math.nan if v is None else float(v) for v in value]


def _with_infinities(value: Any) -> Any:
    """The strings "inf" and "-inf" of a configuration as the numbers they stand for, as before writing."""
    if isinstance(value, Mapping):
        return {name: _with_infinities(part) for name, part in value.items()}
    return float(value) if value in ("inf", "-inf") else value
