"""What is promised of every case, and how much of the machine a case may take.

    valid        status 0: results are whole, nothing half-written is left
    refused      status 2: one sentence on stderr that names what is wrong; nothing is written
    unfinished   status 3: runs diverged or failed, each with its reason
    stopped      valid, and longer than `MOST_STEPS`: stopped as Ctrl-C does it

Anything else is a fault: a traceback, another status, a warning that is not ours, half a file, too much memory.
"""

from __future__ import annotations

import io
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from maskcl.errors import MaskclError, MaskclWarning

__all__ = ["MOST_STEPS", "Call", "Verdict", "called", "judged_call", "judged_command", "left_behind", "limited"]

MOST_STEPS = 80
"""Steps after which a run is asked to stop."""
FREE_BYTES = 64 * 2**20
"""What the machine is said to have left: a setting that needs more is to be refused."""
MOST_GROWTH = 2**30
"""Bytes by which a case may raise the most that this process has ever used: of a picture at Pillow's own bound."""
MOST_SECONDS = 120
"""Processor seconds after which a case is ended: not for measuring, but so that a loop without end is told."""
LONGEST = 1500
"""Letters of a sentence, what was given included."""
STATUSES = {0: "valid", 2: "refused", 3: "unfinished", 130: "stopped"}


@dataclass(frozen=True)
class Verdict:
    """What became of a case.

    Attributes:
        outcome: "valid", "refused", "unfinished", "stopped".
        said: The sentence of a refusal.
        faults: What breaks the promise; none: it is kept.
    """

    outcome: str
    said: str = ""
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """What a call did: its value, or the error that it raised; what it printed."""

    value: Any
    error: BaseException | None
    out: str
    err: str
    growth: int


class _EndlessError(BaseException):
    """A case that took `MOST_SECONDS`."""


def called(function: Callable[[], Any]) -> Call:
    """Call a function, its output caught, warnings of others than us made errors."""
    out, err, before = io.StringIO(), io.StringIO(), _most_bytes()
    value, error = None, None
    with warnings.catch_warnings(), redirect_stdout(out), redirect_stderr(err), _alarm():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", MaskclWarning)
        try:
            value = function()
        except (Exception, SystemExit, KeyboardInterrupt, _EndlessError) as caught:
            error = caught
    return Call(value, error, out.getvalue(), err.getvalue(), _most_bytes() - before)


def judged_call(function: Callable[[], Any], named: str) -> Verdict:
    """Judge a call: it returns, or raises one sentence of ours that says `named`."""
    call = called(function)
    faults = _faults_of(call)
    if call.error is None:
        return Verdict("valid", "", faults)
    if isinstance(call.error, MaskclError):
        said = str(call.error)
        faults += _faults_of_sentence(said, (named,))
        return Verdict("refused", said, faults)
    return Verdict("refused", "", (*faults, _traceback(call.error)))


def judged_command(argv: list[str], out: Path | None, named: tuple[str, ...]) -> Verdict:
    """Judge a command of the command line.

    Args:
        argv: Its arguments.
        out: Where it writes results; None: nowhere.
        named: Of which a refusal must say at least one.
    """
    from maskcl.cli import main

    call = called(lambda: main(argv))
    faults = _faults_of(call)
    if call.error is not None:
        return Verdict("refused", "", (*faults, _traceback(call.error)))
    outcome = STATUSES.get(call.value)
    if outcome is None:
        return Verdict("refused", call.err, (*faults, f"status {call.value}"))
    lines = [line for line in call.err.splitlines() if not line.startswith("warning: ")]
    if outcome == "refused":
        said = "\n".join(lines).removeprefix("error: ")
        if not (lines and lines[0].startswith("error: ")):
            faults += (f"no sentence on stderr: {call.err!r}",)
        faults += _faults_of_sentence(said, named)
        if call.out:
            faults += (f"refused, and printed {call.out[:200]!r}",)
    else:
        said = call.err
    if out is not None:
        faults += left_behind(out, outcome)
    return Verdict(outcome, said, faults)


