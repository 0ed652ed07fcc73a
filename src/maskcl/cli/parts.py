"""--jobs and --shard, read."""

from __future__ import annotations

import re

__all__ = ["cores_each", "parse_shard"]

MOST = 1000
"""Processes, or shards: more is a slip of the keyboard."""


def cores_each(jobs: int) -> int:
    """Return the cores that each of some processes gets, 1 or more.

    Raises:
        ConfigError: There are too many of them, or none.
    """
    from maskcl.errors import check
    from maskcl.machine import usable_cores

    check(1 <= jobs <= MOST, "--jobs", f"must be 1 to {MOST}", jobs)
    return max(1, usable_cores() // jobs)


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """Return the 0-based number of a shard, and how many there are.

    Raises:
        ConfigError: It is none.

    >>> parse_shard("2/8")
    (1, 8)
    """
    from maskcl.errors import check

    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
    must = f"must be I/N, as 1/4, with I from 1 to N and N up to {MOST}"
    check(match is not None, "--shard", must, text)
    assert match is not None
    index, count = int(match[1]), int(match[2])
    check(1 <= index <= count <= MOST, "--shard", must, text)
    return index - 1, count
