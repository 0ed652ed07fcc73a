"""Ctrl-C, SIGTERM, SIGHUP (a closed terminal) while runs are trained: the first asks to stop, the second stops."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["STOPPED_BY", "stop_signals", "stopped_status"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
STOPPED_BY: list[int] = []
"""The signal that asked to stop, if one did: a process that SIGTERM has ended says so with its exit status."""


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether it was asked to stop. In another thread than the main one signals are as they were."""
    asked = threading.Event()
    STOPPED_BY.clear()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        STOPPED_BY.append(number)
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    heard = [number for number in SIGNALS if number in (signal.SIGINT, signal.SIGTERM) or not _ignored(number)]
    before = {number: signal.signal(number, ask) for number in heard}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that was not set from Python cannot be set again
                signal.signal(number, handler)


def _ignored(number: int) -> bool:
    """Whether somebody wants a signal to do nothing, as nohup does."""
    return signal.getsignal(number) == signal.SIG_IGN


def stopped_status() -> int:
    """Return the exit status of a process that was asked to stop: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + (STOPPED_BY[-1] if STOPPED_BY else signal.SIGINT)
