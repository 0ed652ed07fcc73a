"""A process that makes runs for this one: how it is started, spoken to, listened to and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from maskcl.errors import ConfigError
from maskcl.experiment import Planned
from maskcl.experiment.sharing import Share
from maskcl.launch.worker import COMMAND
from maskcl.progress import Resumed, Tally

__all__ = ["Child", "how"]


class Child:
    """One process, in its own session, so that Ctrl-C is told to it by us alone.

    Args:
        first: The line that it begins with (`maskcl.launch.worker`).
        environment: Variables that it has beside ours.
    """

    def __init__(self, first: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
            env=os.environ | environment, start_new_session=True,
        )  # fmt: skip
        self.said: list[dict[str, Any]] = []
        """What it told that was no news of runs."""
        self.say(first)

    def say(self, what: Mapping[str, Any]) -> None:
        """Tell it something, if it lives."""
        assert self.process.stdin is not None
        with suppress(OSError, ValueError):  # it may be gone, as its output will tell
            self.process.stdin.write(json.dumps(what) + "\n")
            self.process.stdin.flush()

    def make(self, runs: Sequence[Planned], share: Share, tell: Callable[[str], None]) -> bool:
        """Have runs made; returns whether it lived to say that it is done.

        Raises:
            ConfigError: What it refuses ends all.
        """
        by_key, told = {run.key: run for run in runs}, Tally(share.progress)
        self.say({"keys": list(by_key)})
        watch = threading.Event()
        threading.Thread(target=self._pass_on_stop, args=(share, watch), daemon=True).start()
        try:
            while (news := self.heard()) is not None:
                if "refused" in news:
                    raise ConfigError(news["refused"])
                if "done" in news:
                    return True
                if "said" in news:
                    tell(news["said"])
                elif "progress" in news:
                    told(news["progress"])
                elif "resumed" in news:
                    told(Resumed(news["resumed"]))
                elif "result" in news:
                    run = by_key[news["result"]]
                    found = run.result()
                    if found is not None:
                        share.result(run, found)
                elif "failed" in news:
                    share.failed([by_key[key] for key in news["failed"]], news["reason"])
                else:
                    self.said.append(news)
        finally:
            watch.set()
        told.take_back(len(runs) - len(share.still(runs)))
        return False

    def heard(self) -> dict[str, Any] | None:
        """The next thing that it says; None: it says no more."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line.endswith("\n") else None  # else it died as it spoke, or before

    def leave(self, patience: float | None = None) -> int:
        """End it; returns its exit status.

        Args:
            patience: Seconds after which it is killed; None: it may take its time.
        """
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        with suppress(OSError):  # it may be gone
            stdin.close()
        if patience is None:  # else another thread may listen, and closing would wait for it
            stdout.close()
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            stdout.close()

    def outlives(self, seconds: float) -> bool:
        """Whether it goes on for longer than that."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def _pass_on_stop(self, share: Share, over: threading.Event) -> None:
        """Ask it to stop once we were asked."""
        while not over.wait(0.1):
            if share.stopping():
                self.say({"stop": True})
                return


def how(status: int | None) -> str:
    """How a process ended, by its exit status.

    >>> how(1), how(-9)
    ('ended with exit status 1', 'was ended by SIGKILL (out of memory?)')
    """
    if status is None or status >= 0:
        return f"ended with exit status {status}"
    name = signal.Signals(-status).name if -status in {s.value for s in signal.Signals} else str(-status)
    return f"was ended by {name}" + (" (out of memory?)" if -status == signal.SIGKILL else "")
