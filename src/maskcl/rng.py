"""Random numbers as functions of a seed, a purpose and counters.

Nothing depends on how many numbers were drawn before, on the executor, or on which runs are grouped
together: `generator(seed, "draws", task)` is the same stream wherever and whenever it is asked for.
"""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["derive", "generator"]


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


def _key(seed: int, purpose: str, counters: tuple[int, ...]) -> int:
    text = "/".join([str(int(seed)), purpose, *(str(int(counter)) for counter in counters)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
