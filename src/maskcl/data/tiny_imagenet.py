"""Tiny-ImageNet in its publisher's layout; its val folder, which alone has labels, judges.

wnids.txt   train/WNID/images/*.JPEG   val/images/*.JPEG   val/val_annotations.txt (file, WNID, four numbers a line)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maskcl.data.base import Dataset
from maskcl.data.cache import load_pictures
from maskcl.data.picture_set import Entry, PictureSet, entry_of, files_below
from maskcl.data.publisher import Archive
from maskcl.data.source import DownloadedFile, FileState, Presence, Progress, data_root, how_to_get, is_file, is_folder
from maskcl.errors import DataError, MissingDataError, check, message

__all__ = ["TINY_IMAGENET", "TinyImageNet"]


@dataclass(frozen=True, eq=False)
class TinyImageNet:
    """Where the files of Tiny-ImageNet lie, and how many there must be.

    Its classes are those of wnids.txt, in the order of their names: a list that is shorter than the publisher's makes a
    smaller set, in which the classes that it keeps come in the same order.

    Attributes:
        name: Of the data set.
        archive: The publisher's; its folder is looked for below the root, or is the root.
        train_each: Training pictures of each class.
        val_each: Labelled pictures of each class to judge by.
    """

    name: str
    archive: Archive
    train_each: int
    val_each: int

    def says_it_all(self, root: str | Path | None = None) -> bool:
        """No: wnids.txt may list fewer classes than the publisher's."""
        return False

    def load(self, root: str | Path | None = None, *, on_progress: Progress | None = None) -> Dataset:
        """Load images as uint8 [N, 3, 64, 64], mapped from the cache of decoded pictures; grey ones become coloured.

        Raises:
            MissingDataError: A file or folder is not there.
            DataError: Labels that cannot be read, a class with more or fewer pictures, a picture that is broken.
        """
        return load_pictures(self.find(root), root, on_progress=on_progress)

    def find(self, root: str | Path | None = None) -> PictureSet:
        """Return which pictures there are; raises as `load` does."""
        folder = self._folder(root)
        wnids = sorted(self._wnids(folder, root))
        labels = {wnid: label for label, wnid in enumerate(wnids)}
        train: list[Entry] = []
        for wnid, label in labels.items():
            images = folder / "train" / wnid / "images"
            if not is_folder(images):
                raise self._incomplete(f"must have {images}, for wnids.txt lists {wnid}", root)
            train += self._counted(files_below(images, label, folder), self.train_each, f"train/{wnid}", root)
        test = self._val(folder, labels, root)
        for wnid, label in labels.items():
            self._counted([entry for entry in test if entry.label == label], self.val_each, f"val for {wnid}", root)
        return PictureSet(self.name, folder, tuple(wnids), tuple(train), tuple(test))

    def presence(self, root: str | Path | None = None) -> tuple[Presence, Path]:
        """Say whether all files are there, by names and counts."""
        folder = self._folder(root)
        if not is_file(folder / "wnids.txt") and not is_folder(folder / "train"):
            return "missing", data_root(root) / self.archive.folder
        try:
            pictures = self.find(root)
        except DataError:
            return "incomplete", folder
        whole = all(entry.num_bytes > 0 for entry in (*pictures.train, *pictures.test))
        return "present" if whole else "incomplete", folder

    def sizes(self, root: str | Path | None = None) -> tuple[int, int, int]:
        """Return how many classes, training pictures and test pictures there are, where all files are there."""
        classes = len(self._wnids(self._folder(root), root))
        return classes, classes * self.train_each, classes * self.val_each

    def verify(self, root: str | Path | None = None, *, on_progress: Progress | None = None) -> list[FileState]:
        """Decode every picture; returns what is wrong, or one line for all that is right."""
        from maskcl.data.check_pictures import check_pictures

        try:
            return check_pictures(self.find(root), on_progress)
        except MissingDataError as error:
            return [FileState(self.archive.folder, None, "missing", str(error))]
        except DataError as error:
            return [FileState(self.archive.folder, data_root(root), "damaged", str(error))]

    def download(
        self, root: str | Path | None = None, *, mirror: str | None = None, on_progress: Progress | None = None
    ) -> list[DownloadedFile]:
        """Download and unpack the archive, unless all files are there; see `download_archive`."""
        from maskcl.data.archive import download_archive  # urllib costs more to import than the rest of this package

        state, folder = self.presence(root)
        if state == "present":
            pictures = self.find(root)
            size = sum(entry.num_bytes for entry in (*pictures.train, *pictures.test))
            return [DownloadedFile(self.archive.folder, folder, False, size)]
        return [download_archive(self.archive, data_root(root), mirror=mirror, on_progress=on_progress)]

    def _folder(self, root: str | Path | None) -> Path:
        """The folder of the archive below the root, or the root where that is it."""
        base = data_root(root)
        inside = not is_folder(base / self.archive.folder) and is_file(base / "wnids.txt")
        return base if inside else base / self.archive.folder

    def _wnids(self, folder: Path, root: str | Path | None) -> list[str]:
        wnids = [line.strip() for line in self._lines(folder / "wnids.txt", root) if line.strip()]
        names = all(wnid.replace("_", "").isalnum() for wnid in wnids) and len(set(wnids)) == len(wnids)
        check(names, str(folder / "wnids.txt"), "must list each class once, a name a line", error=DataError)
        check(len(wnids) > 1, str(folder / "wnids.txt"), "must list two classes or more", len(wnids), error=DataError)
        return wnids

    def _val(self, folder: Path, labels: dict[str, int], root: str | Path | None) -> list[Entry]:
        """The labelled pictures of val; those of classes that wnids.txt leaves out are left out."""
        annotations, images = folder / "val" / "val_annotations.txt", folder / "val" / "images"
        found, named = [], set()
        for number, line in enumerate(self._lines(annotations, root), 1):
            if not line.strip():
                continue
            file, wnid, *_ = [*line.split("\t"), ""]
            good = bool(file and wnid.strip()) and Path(file).name == file and file not in named
            must = (
                f"must have a picture's name and its class on each line, each picture once, and line {number} has not"
            )
            check(good, str(annotations), must, line[:80], error=DataError)
            named.add(file)
            if wnid.strip() in labels:
                if not is_file(images / file):
                    raise self._incomplete(f"must have {images / file}, which val_annotations.txt names", root)
                found.append(entry_of(images / file, labels[wnid.strip()], folder))
        odd = sorted(entry.path for entry in files_below(images, 0, images) if entry.path not in named)
        must = f"must name every picture in val/images, and lacks {odd[0] if odd else ''}"
        check(not odd, str(annotations), must, error=DataError)
        return sorted(found, key=lambda entry: (entry.label, entry.path))

    def _lines(self, path: Path, root: str | Path | None) -> list[str]:
        if not is_file(path):
            state = "" if is_folder(data_root(root)) else f"; {data_root(root)} is no folder"
            raise self._incomplete(f"must have the file {path}{state}", root)
        try:
            return path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise DataError(message(str(path), f"must be a readable file ({reason})")) from error

    def _counted(self, entries: list[Entry], each: int, where: str, root: str | Path | None) -> list[Entry]:
        if len(entries) != each:
            raise self._incomplete(f"must have {each} pictures in {where}, and has {len(entries)}", root)
        return entries

    def _incomplete(self, must: str, root: str | Path | None) -> MissingDataError:
        return MissingDataError(message(self.name, must, hint=how_to_get(self.name, root)))


TINY_IMAGENET = TinyImageNet(
    name="tiny_imagenet",
    archive=Archive(
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "90528d7ca1a48142e341f4ef8d21d0de",
        "tiny-imagenet-200",
    ),
    train_each=500,
    val_each=50,
)
