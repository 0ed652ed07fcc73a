"""The runs of a plan that are left to do, shared with other processes that work in the same folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from maskcl.claims import Claims
from maskcl.errors import counted
from maskcl.experiment.planning import Plan, Planned

__all__ = ["Failure", "Share"]

PATIENCE = 0.5
"""Seconds between two looks at what other processes have done."""


@dataclass(frozen=True)
class Failure:
    """A run that an error has ended.

    Attributes:
        label: Its setting.
        seed: Its seed.
        reason: One sentence.
    """

    label: str
    seed: int
    reason: str


class Share:
    """What is left of a plan, and what became of it.

    Args:
        planned: The plan.
        claims: Where other processes see what this one does; None: there are none.
        tell: Told in a sentence of what is waited for; None: nobody is.
        on_progress: Told how much more is done, in runs; None: nobody is.
        stopping: Whether it was asked to stop.
    """

    def __init__(
        self,
        planned: Plan,
        claims: Claims | None,
        *,
        tell: Callable[[str], None] | None = None,
        on_progress: Callable[[float], None] | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._runs, self._claims, self.stopping = list(planned.pending), claims, stopping
        self._tell, self._on_progress = tell or (lambda text: None), on_progress or (lambda runs: None)
        self.found: dict[int, dict[str, Any]] = {}
        self.failures: dict[int, Failure] = {}
        self._lock = Lock()

    @property
    def left(self) -> list[Planned]:
        """Runs that have neither a result nor failed, as far as is known here."""
        return self.still(self._runs)

    def still(self, runs: Iterable[Planned]) -> list[Planned]:
        """Return those of some runs that are left."""
        return [run for run in runs if id(run) not in self.found and id(run) not in self.failures]

    def take(self, runs: Iterable[Planned]) -> list[Planned]:
        """Claim runs; return those that are to be made here: no other process has them, or has finished them."""
        runs = list(runs)
        if self._claims is None:
            return runs
        own = set(self._claims.take([run.key for run in runs]))
        return [run for run in runs if run.key in own and not self._look(run)]

    def progress(self, runs: float) -> None:
        """So much more is done, in runs."""
        with self._lock:
            self._on_progress(runs)

    def result(self, run: Planned, document: dict[str, Any]) -> None:
        """A run has ended, and its file is written."""
        self.found[id(run)] = document

    def failed(self, runs: Sequence[Planned], reason: str) -> None:
        """An error has ended runs."""
        for run in runs:
            self.failures[id(run)] = Failure(run.label, run.seed, reason)

    def wait(self) -> None:
        """Wait until another process has finished one of the runs that are left, or has given one up."""
        if self._claims is None:
            return
        said = None
        while left := self.left:
            if self.stopping() or any(self._look(run) for run in left):
                return
            holders = self._claims.held_by_others([run.key for run in left])
            if sum(holders.values()) < len(left):
                return
            if holders != said:
                of = ", ".join(f"{who} ({counted(runs, 'run')})" for who, runs in holders.items())
                self._tell(f"waits for {of}, in the same folder; what it leaves behind is taken over")
                said = holders
            time.sleep(PATIENCE)

    def _look(self, run: Planned) -> bool:
        """Whether another process has finished a run meanwhile; then its result is taken."""
        document = run.result()
        if document is None:
            return False
        self.result(run, document)
        self.progress(1.0)
        return True
