"""Commands in processes of their own that begin at once: forked from one that has imported everything."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["maskcl.cli", "maskcl.experiment", "maskcl.launch", "maskcl.report", "sklearn.datasets", "matplotlib.pyplot"]
)
NOBODY = 65534
PATIENCE = 300.0
"""Seconds after which something that was waited for has failed."""

EXPERIMENT = """
name = "faults"
seeds = 2

[scenario]
dataset = "digits"

[memory]
size = 50

[network]
hidden = [16]

[training]
epochs = 2
checkpoint_every = 25
save_weights = true

[grid]
method = ["er", "derpp"]
mask = ["none", { leak = 0.1 }]
"""
ONE = re.sub(r"\[grid\].*", "", EXPERIMENT.replace("seeds = 2", 'seeds = 1\nmethod = "er"'), flags=re.DOTALL)


class Command:
    """`maskcl run e.toml --out out ARGUMENTS` in a folder, in a process of its own.

    Args:
        folder: Where; what it says goes into files there.
        arguments: Further ones.
        largest: Bytes that a file may have; None: any.
        user: Number of the user that it runs as; None: ours.
    """

    def __init__(self, folder: Path, *arguments: str, largest: int | None = None, user: int | None = None) -> None:
        self.folder = folder
        self._said = [folder / f"{name}-{len(list(folder.glob('out-*')))}.txt" for name in ("out", "err")]
        for path in self._said:
            path.touch()
            path.chmod(0o666)
        argv = ["run", "e.toml", "--out", "out", *arguments]
        self.process = CONTEXT.Process(
            target=_main, args=(str(folder), argv, [str(path) for path in self._said], largest, user), daemon=True
        )
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def out(self) -> str:
        """What it has said on stdout, as `err` is on stderr."""
        return self._said[0].read_text()

    @property
    def err(self) -> str:
        return self._said[1].read_text()

    def until(self, holds: Callable[[], Any]) -> bool:
        """Wait until something holds; returns whether it does, or the command has ended before."""
        for _ in range(int(PATIENCE / 0.01)):
            if holds():
                return True
            self.process.join(0.01)
            if not self.process.is_alive():
                return bool(holds())
        raise AssertionError(f"waited in vain; stderr: {self.err}")

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):  # it has ended
            os.kill(self.pid, number)

    def interrupt(self, crew: list[int], times: int) -> None:
        """Ctrl-C once; or again and again until it has ended, while the first of its crew cannot save anything."""
        if times == 2:
            os.kill(crew[0], signal.SIGSTOP)  # who waits for it waits for ever
        self.signal(signal.SIGINT)
        if times == 2:
            while self.process.is_alive():  # the first may not have been looked at yet
                self.process.join(0.2)
                self.signal(signal.SIGINT)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def status(self) -> int | None:
        """Its exit status once it has ended; negative: the signal that ended it."""
        self.process.join(PATIENCE)
        return self.process.exitcode

    def written(self) -> int:
        """How many checkpoints have been written in the folder so far, by all processes."""
        newest: dict[str, int] = {}
        for name in listed(self.folder / "out" / ".maskcl" / "checkpoints"):
            if match := re.fullmatch(r"([0-9a-f]{16})-([0-9]{6})\.safetensors", name):
                newest[match[1]] = max(newest.get(match[1], 0), int(match[2]))
        return sum(newest.values())


def _main(folder: str, argv: list[str], said: list[str], largest: int | None, user: int | None) -> None:
    os.chdir(folder)
    for number, path in enumerate(said, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w", buffering=1) for number in (1, 2))
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from faults.faulty import make_known

    from maskcl.cli import main

    make_known()

    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    if user is not None:
        main([*argv, "--dry-run"])  # another user may not read Python's own modules: these are imported by now
        os.setuid(user)
    sys.exit(main(argv))


def listed(folder: Path) -> list[str]:
    """Names in a folder, which may not be there."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def prepared(folder: Path, text: str = EXPERIMENT) -> Path:
    """A folder with an experiment file."""
    folder.mkdir(exist_ok=True)
    (folder / "e.toml").write_text(text)
    return folder


def results(folder: Path, *, executors: bool = True) -> dict[str, str | bytes]:
    """All result files, and weights: the text of each but for times, and how many were trained together or at once.

    These follow the load of the machine, and change no number.

    Args:
        folder: Where `out` lies.
        executors: Whether what ran them is told, too.
    """
    found: dict[str, str | bytes] = {}
    for path in sorted((folder / "out").glob("*/seed-*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".safetensors":
            found[name] = path.read_bytes()
            continue
        document = json.loads(path.read_text())
        del document["seconds"], document["timings"], document["origin"]["date"]
        del document["executor"]["workers"], document["executor"]["group_size"]
        if not executors:
            del document["executor"], document["origin"]["command"]
        found[name] = json.dumps(document)
    return found


def left_over(folder: Path) -> list[str]:
    """Files that are no results and no page: what faults must not leave behind."""
    return sorted(
        path.relative_to(folder).as_posix() for path in (folder / "out").rglob("*")
        if path.name.startswith(".") or path.suffix in (".tmp", ".lock")
    )  # fmt: skip


def workers(pid: int) -> list[int]:
    """Processes that a process has started and that live; Linux alone tells."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in path.read_text().split()]
        except OSError:
            continue
    return [child for child in found if lives(child) and b"maskcl.launch.worker" in _line(child)]


def gone(pids: list[int]) -> None:
    """Wait until processes are no more."""
    ends = time.monotonic() + PATIENCE
    while any(map(lives, pids)):
        assert time.monotonic() < ends, f"of {pids} some live on"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
