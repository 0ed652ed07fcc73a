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
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

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
epochs = 3
evaluate_every = 40
checkpoint_every = 5
save_weights = true

[grid]
method = ["er", "derpp"]
mask = ["none", { leak = 0.1 }]
"""
COMMAND = [sys.executable, "-m", "maskcl", "run", "faults.toml", "--out", "out", "--quiet"]
STARTING, WRITING, RESULTS = "before it had claimed a run", "writing a checkpoint", "after its first result"
TRAINING = "training, or between two files"


def main() -> int:
    """Kill, compare, print a table."""
    wanted, chance = int(os.environ.get("COUNT") or 100), random.Random(int(os.environ.get("SEED") or 0))
    kills, runs, different = Counter[str](), 0, list[str]()
    with TemporaryDirectory() as place:
        began = time.monotonic()
        expected = finished(Path(place) / "whole")
        start, whole = started(), time.monotonic() - began
        while kills.total() < wanted:
            folder = Path(place) / str(runs)
            runs += 1
            while True:
                process = begun(folder)
                delay = start + chance.uniform(0, max(1.0, (whole - start) / 2)) if kills.total() < wanted else None
                try:
                    process.wait(delay)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills[where(folder)] += 1
                    print(f"\r{kills.total()} of {wanted} kills, {runs} runs", end="", file=sys.stderr, flush=True)
                    continue
                if process.returncode != 0:
                    assert process.stderr is not None
                    print(f"\n{process.stderr.read()}", file=sys.stderr)
                    return 1
                break
            found = files(folder)
            different += [
                f"run {runs - 1}: {name}" for name in expected | found if expected.get(name) != found.get(name)
            ]
            different += [f"run {runs - 1}: {path.name} is left" for path in (folder / "out").glob("*-*/.*")]
            different += [f"run {runs - 1}: .maskcl is left"] if (folder / "out" / ".maskcl").exists() else []
    print("\n\n| killed | times |\n| --- | --- |", file=sys.stdout)
    for name in (STARTING, TRAINING, WRITING, RESULTS):
        print(f"| {name} | {kills[name]} |")
    print(f"| together | {kills.total()} |")
    print(f"\n{runs} runs of {len(expected)} files each came to their end; {len(different)} files differ.")
    print("\n".join(different))
    return int(bool(different))


def begun(folder: Path) -> subprocess.Popen[str]:
    """The command, begun in a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "faults.toml").write_text(EXPERIMENT)
    return subprocess.Popen(COMMAND, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finished(folder: Path) -> dict[str, str | bytes]:
    """Files of a run that is never killed."""
    assert begun(folder).wait() == 0
    return files(folder)


def started() -> float:
    """Seconds until a command does something."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import maskcl.cli.experiments, maskcl.experiment"], check=True)
    return time.monotonic() - began


def where(folder: Path) -> str:
    """What a process was doing when it was killed, by what lies in its folder."""
    private = folder / "out" / ".maskcl"
    if any((folder / "out").glob("*/seed-*.json")):
        return RESULTS
    if any(path.suffix == ".tmp" for path in private.glob("checkpoints/.*")):
        return WRITING
    return TRAINING if (private / "claims").exists() else STARTING


def files(folder: Path) -> dict[str, str | bytes]:
    """Results and weights of a folder, without times and how many ran side by side."""
    found: dict[str, str | bytes] = {}
    for path in sorted((folder / "out").glob("*/seed-*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix != ".json":
            found[name] = path.read_bytes()
            continue
        document = json.loads(path.read_text())
        del document["seconds"], document["timings"], document["origin"]["date"], document["executor"]["workers"]
        found[name] = re.sub(r"\s+", " ", json.dumps(document))
    return found


if __name__ == "__main__":
    sys.exit(main())
