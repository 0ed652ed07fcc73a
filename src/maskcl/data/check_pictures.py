"""Look at every picture of a set, whatever was decoded before."""

from __future__ import annotations

from contextlib import closing

from maskcl.data.build import decoded
from maskcl.data.picture_set import PictureSet
from maskcl.data.source import FileState, Progress
from maskcl.errors import counted, message

__all__ = ["check_pictures"]


def check_pictures(pictures: PictureSet, on_progress: Progress | None = None) -> list[FileState]:
    """Decode all pictures, and keep none.

    Args:
        pictures: Which.
        on_progress: Called as (name, pictures done, pictures in all).

    Returns:
        The pictures that cannot be used, or are of another size than the first; one line for all, if none.
    """
    wrong, done, shape = [], 0, None
    total = len(pictures.train) + len(pictures.test)
    with closing(decoded(pictures.folder, (*pictures.train, *pictures.test), pictures.image_size)) as pairs:
        for entry, found in pairs:
            path, done = pictures.folder / entry.path, done + 1
            if isinstance(found, Exception):
                wrong.append(FileState(entry.path, path, "damaged", str(found)))
            else:
                shape = shape or found.shape
                if found.shape != shape:
                    must = f"must have the size of the others, {shape[2]}x{shape[1]}"
                    problem = message(str(path), must, f"{found.shape[2]}x{found.shape[1]}")
                    wrong.append(FileState(entry.path, path, "damaged", problem))
            if on_progress is not None and (done % 64 == 0 or done == total):
                on_progress(pictures.name, done, total)
    return wrong or [FileState(counted(total, "picture"), pictures.folder, "intact")]
