"""Which runs of a population an error is of: those are left out, and the others are made without them.

    16 fail -> 8 | 8 -> of a half that fails its halves, 4 | 4 -> ... -> the one run that fails alone

One run that fails costs at most two populations' work more than none: of one part at each size both halves are made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maskcl.engine.groups import even_parts

__all__ = ["MOST_ALONE", "isolate"]

MOST_ALONE = 4
"""Runs that fail alone before any other works; from then on a part that fails is given up whole.

An error of every run is a slip in the user's code, mostly, and who made it waits for the message. Of 16 runs it takes
11 attempts, which together train three times as many runs as the first; down to each run they were 31, and five times
as many. Parts that were not tried yet are tried all the same, each once: where one works, runs are told apart again.
"""


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
    waiting, alone, works = [list(runs)], 0, False
    while waiting:
        left, error = attempt(waiting.pop())
        if error is None:
            works = True
            continue
        if not left:  # it came after the last outcome
            continue
        alone += len(left) == 1
        if len(left) == 1 or (alone >= MOST_ALONE and not works):
            failed(left, error)
        else:
            waiting += reversed(even_parts(list(left), -(-len(left) // 2)))
        del error  # its traceback holds the population, for which and for the next there may be no room
