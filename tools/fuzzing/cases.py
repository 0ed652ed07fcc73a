"""A case by its seed and number: which kind it is, and what became of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from fuzzing.configurations import bytes_of_a_file, configuration
from fuzzing.files import KINDS, damaged_file
from fuzzing.judging import Verdict, limited

__all__ = ["SHARES", "kind_of", "verdict"]

CONFIGURATION, TEXT = "configuration", "bytes of a configuration"
SHARES = {CONFIGURATION: 0.45, TEXT: 0.05}
"""Shares of kinds of cases; files have the rest, each kind as much as the others."""


def kind_of(seed: int, number: int) -> str:
    """Return the kind of a case."""
    draw = Random(f"kind {seed} {number}")
    kind = draw.random()
    if kind < SHARES[CONFIGURATION]:
        return CONFIGURATION
    return TEXT if kind < SHARES[CONFIGURATION] + SHARES[TEXT] else draw.choice(list(KINDS))


def verdict(seed: int, number: int) -> Verdict:
    """Try a case, in a folder of its own that is gone afterwards."""
    kind, chance = kind_of(seed, number), Random(f"{seed} {number}")
    own = {CONFIGURATION: configuration, TEXT: bytes_of_a_file}.get(kind) or partial(damaged_file, kind=kind)
    with TemporaryDirectory(prefix="maskcl-fuzz-") as place, limited():
        return own(chance, Path(place))
