"""A process that makes runs for another one: told on its standard input what to do, and telling what becomes of it.

    in     the recipe, then a line for each piece of work      {"keys": [...]}   or the last line      {"stop": true}
    out    {"ready": true}
           {"resumed": runs}   {"progress": runs}: found in a checkpoint, and made
           {"result": key}   {"failed": [...], "reason": "..."}   {"said": "..."}   {"done": true}
           {"lost": "..."}: it made runs together with others, and one of these is gone

With the recipe comes "team", if it is one of several that make each run together: how they meet. The first of them
tells news, the others of failures alone.

All lines are JSON. When its input ends, or nobody reads what it tells, the process that it works for is gone: it writes
down where training stands, and ends. Stopping is asked for on its input and not with a signal: a cluster that stops a
job signals all processes of it, and the second signal would be one too many.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from maskcl.details import tell_details
from maskcl.engine import run_population
from maskcl.engine.team import Team, TeamError
from maskcl.errors import MaskclError, MaskclWarning, raised
from maskcl.experiment import Plan, Planned, plan
from maskcl.experiment.in_process import InProcess, checkpoints_of
from maskcl.experiment.sharing import Share
from maskcl.experiment.stopping import stop_signals
from maskcl.progress import Resumed

__all__ = ["COMMAND", "FAILED", "LOST", "Recipe", "main"]

COMMAND = (sys.executable, "-c", "import sys; from maskcl.launch.worker import main; sys.exit(main())")
"""What starts one; not `-m`, which warns of modules that their package has imported by then."""

FAILED, LOST = 1, 4
"""Exit status where this one of several that make a run together has failed, or another one is gone."""

Send = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Recipe:
    """All that another process needs to plan the same runs; JSON values.

    Attributes:
        file: The experiment file.
        out: Folder of results.
        seeds: As `maskcl.run` has it, as are overrides, `data_root` and executor.
        overrides: Likewise.
        data_root: Likewise.
        executor: Likewise.
        threads: Cores of one worker.
        command: What was typed.
        told: The file, as results tell it.
        details: Whether groups and checkpoints are told on stderr (`--log-level debug`).
    """

    file: str
    out: str
    seeds: int | None
    overrides: dict[str, Any]
    data_root: str | None
    executor: str
    threads: int
    command: str
    told: str | None = None
    details: bool = False

    def planned(self) -> Plan:
        """Return the plan; raises as `maskcl.experiment.plan` does."""
        return plan(self.file, out=self.out, seeds=self.seeds, overrides=self.overrides, data_root=self.data_root)


class _Telling(Share):
    """A share whose news are sent."""

    def __init__(self, planned: Plan, send: Send, stopping: Callable[[], bool]) -> None:
        super().__init__(planned, None, on_progress=self._progress, stopping=stopping)
        self._send = send

    def _progress(self, runs: float) -> None:
        self._send({"resumed" if isinstance(runs, Resumed) else "progress": runs})

    def result(self, run: Planned, document: dict[str, Any]) -> None:
        """Its file is written."""
        super().result(run, document)
        self._send({"result": run.key})

    def failed(self, runs: Sequence[Planned], reason: str) -> None:
        """An error has ended runs."""
        super().failed(runs, reason)
        self._send({"failed": [run.key for run in runs], "reason": reason})


def make(
    recipe: Recipe,
    planned: Plan,
    keys: Sequence[str],
    send: Send,
    stopping: Callable[[], bool],
    team: Team | None = None,
) -> None:
    """Make some runs of a plan, given by their keys."""
    wanted = set(keys)
    part = replace(planned, runs=tuple(run for run in planned.runs if run.key in wanted))
    lost = wanted - {run.key for run in part.runs}
    if lost and (team is None or team.is_first):
        send({"failed": sorted(lost), "reason": f"{recipe.file} was changed meanwhile, and has this run no more"})
    if not part.runs:
        return
    if team is not None and not team.is_first:
        run_population(
            [run.spec for run in part.runs],
            executor=recipe.executor, threads=recipe.threads, keys=[run.key for run in part.runs],
            checkpoints=checkpoints_of(part.runs[0]), team=team,
        )  # fmt: skip
        return
    share = _Telling(part, send, stopping)
    origin = {"file": planned.file, "command": recipe.command}
    launch = InProcess(
        recipe.executor, recipe.threads, origin, raises=False, tell=lambda text: send({"said": text}), team=team
    )  # fmt: skip
    launch(part.runs, share)


def main() -> int:
    """Work until the input ends."""
    out, lock = os.fdopen(os.dup(1), "w", encoding="utf-8"), threading.Lock()
    os.dup2(2, 1)  # what a network of one's own prints is no news

    gone = threading.Event()

    def send(news: dict[str, Any]) -> None:
        try:
            with lock:
                out.write(json.dumps(news) + "\n")
                out.flush()
        except OSError:
            gone.set()

    with stop_signals() as asked:
        lines: queue.Queue[str] = queue.Queue()

        def listen() -> None:
            for line in sys.stdin:
                if "stop" in json.loads(line):
                    break
                lines.put(line)
            gone.set()
            lines.put("")

        def stopping() -> bool:
            return asked() or gone.is_set()

        threading.Thread(target=listen, daemon=True).start()
        first = json.loads(lines.get() or "{}")
        place = first.pop("team", None)
        recipe = Recipe(**first)
        tell_details(wanted=recipe.details)
        try:
            planned = _planned(recipe, send)
            with nullcontext() if place is None else Team.joined(**place) as team:
                send({"ready": True})
                return _work(recipe, planned, lines, send, stopping, team)
        except MaskclError as error:  # or results cannot be written
            send({"refused": str(error)})
            return 2
        except TeamError as error:
            send({"lost": str(error)})
            return LOST


def _planned(recipe: Recipe, send: Send) -> Plan:
    """The plan, which the process that it works for was warned of as it made its own; later warnings are news."""
    warnings.simplefilter("ignore", MaskclWarning)
    planned = recipe.planned()
    warnings.simplefilter("always", MaskclWarning)

    def pass_on(text: Warning | str, *_: Any, **__: Any) -> None:
        send({"said": f"warning: {' '.join(str(text).split())}"})

    warnings.showwarning = pass_on  # type: ignore[assignment]
    return planned


def _work(
    recipe: Recipe, planned: Plan, lines: queue.Queue[str], send: Send, stopping: Callable[[], bool], team: Team | None
) -> int:
    """Make pieces until there are no more; returns the exit status."""
    while not stopping():
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            continue
        if not line:
            break
        piece = json.loads(line)
        try:
            make(recipe, planned, piece["keys"], send, stopping, team)
        except (MaskclError, TeamError):
            raise
        except Exception as error:
            send({"failed": piece["keys"], "reason": raised(error)})
            if team is not None:  # the others wait for what will not come
                return FAILED
        send({"done": True})
    return 0
