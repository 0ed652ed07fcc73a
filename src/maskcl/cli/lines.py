"""Progress where no bar can be drawn: a line now and then, with the time left."""

from __future__ import annotations

import time
from collections.abc import Callable

from maskcl.progress import Resumed

__all__ = ["LINE_EVERY", "Lines", "of_total"]

LINE_EVERY = 30.0
"""Seconds between two lines of progress where no bar can be drawn."""


class Lines:
    """Progress as lines, for a log.

    Args:
        name: Of the work.
        total: How much there is; None: nobody knows.
        unit: What is counted.
        note: Told each line.
    """

    def __init__(self, name: str, total: float | None, unit: str, note: Callable[[str], None]) -> None:
        self._name, self._total, self._unit, self._note = name, total, unit, note
        self._done, self._found, self._began, self._last = 0.0, 0.0, time.monotonic(), time.monotonic()

    def advance(self, amount: float) -> None:
        """So much more is done."""
        self._done += amount
        if isinstance(amount, Resumed):
            self._found += amount
        if time.monotonic() - self._last >= LINE_EVERY:
            self._last = time.monotonic()
            self._note(self._line())

    def end(self) -> None:
        """Everything is done."""
        if self._last != self._began or time.monotonic() - self._began >= LINE_EVERY:
            self._done = self._total or self._done
            self._note(self._line())

    def _line(self) -> str:
        passed = time.monotonic() - self._began
        left, made = "", self._done - self._found
        if self._total is not None and made > 0 and self._done < self._total:
            left = f", about {_span(passed * (self._total - self._done) / made)} left"
        return f"{self._name}: {of_total(self._done, self._total, self._unit)} in {_span(passed)}{left}"


def of_total(done: float, total: float | None, unit: str) -> str:
    """Say how much is done: of a run a part may be.

    >>> of_total(1.25, 4, "runs"), of_total(4, 4, "runs"), of_total(7, None, "rows")
    ('1.2/4 runs', '4/4 runs', '7 rows')
    """
    of = "" if total is None else f"/{total:.0f}"
    return f"{f'{done:.1f}'.removesuffix('.0')}{of} {unit}"


def _span(seconds: float) -> str:
    """A length of time as people say it.

    >>> _span(42), _span(130), _span(7300)
    ('42 s', '2 min', '2 h 2 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
