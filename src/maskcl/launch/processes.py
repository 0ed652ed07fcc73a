"""Runs in several processes of this machine, each with its share of the cores: one that dies takes nothing with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from maskcl.engine import Checkpoints
from maskcl.errors import ConfigError, counted
from maskcl.experiment import Planned
from maskcl.experiment.in_process import checkpoints_of
from maskcl.experiment.sharing import Share
from maskcl.launch.pieces import pieces
from maskcl.launch.worker import COMMAND, Recipe

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
        processes = set[subprocess.Popen[str]]()

        def tell(text: str) -> None:
            with lock:
                if text not in said:
                    said.add(text)
                    self._tell(text)

        def employ() -> None:
            worker = _Worker(self._recipe, share, tell, processes)
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
            for process in list(processes):
                process.kill()
            raise
        if errors:
            raise errors[0]


class _Worker:
    """One process, started when there is work for it; in its own session, so that Ctrl-C is told to it by us alone.

    Args:
        recipe: What it plans from.
        share: Told what becomes of runs.
        tell: Told in sentences of what is no result.
        living: Has all processes that were started and have not been left.
    """

    def __init__(
        self, recipe: Recipe, share: Share, tell: Callable[[str], None], living: set[subprocess.Popen[str]]
    ) -> None:
        self._recipe, self._share, self._tell, self._living = recipe, share, tell, living
        self._process: subprocess.Popen[str] | None = None

    def make(self, runs: Sequence[Planned]) -> _Worker:
        """Have runs made; returns who makes the next ones: another one, where this one has died."""
        worker = self
        for last in (False,) * (TRIES - 1) + (True,):
            left = self._share.still(runs)
            if not left or self._share.stopping() or worker._ended_well(left):
                return worker
            status = worker.leave()
            of = f"a process that made {counted(len(left), 'run')} {_how(status)}"
            if last:
                self._share.failed(self._share.still(left), f"{of}, {TRIES} times")
            elif not self._share.stopping():
                self._tell(f"{of}; another one goes on from where it stood")
            worker = _Worker(self._recipe, self._share, self._tell, self._living)
        return worker

    def leave(self) -> int | None:
        """End the process, if there is one; returns its exit status."""
        if self._process is None:
            return None
        process, self._process = self._process, None
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            with suppress(OSError):  # it may be gone
                stream.close()
        status = process.wait()
        self._living.discard(process)
        return status

    def _ended_well(self, runs: Sequence[Planned]) -> bool:
        """Have runs made; returns whether the process lived to say that it is done."""
        by_key, progress = {run.key: run for run in runs}, 0.0
        process = self._process
        if process is None:
            process = self._process = self._started()
            self._living.add(process)
            _say(process, asdict(self._recipe))
        _say(process, {"keys": list(by_key)})
        assert process.stdout is not None
        watch = threading.Event()
        threading.Thread(target=self._pass_on_stop, args=(process, watch), daemon=True).start()
        try:
            for line in process.stdout:
                if not line.endswith("\n"):  # it died as it spoke
                    break
                news: dict[str, Any] = json.loads(line)
                if "refused" in news:
                    raise ConfigError(news["refused"])
                if "done" in news:
                    return True
                if "said" in news:
                    self._tell(news["said"])
                elif "progress" in news:
                    progress += news["progress"]
                    self._share.progress(news["progress"])
                elif "result" in news:
                    run = by_key[news["result"]]
                    found = run.result()
                    if found is not None:
                        self._share.result(run, found)
                elif "failed" in news:
                    self._share.failed([by_key[key] for key in news["failed"]], news["reason"])
        finally:
            watch.set()
        done = len(runs) - len(self._share.still(runs))
        self._share.progress(done - progress)  # what was made and is lost is made again
        return False

    def _started(self) -> subprocess.Popen[str]:
        environment = os.environ | {"OMP_NUM_THREADS": str(self._recipe.threads)}
        return subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment,
            start_new_session=True,
        )  # fmt: skip

    def _pass_on_stop(self, process: subprocess.Popen[str], over: threading.Event) -> None:
        """Ask the process to stop once we were asked."""
        while not over.wait(0.1):
            if self._share.stopping():
                _say(process, {"stop": True})
                return


def _say(process: subprocess.Popen[str], what: dict[str, Any]) -> None:
    assert process.stdin is not None
    with suppress(OSError, ValueError):  # it may be gone, as its output will tell
        process.stdin.write(json.dumps(what) + "\n")
        process.stdin.flush()


def _how(status: int | None) -> str:
    """How a process ended."""
    if status is None or status >= 0:
        return f"ended with exit status {status}"
    name = signal.Signals(-status).name if -status in {s.value for s in signal.Signals} else str(-status)
    return f"was ended by {name}" + (" (out of memory?)" if -status == signal.SIGKILL else "")
