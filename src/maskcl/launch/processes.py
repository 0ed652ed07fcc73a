"""Runs in several processes of this machine, each with its share of the cores: one that dies takes nothing with it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict

from maskcl.engine import Checkpoints
from maskcl.errors import counted
from maskcl.experiment import Planned
from maskcl.experiment.in_process import checkpoints_of
from maskcl.experiment.sharing import Share
from maskcl.launch.child import Child, how
from maskcl.launch.pieces import pieces
from maskcl.launch.worker import Recipe

__all__ = ["Processes"]

TRIES = 2
"""How often a piece is begun whose process dies; what it has written down by then is not made again."""


class Processes:
    """Makes runs in processes; a `Launcher`.

    Args:
        jobs: How many.
        recipe: What they plan from.
        tell: Told in sentences of what is no result.
    """

    def __init__(self, jobs: int, recipe: Recipe, *, tell: Callable[[str], None] | None = None) -> None:
        self._jobs, self._recipe, self._tell = jobs, recipe, tell or (lambda text: None)

    def __call__(self, runs: Sequence[Planned], share: Share) -> None:
        """Train them; as `Launcher` has it."""
        there: Checkpoints | None = checkpoints_of(runs[0])
        work = deque(pieces(runs, self._jobs, threads=self._recipe.threads, checkpoints=there))
        said, lock, errors = set[str](), threading.Lock(), list[BaseException]()
        living = set[Child]()

        def tell(text: str) -> None:
            with lock:
                if text not in said:
                    said.add(text)
                    self._tell(text)

        def employ() -> None:
            worker = _Worker(self._recipe, share, tell, living)
            try:
                while work and not share.stopping() and not errors:
                    try:
                        piece = work.popleft()
                    except IndexError:  # another one was faster
                        break
                    worker = worker.make(share.take(piece))
            except BaseException as error:
                errors.append(error)
            finally:
                worker.leave()

        crew = [threading.Thread(target=employ) for _ in range(min(self._jobs, len(work)))]
        try:
            for thread in crew:
                thread.start()
            for thread in crew:
                thread.join()
        except KeyboardInterrupt as error:  # at the second Ctrl-C nobody waits for states to be saved
            errors.append(error)
            for child in list(living):
                child.process.kill()
            raise
        if errors:
            raise errors[0]


class _Worker:
    """One process, started when there is work for it.

    Args:
        recipe: What it plans from.
        share: Told what becomes of runs.
        tell: Told in sentences of what is no result.
        living: Has all processes that were started and have not been left.
    """

    def __init__(self, recipe: Recipe, share: Share, tell: Callable[[str], None], living: set[Child]) -> None:
        self._recipe, self._share, self._tell, self._living = recipe, share, tell, living
        self._child: Child | None = None

    def make(self, runs: Sequence[Planned]) -> _Worker:
        """Have runs made; returns who makes the next ones: another one, where this one has died."""
        worker = self
        for last in (False,) * (TRIES - 1) + (True,):
            left = self._share.still(runs)
            if not left or self._share.stopping() or worker._ended_well(left):
                return worker
            status = worker.leave()
            of = f"a process that made {counted(len(left), 'run')} {how(status)}"
            if last:
                self._share.failed(self._share.still(left), f"{of}, {TRIES} times")
            elif not self._share.stopping():
                self._tell(f"{of}; another one goes on from where it stood")
            worker = _Worker(self._recipe, self._share, self._tell, self._living)
        return worker

    def leave(self) -> int | None:
        """End the process, if there is one; returns its exit status."""
        if self._child is None:
            return None
        child, self._child = self._child, None
        status = child.leave()
        self._living.discard(child)
        return status

    def _ended_well(self, runs: Sequence[Planned]) -> bool:
        """Have runs made; returns whether the process lived to say that it is done."""
        if self._child is None:
            self._child = Child(asdict(self._recipe), {"OMP_NUM_THREADS": str(self._recipe.threads)})
            self._living.add(self._child)
        return self._child.make(runs, self._share, self._tell)