def left_behind(out: Path, outcome: str) -> tuple[str, ...]:
    """What should not be in a folder of results."""
    from maskcl.results import read_result

    files = [path for path in out.rglob("*") if path.is_file()] if out.exists() else []
    faults = [f"left: {path.relative_to(out)}" for path in files if path.suffix == ".tmp"]
    results = [path for path in files if path.name.startswith("seed-") and path.suffix == ".json"]
    if outcome == "refused":
        faults += [f"written, and refused: {path.relative_to(out)}" for path in files]
    if outcome in ("valid", "unfinished"):
        faults += [f"left: {path.relative_to(out)}" for path in files if ".maskcl" in path.parts]
    if outcome == "valid" and not results:
        faults.append("status 0, and no result")
    for path in results:
        try:
            status = read_result(path)["status"]
        except MaskclError as error:
            faults.append(f"a result that cannot be read: {error}")
        else:
            faults += ["diverged, and status 0"] if outcome == "valid" and status != "finished" else []
    return tuple(faults)


@contextmanager
def limited() -> Iterator[None]:
    """While it lasts, the machine has `FREE_BYTES` left, runs stop after `MOST_STEPS`, and no page is drawn.

    Pages have damaged results of their own (tests/test_results_fuzz.py); of a case, the text of every format is made.
    """
    from maskcl import devices
    from maskcl.cli import commands, experiments
    from maskcl.engine import groups
    from maskcl.experiment import runner
    from maskcl.replay import checks

    @contextmanager
    def stop_soon() -> Iterator[Callable[[], bool]]:
        asked = 0

        def stopping() -> bool:
            nonlocal asked
            asked += 1
            return asked > MOST_STEPS

        yield stopping

    def write_report(out: Path, results: Any, *, command: str) -> str:
        from maskcl import report
        from maskcl.report import page

        texts = [report.render(results, format) for format in ("csv", "markdown", "latex")]
        return f"{len(page.page(results, [], command=command))} {sum(map(len, texts))}"

    def free() -> int:
        return FREE_BYTES

    def one_core() -> int:
        return 1  # what others use of the machine is looked at for a tenth of a second

    places = ((devices, "available_bytes", free), (groups, "free_cores", one_core), (checks, "available_bytes", free),
              (runner, "stop_signals", stop_soon), (experiments, "write_report", write_report),
              (commands, "app", _commands()))  # fmt: skip
    before = [getattr(module, name) for module, name, _ in places]
    for module, name, new in places:
        setattr(module, name, new)
    try:
        yield
    finally:
        for (module, name, _), old in zip(places, before, strict=True):
            setattr(module, name, old)


@lru_cache(maxsize=1)
def _commands() -> Any:
    """The command line, built once: that takes as long as a small run."""
    from typer.main import get_command

    from maskcl.cli.commands import app

    return get_command(app)


@contextmanager
def _alarm() -> Iterator[None]:
    """Raise what nobody catches, once a case has used `MOST_SECONDS` of a processor."""

    def ring(*_: Any) -> None:
        raise _EndlessError(f"took more than {MOST_SECONDS} processor seconds")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _most_bytes() -> int:
    """The most memory that this process ever had; macOS tells it in bytes, others in kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _faults_of(call: Call) -> tuple[str, ...]:
    found = [f"took {call.growth / 2**20:.0f} MB"] if call.growth > MOST_GROWTH else []
    return (*found, *(["a traceback is printed"] if "Traceback (most recent" in call.err + call.out else []))


def _faults_of_sentence(said: str, named: tuple[str, ...]) -> tuple[str, ...]:
    """What is wrong with the wording of a refusal: a sentence, and maybe a hint."""
    first, *more = said.splitlines() or [""]
    found = []
    if len(more) > 1 or (more and not more[0].startswith("hint: ")):
        found.append(f"more than a sentence and a hint: {said!r}")
    if not first.endswith((".", "?", "!")):
        found.append(f"no sentence: {first!r}")
    if len(first) > LONGEST:
        found.append(f"a sentence of {len(first)} letters: {first[:300]!r}")
    if not any(name in said for name in named):
        found.append(f"names none of {named[:5]}: {said!r}")
    if any(ord(letter) < 32 for letter in first):
        found.append(f"control characters: {first!r}")
    return tuple(found)


def _traceback(error: BaseException) -> str:
    """The error, with the last places that it came through."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
    return f"{type(error).__name__}: {str(error)[:300]} ({places})"
