"""Progress of two kinds: what was made now, and what had been made before, which says nothing of how fast it goes."""

from __future__ import annotations

__all__ = ["Resumed"]


class Resumed(float):
    """Progress, in runs, that was found and not made: steps that a checkpoint holds, results that are there.

    Who adds up progress takes it as any other number; who reckons the time left leaves it out of the rate.

    >>> sum([Resumed(0.5), 0.25])
    0.75
    """
