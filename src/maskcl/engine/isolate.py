"""Which runs of a population an error is of: those are left out, and the others are made without them.

    16 fail -> 8 | 8 -> of a half that fails its halves, 4 | 4 -> ... -> the one run that fails alone

One run that fails costs at most two populations' work more than none: of one part at each size both halves are made.
An error of all 16 takes 31 attempts and five times the work. To give up sooner would list runs as failed that were
never tried alone, with an error that may be another's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maskcl.engine.groups import even_parts

__all__ = ["isolate"]


def isolate(
    runs: Sequence[int],
    attempt: Callable[[Sequence[int]], tuple[Sequence[int], Exception | None]],
    failed: Callable[[Sequence[int], Exception], None],
) -> None:
    """Make runs together; where that fails, make those that can be made.

    Args:
        runs: Places of runs that train together, one or more.
        attempt: Makes some of them; returns those that an error has left without an outcome, and the error.
        failed: Told runs that cannot be made, and the error.
    """
    waiting = [list(runs)]
    while waiting:
        left, error = attempt(waiting.pop())
        if error is None or not left:  # without any left it came after the last outcome
            continue
        if len(left) == 1:
            failed(left, error)
        else:
            waiting += reversed(even_parts(list(left), -(-len(left) // 2)))
        del error  # its traceback holds the population, for which and for the next there may be no room
