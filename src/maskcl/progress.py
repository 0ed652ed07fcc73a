"""Progress of two kinds: what was made now, and what had been made before, which says nothing of how fast it goes."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Resumed", "Tally"]


class Resumed(float):
    """Progress, in runs, that was found and not made: steps that a checkpoint holds, results that are there.

    Who adds up progress takes it as any other number; who reckons the time left leaves it out of the rate.

    >>> sum([Resumed(0.5), 0.25])
    0.75
    """


class Tally:
    """Passes progress on, and takes back what is lost: what was found is found again, what was made is made again.

    >>> told = []
    >>> tally = Tally(told.append)
    >>> tally(Resumed(0.5))
    >>> tally(0.75)
    >>> tally.take_back(1)
    >>> told
    [0.5, 0.75, -0.25, 0.0]

    Args:
        tell: Told progress, in runs.
    """

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell, self._made, self._found = tell, 0.0, 0.0

    def __call__(self, runs: float) -> None:
        """So much more is done."""
        if isinstance(runs, Resumed):
            self._found += runs
        else:
            self._made += runs
        self._tell(runs)

    def take_back(self, kept: int) -> None:
        """All is lost but so many runs."""
        again = min(self._found, max(0.0, self._made + self._found - kept))
        self._tell(Resumed(-again))
        self._tell(kept - self._made - self._found + again)
