"""`make faults`: kill runs at random moments until they were killed often enough, and compare every file in the end.

    make faults               100 kills
    make faults COUNT=1000

Each run is one command, killed with SIGKILL after a random time and begun again, until it ends; then the next run
begins, in a folder of its own. A checkpoint is written every 5 steps, so that many kills hit one that is being written.
Exit status 0: all files of all runs are those of a run that was never killed, times aside.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

EXPERIMENT = """
name = "faults"
seeds = 2

[scenario]
dataset = "digits"

[memory]
size = 50

[network]
hidden = [32]

[training]
epochs = 6
evaluate_every = 40
checkpoint_every = 5
save_weights = true

[grid]
method = ["er", "derpp"]
mask = ["none", { leak = 0.1 }]
"""
COMMAND = [sys.executable, "-m", "maskcl", "run", "faults.toml", "--out", "out", "--quiet"]
STARTING, TRAINING, PAGE = "before it had claimed a run", "in training, or between two files", "after its last result"
CHECKPOINT, RESULT = "writing a checkpoint", "writing a result or weights"
EARLY = 0.1
"""Share of kills before a run is claimed: there is little to break."""
LATE = 0.2
"""Share of runs that are killed though all their results are there."""


class Folder:
    """A run on its way.

    Args:
        path: Where; made here.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.out = path, path / "out"
        self._half = set[Path]()
        path.mkdir()
        (path / "faults.toml").write_text(EXPERIMENT)

    def begin(self) -> subprocess.Popen[str]:
        """Run the command."""
        return subprocess.Popen(COMMAND, cwd=self.path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def claimed(self, process: subprocess.Popen[str]) -> bool:
        """Whether a process has claimed runs."""
        try:
            return f"-{process.pid}-" in (self.out / ".maskcl" / "claims").read_text()
        except OSError:
            return False

    def documents(self) -> list[Path]:
        """Results."""
        return list(self.out.glob("*/seed-*.json"))

    def where(self, process: subprocess.Popen[str], expected: int) -> str:
        """What a process was doing when it was killed, by what it has left since this was last asked."""
        half = set(self.out.glob("**/.*.tmp"))
        new, self._half = half - self._half, half
        if any(path.parent.name == "checkpoints" for path in new):
            return CHECKPOINT
        if any(path.name.startswith(".seed-") for path in new):
            return RESULT
        if len(self.documents()) == expected:
            return PAGE
        return TRAINING if self.claimed(process) else STARTING

    def files(self) -> dict[str, Any]:
        """Results and weights, without times and how many ran side by side; and what should not be left."""
        found: dict[str, Any] = {str(path.relative_to(self.out)): "left" for path in self.out.glob("*-*/.*")}
        found |= {".maskcl": "left"} if (self.out / ".maskcl").exists() else {}
        for path in self.out.glob("*/seed-*"):
            name = path.relative_to(self.out).as_posix()
            if path.suffix != ".json":
                found[name] = path.read_bytes()
                continue
            told = json.loads(path.read_text())
            for part, key in ((told, "seconds"), (told, "timings"), (told["origin"], "date")):
                del part[key]
            for key in ("workers", "group_size"):  # which follow the load of the machine, and change no number
                del told["executor"][key]
            found |= {f"{name}: {key}": json.dumps(value) for key, value in told.items()}
        return found


def main() -> int:
    """Kill, compare, print a table."""
    wanted, chance = int(os.environ.get("COUNT") or 100), random.Random(int(os.environ.get("SEED") or 0))
    kills, runs, different = Counter[str](), 0, list[str]()
    with TemporaryDirectory() as place:
        whole = Folder(Path(place) / "whole")
        process = whole.begin()
        start, training = timed(process, lambda: whole.claimed(process)), timed(process, whole.documents)
        assert process.wait() == 0
        expected, count = whole.files(), len(whole.documents())
        while kills.total() < wanted:
            folder = Folder(Path(place) / str(runs))
            runs += 1
            while True:
                process = folder.begin()
                if kills.total() < wanted:
                    early = chance.random() < EARLY
                    if len(folder.documents()) == count and chance.random() > LATE:
                        process.wait()
                    elif not early:
                        timed(process, lambda: folder.claimed(process))  # noqa: B023
                    wait(process, chance.uniform(0, start if early else training / 2))
                    if process.poll() is None:
                        process.kill()
                        process.wait()
                        kills[folder.where(process, count)] += 1
                        print(f"{kills.total()} of {wanted} kills, {runs} runs", file=sys.stderr)
                        continue
                _, said = process.communicate()
                if process.returncode != 0 or said:
                    print(said, file=sys.stderr)
                    return 1
                break
            found = folder.files()
            names = sorted(name for name in expected | found if expected.get(name) != found.get(name))
            different += [f"run {runs - 1}: {name}" for name in names]
    print("| killed | times |\n| --- | --- |")
    for name in (STARTING, TRAINING, CHECKPOINT, RESULT, PAGE):
        print(f"| {name} | {kills[name]} |")
    print(f"| together | {kills.total()} |")
    print(f"\n{runs} runs of {2 * count} files each came to their end; {len(different)} parts differ.")
    print("\n".join(different))
    return int(bool(different))


def timed(process: subprocess.Popen[str], holds: Callable[[], Any]) -> float:
    """Seconds until something holds, or the process ends."""
    began = time.monotonic()
    while process.poll() is None and not holds():
        time.sleep(0.01)
    return time.monotonic() - began


def wait(process: subprocess.Popen[str], seconds: float) -> None:
    """Give a process so much time."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


if __name__ == "__main__":
    sys.exit(main())
