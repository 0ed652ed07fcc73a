"""Pictures into arrays on the disk: decoded by several threads, written in order by one."""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from maskcl.data.picture_set import Entry, PictureSet, UnusablePictureError
from maskcl.data.source import Progress
from maskcl.errors import DataError, message

__all__ = ["build", "decoded", "other_size"]

Picture = npt.NDArray[np.uint8]

_CHUNK = 32  # pictures a task: enough that handing it over costs nothing, few enough that memory holds some in advance


def build(pictures: PictureSet, folder: Path, on_progress: Progress | None) -> dict[str, Any]:
    """Decode a set into files of a folder; returns the shapes of the arrays and what was left out.

    Raises:
        DataError: A picture that cannot be used, or of another size than the first; or too little room.
        OSError: The folder cannot be written.
    """
    shapes: dict[str, list[int]] = {}
    skipped: list[str] = []
    shape: tuple[int, ...] | None = None
    done, total = 0, len(pictures.train) + len(pictures.test)
    for split, entries in (("train", pictures.train), ("test", pictures.test)):
        labels: list[int] = []
        with (
            (folder / f"{split}_inputs.bin").open("wb") as file,
            closing(decoded(pictures.folder, entries, pictures.image_size)) as pairs,
        ):
            for entry, found in pairs:
                if isinstance(found, DataError):
                    if not isinstance(found, UnusablePictureError):  # it may be readable next time: nothing is kept
                        raise found
                    if not pictures.skip_unreadable:
                        raise _with_way_out(found)
                    skipped.append(str(found).splitlines()[0])
                else:
                    if shape is None:
                        shape, first = found.shape, entry
                        _check_room(folder, total * found.nbytes)
                    if found.shape != shape:
                        raise other_size(pictures.folder, entry, found.shape, first, shape)
                    file.write(found.data)
                    labels.append(entry.label)
                done += 1
                if on_progress is not None and (done % _CHUNK == 0 or done == total):
                    on_progress(pictures.name, done, total)
            _sync(file)
        _check_left(pictures, labels, split)
        assert shape is not None, "each class has a picture"
        shapes |= {f"{split}_inputs": [len(labels), *shape], f"{split}_labels": [len(labels)]}
        with (folder / f"{split}_labels.bin").open("wb") as file:
            file.write(np.array(labels, dtype=np.int64).data)
            _sync(file)
    return {"shapes": shapes, "skipped": skipped}


def decoded(
    folder: Path, entries: Sequence[Entry], image_size: int | None
) -> Generator[tuple[Entry, Picture | DataError], None, None]:
    """Yield each entry below a folder with its picture, or with what is wrong with it; in order, decoded ahead."""
    from PIL import Image  # a tenth of a second: not for those who have everything decoded

    from maskcl.data.pictures import decode

    def work(chunk: Sequence[Entry]) -> list[Picture | DataError]:
        found: list[Picture | DataError] = []
        for entry in chunk:
            try:
                found.append(decode(folder / entry.path, image_size))
            except DataError as error:
                found.append(error)
        return found

    threads = 2 * (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    waiting: deque[tuple[Sequence[Entry], Future[list[Picture | DataError]]]] = deque()
    # Filters are the process's, not a thread's: set here, they hold for the decoding threads.
    with warnings.catch_warnings(), ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        warnings.simplefilter("ignore")  # Pillow's remarks on files that it can read all the same
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            for start in range(0, len(entries), _CHUNK):
                chunk = entries[start : start + _CHUNK]
                waiting.append((chunk, pool.submit(work, chunk)))
                if len(waiting) > 2 * threads:
                    chunk, future = waiting.popleft()
                    yield from zip(chunk, future.result(), strict=True)
            while waiting:
                chunk, future = waiting.popleft()
                yield from zip(chunk, future.result(), strict=True)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _with_way_out(error: DataError) -> DataError:
    text = str(error)
    return error if "\nhint: " in text else DataError(f"{text}\nhint: skip_unreadable leaves such pictures out")


def _check_room(folder: Path, needed: int) -> None:
    """Say before decoding for minutes that it cannot end well; raised as the system would."""
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {needed / 1e6:.0f} MB are needed")


def other_size(folder: Path, entry: Entry, found: tuple[int, ...], first: Entry, shape: tuple[int, ...]) -> DataError:
    """What is said of a picture whose size is not that of the first one."""

    def size(shape: tuple[int, ...]) -> str:
        return f"{shape[2]}x{shape[1]}"

    must = f"must have the size of {first.path}, {size(shape)}"
    hint = "image_size = 32 brings all pictures to one size"
    return DataError(message(str(folder / entry.path), must, size(found), hint=hint))


def _check_left(pictures: PictureSet, labels: list[int], split: str) -> None:
    """Refuse a class of which all pictures were left out."""
    gone = sorted(set(range(len(pictures.classes))) - set(labels))
    if gone:
        kind = "training" if split == "train" else split
        must = f"must have usable {kind} pictures of each class, and has none of {pictures.classes[gone[0]]!r}"
        raise DataError(message(str(pictures.folder), must))


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
