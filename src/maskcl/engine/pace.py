"""When a checkpoint is due.

every = k       k steps after the last one, and at task ends
every = 0       never
every = None    max(60 s, 100 times what the last one took) after the last one; at the end of a task of a run that has
lasted 60 s, 100 times what the last one took after it
"""

from __future__ import annotations

import time

__all__ = ["MINUTE", "SHARE", "Pace"]

MINUTE = 60.0
"""Seconds of work that are lost at most, where nothing else is said."""
SHARE = 100
"""Writing takes no more than this part of the time."""


class Pace:
    """Knows when the last checkpoint was written, and what it cost.

    Args:
        every: `training.checkpoint_every`.
    """

    def __init__(self, every: int | None) -> None:
        self._every, self._steps, self._cost = every, 0, 0.0
        self._began = self._last = time.perf_counter()

    def due(self, steps: int) -> bool:
        """Whether one is due within a task, `steps` after this was last asked."""
        self._steps += steps
        if self._every is not None:
            return 0 < self._every <= self._steps
        return time.perf_counter() - self._last >= max(MINUTE, SHARE * self._cost)

    def due_at_end(self) -> bool:
        """Whether one is due at the end of a task."""
        if self._every is not None:
            return self._every > 0
        now = time.perf_counter()
        return now - self._began >= MINUTE and now - self._last >= SHARE * self._cost

    def written(self, seconds: float) -> None:
        """One has been written, which took some seconds."""
        self._steps, self._cost, self._last = 0, seconds, time.perf_counter()
