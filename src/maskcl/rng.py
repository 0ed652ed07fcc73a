"""Random numbers as functions of a seed, a purpose and counters.

Nothing depends on how many numbers were drawn before, on the executor, or on which runs are grouped
together: `generator(seed, "draws", task)` is the same stream wherever and whenever it is asked for.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

__all__ = ["Steps", "derive", "generator"]


def derive(seed: int, purpose: str, *counters: int) -> int:
    """Return a 63-bit integer that depends on all arguments, e.g. to seed another library.

    >>> derive(0, "initialisation") == derive(0, "initialisation")
    True
    >>> derive(0, "stream", 1) == derive(0, "stream", 2)
    False
    """
    return _key(seed, purpose, counters) >> 65


def generator(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """Return a NumPy generator (Philox) keyed by a hash of seed, purpose and counters.

    Args:
        seed: Any integer.
        purpose: What the numbers are for, e.g. "stream" or "draws"; different purposes are independent.
        *counters: Further integers, e.g. the task.
    """
    return np.random.Generator(np.random.Philox(key=_key(seed, purpose, counters)))


class Steps:
    """The generators of one purpose at steps 0, 1, 2, ...: one Philox whose counter is set, for loops of many steps.

    A generator of its own for each step would cost 24 µs, hash and construction; this costs 2.

    Args:
        seed: Any integer.
        purpose: What the numbers are for.
        *counters: Further integers.

    >>> steps = Steps(0, "draws")
    >>> first = steps.at(7).random()
    >>> steps.at(8).random() == first, steps.at(7).random() == first
    (False, True)
    """

    def __init__(self, seed: int, purpose: str, *counters: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=_key(seed, purpose, counters)))
        self._state: Any = self._generator.bit_generator.state

    def at(self, step: int) -> np.random.Generator:
        """Return the generator of a step; it is moved by the next call."""
        self._state["state"]["counter"][1] = step  # 2^64 blocks of numbers lie between two steps
        self._generator.bit_generator.state = self._state
        return self._generator


def _key(seed: int, purpose: str, counters: tuple[int, ...]) -> int:
    text = "/".join([str(int(seed)), purpose, *(str(int(counter)) for counter in counters)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
