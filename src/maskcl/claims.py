"""Which process of several does which work: a table in a folder, whose rows end with the process that wrote them.

FOLDER/claims                 {key of a piece of work: name of a process}, in JSON; gone when nothing is claimed
FOLDER/claims.lock            held while the table is read and written
FOLDER/process-<name>.lock    held by a process for as long as it lives: the system lets go of it, whatever kills it
"""

from __future__ import annotations

import json
import os
import re
import socket
import warnings
from collections.abc import Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING

from filelock import FileLock, SoftFileLock, Timeout

from maskcl.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

__all__ = ["Claims"]

PATIENCE = 5.0
"""Seconds that it waits for others who look whether it lives, which takes them a moment."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}-[0-9]{1,10}-[0-9a-f]{8}")


class Claims:
    """This process among others that work in a folder; a context that it leaves with all that it claimed.

    Where the file system knows no locks, or nothing can be written, every claim is granted.

    Args:
        folder: Where the table lies; made where it is missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        host = re.sub(r"[^A-Za-z0-9_.-]", "_", socket.gethostname())[:80] or "machine"
        self.name = f"{host}-{os.getpid()}-{token_hex(4)}"
        self._own = FileLock(self._lock_of(self.name))
        self._rows, self._table = self.folder / "claims", FileLock(self.folder / "claims.lock")
        self._thread = Lock()  # a FileLock lets the same process in twice
        self._works = True

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of locks that are made of files that are there
                self._own.acquire(timeout=PATIENCE)  # nobody else has its name; another may be looking who lives
        except (OSError, NotImplementedError):
            self._works = False
        if isinstance(self._own, SoftFileLock):  # who is killed would hold it for ever
            self._works = False
            self._own.release()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._works:
            with suppress(OSError), self._held() as claims:
                for key in [key for key, holder in claims.items() if holder == self.name]:
                    del claims[key]
            self._own.release()
        with suppress(OSError):
            self._lock_of(self.name).unlink(missing_ok=True)
        self._tidy()

    def _tidy(self) -> None:
        """Leave nothing behind where nobody else is.

        A lock file is removed by who holds it alone: who waits for it sees that it is gone, and makes another.
        """
        with suppress(OSError):
            if self._works and [path.name for path in self.folder.iterdir()] == ["claims.lock"]:
                with self._thread, self._table:
                    if [path.name for path in self.folder.iterdir()] == ["claims.lock"]:
                        (self.folder / "claims.lock").unlink()
            self.folder.rmdir()

    def take(self, keys: Iterable[str]) -> list[str]:
        """Claim those of some pieces of work that no other living process has, and return them."""
        taken = list(keys)
        if not self._works:
            return taken
        with suppress(OSError), self._held() as claims:  # of a full disk those who write results tell
            taken = [key for key in taken if claims.get(key, self.name) == self.name]
            claims.update(dict.fromkeys(taken, self.name))
        return taken

    def alone(self) -> bool:
        """Whether no other living process works in the folder, as far as can be told."""
        if not self._works:
            return False
        with suppress(OSError), self._held():
            names = [path.name.removeprefix("process-").removesuffix(".lock") for path in self.folder.glob("process-*")]
            return not [name for name in names if name != self.name and self._lives(name)]
        return False

    def held_by_others(self, keys: Iterable[str]) -> dict[str, int]:
        """Return how many of some pieces of work each other living process has: "process 123 on HOST" -> how many."""
        holders = list[str]()
        if not self._works:
            return {}
        with suppress(OSError), self._held() as claims:
            holders = [claims[key] for key in keys if claims.get(key, self.name) != self.name]
        return {_worded(holder): holders.count(holder) for holder in dict.fromkeys(holders)}

    @contextmanager
    def _held(self) -> Iterator[dict[str, str]]:
        """The table, without the rows of processes that are gone; what is changed in it is written."""
        self.folder.mkdir(parents=True, exist_ok=True)  # who left last has removed it
        with self._thread, self._table:
            before = self._read()
            gone = {holder for holder in set(before.values()) - {self.name} if not self._lives(holder)}
            claims = {key: holder for key, holder in before.items() if holder not in gone}
            yield claims
            if not claims:
                self._rows.unlink(missing_ok=True)
            elif claims != before:
                write_whole(self._rows, json.dumps(claims).encode())

    def _read(self) -> dict[str, str]:
        """The table; one that is broken says nothing: at worst a run is made twice, and comes out the same."""
        try:
            found = json.loads(self._rows.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(found, Mapping):
            return {}
        return {str(key): name for key, name in found.items() if isinstance(name, str) and _NAME.fullmatch(name)}

    def _lives(self, name: str) -> bool:
        """Whether a process holds its lock."""
        path = self._lock_of(name)
        if not path.exists():
            return False
        try:
            with FileLock(path, timeout=0):
                path.unlink()  # while it is held: a process that comes in at this moment makes another
        except Timeout:
            return True
        except OSError:
            return False
        return False

    def _lock_of(self, name: str) -> Path:
        return self.folder / f"process-{name}.lock"


def _worded(name: str) -> str:
    """A process as people call it.

    >>> _worded("node_7-123-0a1b2c3d")
    'process 123 on node_7'
    """
    host, number, _ = name.rsplit("-", 2)
    return f"process {number} on {host}"
