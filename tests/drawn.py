"""Pictures for tests: drawn, not photographed."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from maskcl.data.tiny_imagenet import TINY_IMAGENET, TinyImageNet


def pixels(seed: int, height: int = 8, width: int = 8) -> np.ndarray:
    """Red, green and blue, uint8 [height, width, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def draw(path: Path, seed: int = 0, height: int = 8, width: int = 8) -> np.ndarray:
    """Write a picture without loss; returns its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = pixels(seed, height, width)
    Image.fromarray(drawn).save(path)
    return drawn


def draw_folder(
    folder: Path, classes: tuple[str, ...] = ("cat", "dog"), splits: tuple[str, ...] = ("train", "test"), each: int = 3
) -> Path:
    """Write `each` pictures of each class into each split."""
    seed = 0
    for split in splits:
        for name in classes:
            for i in range(each):
                draw(folder / split / name / f"{i}.png", seed)
                seed += 1
    return folder


def png(width: int, height: int, *, bits: int = 8, kind: int = 2, data: bytes | None = None) -> bytes:
    """Return a PNG by hand, of what Pillow would not write: kind 2 is RGB."""

    def chunk(name: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + crc

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    row = b"\0" + bytes(width * 3 * bits // 8)
    packed = zlib.compress(row * height) if data is None else data
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


SMALL_TINY = TinyImageNet("tiny_imagenet", TINY_IMAGENET.archive, train_each=3, val_each=2)
WNIDS = ("n02", "n01", "n03")


def draw_tiny(root: Path, wnids: tuple[str, ...] = WNIDS, source: TinyImageNet = SMALL_TINY) -> Path:
    """Write Tiny-ImageNet's layout with a few 8x8 JPEGs a class; the first of each class is grey."""
    folder, lines = root / source.archive.folder, []
    (folder / "val" / "images").mkdir(parents=True)
    for c, wnid in enumerate(wnids):
        images = folder / "train" / wnid / "images"
        images.mkdir(parents=True)
        (images.parent / f"{wnid}_boxes.txt").write_text("boxes that nobody reads\n")
        for i in range(source.train_each):
            drawn = Image.fromarray(np.full((8, 8, 3), 20 * c + 5 * i, np.uint8))
            (drawn.convert("L") if i == 0 else drawn).save(images / f"{wnid}_{i}.JPEG", quality=100)
        for _ in range(source.val_each):
            name = f"val_{len(lines)}.JPEG"
            Image.fromarray(np.full((8, 8, 3), 200 + c, np.uint8)).save(folder / "val" / "images" / name, quality=100)
            lines.append(f"{name}\t{wnid}\t0\t0\t63\t63\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    (folder / "wnids.txt").write_text("\n".join(wnids) + "\n")
    (folder / "words.txt").write_text("".join(f"{wnid}\tthing\n" for wnid in wnids))
    return folder
