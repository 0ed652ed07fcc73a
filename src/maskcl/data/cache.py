"""Pictures decoded once, kept as arrays that are mapped into memory: docs/design/data-cache.md has the reasons."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from maskcl.data.base import Dataset, content_digest
from maskcl.data.build import build
from maskcl.data.picture_set import CACHE_VERSION, PictureSet
from maskcl.data.source import Progress, data_root, expand, is_folder
from maskcl.errors import DataError, MaskclWarning, counted, message

__all__ = ["CacheState", "cache_root", "caches", "check_cache", "clear_caches", "file_name", "load_pictures"]

_ARRAYS = ("train_inputs", "train_labels", "test_inputs", "test_labels")
_TYPES: dict[str, np.dtype[Any]] = {"inputs": np.dtype(np.uint8), "labels": np.dtype(np.int64)}
_FOLDER = re.compile(r"(?P<stem>(?P<name>.+)-[0-9a-f]{16})|\.(?P<made>(?P<of>.+)-[0-9a-f]{16})\.[0-9a-f]{8}\.tmp")


@dataclass(frozen=True)
class CacheState:
    """One cache on the disk.

    Attributes:
        name: Of the data set.
        folder: Where it lies.
        num_rows: Training and test rows; 0 where that cannot be read.
        num_bytes: What it takes.
        state: "whole" as far as sizes tell; "broken", which is never used; or "half-written", what a process is making,
            or was killed in.
    """

    name: str
    folder: Path
    num_rows: int
    num_bytes: int
    state: Literal["whole", "broken", "half-written"]


def cache_root(root: str | Path | None = None) -> Path:
    """Return the folder of caches: MASKCL_CACHE, or one in the folder of data sets."""
    chosen = os.environ.get("MASKCL_CACHE")
    return expand(chosen) if chosen else data_root(root) / ".maskcl-cache"


def load_pictures(
    pictures: PictureSet, root: str | Path | None = None, *, on_progress: Progress | None = None
) -> Dataset:
    """Return a set's decoded pictures, decoding them where no cache has them.

    Args:
        pictures: Which.
        root: Folder of data sets, as in `data_root`.
        on_progress: Called as (name, pictures done, pictures in all) while they are decoded.

    Returns:
        Images as uint8 [N, 3, height, width], mapped into memory, not read.

    Raises:
        DataError: A picture that cannot be used, sizes that differ, or no room for the cache; nothing is left of it.
    """
    folder = cache_root(root) / f"{file_name(pictures.name)}-{pictures.key}"
    found = _open(folder, pictures.name)
    if found is None:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _lock(folder.parent, folder.name):
                found = _open(folder, pictures.name)  # another process may have made it while this one waited
                if found is None:
                    _make(folder, pictures, on_progress)
                    found = _open(folder, pictures.name)
        except (OSError, NotImplementedError) as error:  # the latter where a file system knows no locks
            if isinstance(error, DataError):
                raise
            reason = getattr(error, "strerror", None) or error
            hint = "choose a folder with room, which can be written, with --data-root, MASKCL_DATA or MASKCL_CACHE"
            raise DataError(message(str(folder.parent), f"must have decoded pictures ({reason})", hint=hint)) from error
    if found is None:
        raise DataError(message(str(folder), "must stay as it was written, and was changed at once"))
    dataset, skipped = found
    if skipped:
        text = f"{pictures.name}: {counted(len(skipped), 'picture')} left out as unusable, the first: {skipped[0]}"
        warnings.warn(text, MaskclWarning, stacklevel=2)
    return dataset


def caches(root: str | Path | None = None) -> list[CacheState]:
    """Return what lies in the folder of caches, half-written ones too."""
    folder = cache_root(root)
    if not is_folder(folder):
        return []
    try:
        states = [_state(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    except OSError as error:
        raise DataError(message(str(folder), f"must be a readable folder ({error.strerror or error})")) from error
    return [state for state in states if state is not None]


def clear_caches(name: str | None = None, root: str | Path | None = None) -> list[CacheState]:
    """Remove the caches of a data set, or all; returns what was removed.

    Runs that use one keep it until they end; what another process is making at the moment stays.
    """
    gone = []
    for state in caches(root):
        matched = _FOLDER.fullmatch(state.folder.name)
        if matched is None or (name is not None and state.name != file_name(name)):
            continue
        try:
            with _lock(state.folder.parent, matched["stem"] or matched["made"], wait=0):
                shutil.rmtree(state.folder)
        except Timeout:
            continue
        except OSError as error:
            must = f"must be a folder that can be removed ({error.strerror or error})"
            raise DataError(message(str(state.folder), must)) from error
        gone.append(state)
    return gone


def check_cache(state: CacheState) -> str | None:
    """Read all of a cache and return what is wrong with it, or None."""
    found = _open(state.folder, state.name)
    if found is None:
        return message(str(state.folder), f"must be a whole cache, and is {state.state}")
    dataset = found[0]
    arrays = (dataset.train_inputs, dataset.train_labels, dataset.test_inputs, dataset.test_labels)
    if content_digest(arrays) != dataset.fingerprint:
        return message(str(state.folder), "must hold what was written into it, and has another digest")
    return None


def _make(folder: Path, pictures: PictureSet, on_progress: Progress | None) -> None:
    """Build the cache in a folder of another name, and rename it when it is whole. Called with the lock held."""
    for left in folder.parent.glob(f".{folder.name}.*.tmp"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    try:
        fresh.mkdir()
        meta = build(pictures, fresh, on_progress)
        arrays = _mapped(fresh, meta)
        meta |= {"version": CACHE_VERSION, "key": pictures.key, "classes": list(pictures.classes)}
        meta["fingerprint"] = content_digest(arrays)
        del arrays
        with (fresh / "meta.json").open("w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(meta, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        _sync(fresh)
        if folder.exists():  # of this name and not whole, or it would have been used
            shutil.rmtree(folder)
        os.replace(fresh, folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _open(folder: Path, name: str) -> tuple[Dataset, list[str]] | None:
    """The data set of a cache and what was left out of it; None where it is not whole, or of another version."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8", errors="surrogateescape"))
        if meta["version"] != CACHE_VERSION or not folder.name.endswith(f"-{meta['key']}"):
            return None
        arrays = _mapped(folder, meta)
        classes = tuple(meta["classes"])
        dataset = Dataset(
            name,
            *arrays,
            num_classes=len(classes),
            input_range=(0.0, 1.0),
            class_names=classes,
            known_fingerprint=meta["fingerprint"],
        )
        return dataset, list(meta["skipped"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):  # DataError is a ValueError
        return None


def _mapped(folder: Path, meta: Mapping[str, Any]) -> tuple[Any, Any, Any, Any]:
    """The arrays, mapped, not read; ValueError where a file has another size than its shape says."""
    arrays = []
    for name in _ARRAYS:
        kind, shape, path = _TYPES[name.partition("_")[2]], tuple(meta["shapes"][name]), folder / f"{name}.bin"
        if path.stat().st_size != kind.itemsize * int(np.prod(shape, dtype=np.int64)):
            raise ValueError(f"{path} has another size than {shape}")
        array: npt.NDArray[Any] = np.memmap(path, kind, "r", shape=shape)
        arrays.append(array if kind == np.uint8 else np.array(array))  # labels are looked at by everybody
    train_inputs, train_labels, test_inputs, test_labels = arrays
    return train_inputs, train_labels, test_inputs, test_labels


def _state(folder: Path) -> CacheState | None:
    """What a folder is; None where another process has renamed or removed it meanwhile."""
    try:
        num_bytes = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    except FileNotFoundError:
        return None
    matched = _FOLDER.fullmatch(folder.name)
    if matched is None:
        return CacheState(folder.name, folder, 0, num_bytes, "broken")
    if matched["made"] is not None:
        return CacheState(matched["of"], folder, 0, num_bytes, "half-written")
    found = _open(folder, matched["name"])
    if found is None:
        return CacheState(matched["name"], folder, 0, num_bytes, "broken")
    rows = len(found[0].train_labels) + len(found[0].test_labels)
    return CacheState(matched["name"], folder, rows, num_bytes, "whole")


def _lock(folder: Path, stem: str, *, wait: float = -1) -> FileLock:
    """Held by who makes or removes the cache of a key; Timeout after `wait` seconds, or never."""
    return FileLock(folder / f".{stem}.lock", timeout=wait)


def file_name(name: str) -> str:
    """Return what the caches of a data set are called: its name, as far as every file system can have it."""
    return re.sub(r"[^\w.-]+", "_", name).strip(".")[:60] or "pictures"


def _sync(folder: Path) -> None:
    """Make a rename last through a loss of power, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
