"""--jobs, --devices, --shard and --launcher, read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from maskcl.experiment.in_process import Launcher
    from maskcl.launch import Recipe

__all__ = ["check_alone", "check_launcher", "cores_each", "find_launcher", "parse_shard"]

LAUNCHERS = ("local", "ray")

MOST = 1000
"""Processes, or shards: more is a slip of the keyboard."""


def cores_each(jobs: int, devices: int = 1) -> int:
    """Return the cores that each of some processes gets, 1 or more; there are jobs of them, or devices.

    Raises:
        ConfigError: There are too many of them, or none.
    """
    from maskcl.errors import check
    from maskcl.machine import usable_cores

    check(1 <= jobs <= MOST, "--jobs", f"must be 1 to {MOST}", jobs)
    check(1 <= devices <= MOST, "--devices", f"must be 1 to {MOST}", devices)
    must = "must be left out with --devices, which makes runs one by one"
    check(jobs == 1 or devices == 1, "--jobs", must, jobs)
    return max(1, usable_cores() // max(jobs, devices))


def check_alone(devices: int, launcher: str, executor: str) -> None:
    """Refuse what cannot be together with several devices; raises ConfigError."""
    from maskcl.errors import check

    if devices > 1:
        check(launcher == "local", "--launcher", "must be local with --devices, which are of one machine", launcher)
        check(executor != "stack", "--executor", "must be auto or loop with --devices", executor)


def check_launcher(name: str) -> None:
    """Refuse a launcher that there is not; raises ConfigError."""
    from maskcl.errors import check_choice

    check_choice(name, "--launcher", LAUNCHERS)


def find_launcher(
    name: str, jobs: int, devices: int, recipe: Recipe, *, tell: Callable[[str], None]
) -> Launcher | None:
    """Return what has runs trained, told whom to tell; None: this process does it."""
    from maskcl.launch import OnDevices, OnRay, Processes

    if devices > 1:
        return OnDevices(devices, recipe, tell=tell)
    if name == "ray":
        return OnRay(recipe, tell=tell)
    return Processes(jobs, recipe, tell=tell) if jobs > 1 else None


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
