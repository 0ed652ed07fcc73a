"""Damage to bytes, and to tables within them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import Any

from fuzzing.odd import odd_value

__all__ = ["HEADS", "damaged", "damaged_table"]

HEADS = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0\0\x10JFIF\0", b"GIF89a", b"BM", b"II*\0", b"MM\0*",
    b"RIFF\0\0\0\0WEBP", b"P6\n9999999 9999999\n255\n", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08\0",
    b"\x93NUMPY\x01\0", b"\0\0\x08\x03", b"\x80\x04\x95", b"\x80\x02}q", b"{", b"[", b"#!/bin/sh\n", b"\xef\xbb\xbf",
    b"\xff\xfe", b"%PDF-1.4", b"\x7fELF", b"",
)  # fmt: skip
"""How files of other kinds begin."""

Bytes = Callable[[bytearray, Random], None]


def damaged(content: bytes, chance: Random, times: int | None = None) -> bytes:
    """Return bytes with one to four damages; rarely as they were.

    Args:
        content: Any bytes.
        chance: Source of chance.
        times: How many; None: chance says.
    """
    found = bytearray(content)
    for _ in range(chance.choice((0, 1, 1, 1, 1, 2, 4)) if times is None else times):
        chance.choice(_WAYS)(found, chance)
    return bytes(found)


def _flip(found: bytearray, chance: Random) -> None:
    """Bits that are others; more of them where files have their headers."""
    for _ in range(chance.choice((1, 1, 2, 8)) if found else 0):
        found[_place(found, chance)] ^= 1 << chance.randrange(8)


def _cut(found: bytearray, chance: Random) -> None:
    del found[_place(found, chance) :]


def _grown(found: bytearray, chance: Random) -> None:
    at = _place(found, chance)
    found[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice((1, 4, 100))))


def _lost(found: bytearray, chance: Random) -> None:
    at = _place(found, chance)
    del found[at : at + chance.choice((1, 4, 50))]


def _twice(found: bytearray, chance: Random) -> None:
    at = _place(found, chance)
    found[at:at] = found[at : at + chance.choice((1, 8, 100))]


def _run(found: bytearray, chance: Random) -> None:
    """A run of one byte, as a disk that loses a block leaves it."""
    at, count = _place(found, chance), chance.choice((4, 16, 200))
    found[at : at + count] = bytes([chance.choice((0, 255, 32))]) * min(count, len(found) - at)


def _huge(found: bytearray, chance: Random) -> None:
    """A size in the header that no file has."""
    at = chance.randrange(0, 40, 2)
    size = chance.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x40", b"\xff" * 8))
    found[at : at + len(size)] = size


def _headed(found: bytearray, chance: Random) -> None:
    """The head of another kind of file."""
    head = chance.choice(HEADS)
    found[: chance.choice((0, len(head)))] = head


def _ended(found: bytearray, chance: Random) -> None:
    """Bytes after its end."""
    found += chance.choice((b"\0", b"\n", b"x" * 1000, bytes(found[:64])))


def _place(found: bytearray, chance: Random) -> int:
    if not found:
        return 0
    return chance.randrange(min(64, len(found))) if chance.random() < 0.4 else chance.randrange(len(found))


_WAYS: tuple[Bytes, ...] = (_flip, _flip, _flip, _cut, _cut, _grown, _lost, _twice, _run, _huge, _huge, _headed, _ended)


def damaged_table(table: Any, chance: Random) -> Any:
    """Return a JSON value in which one to three places are others, gone, or more; the original stays."""
    found = copy.deepcopy(table)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if not isinstance(found, (dict, list)) or not found or chance.random() < 0.05:
            return odd_value(chance)
        inner, key = _inside(found, chance)
        way = chance.choice(("odd", "odd", "gone", "more", "twice"))
        if way == "gone":
            del inner[key]
        elif way == "more" and isinstance(inner, dict):
            inner[chance.choice(("x", "", "name", "é"))] = odd_value(chance)
        elif way == "twice" and isinstance(inner, list):
            inner.insert(key, copy.deepcopy(inner[key]))
        else:
            inner[key] = odd_value(chance)
    return found


def _inside(tree: Any, chance: Random) -> tuple[Any, Any]:
    """A table or list within a value, at any depth, and one of its keys."""
    while True:
        key = chance.choice(list(tree) if isinstance(tree, dict) else range(len(tree)))
        if not isinstance(tree[key], (dict, list)) or not tree[key] or chance.random() < 0.25:
            return tree, key
        tree = tree[key]
