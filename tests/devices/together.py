"""Runs that several processes make together, forked by a server that has imported everything: one start for all."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from maskcl.engine import Population, RunSpec
from maskcl.engine.state import named_tensors
from maskcl.engine.team import Team

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["maskcl.engine", "maskcl.engine.team"])
PATIENCE = 600.0
"""Seconds after which a process that does not answer has failed."""

Work = Callable[[Team | None], Any]


def trained(spec: RunSpec, team: Team | None = None) -> dict[str, Any]:
    """Train a run; what came of it: tensors by name, memories after each task, accuracies."""
    population, memories, accuracies = Population([spec], stacked=False, team=team), [], []
    for task in range(population.num_tasks):
        population.fit_task(task)
        memory = population.state.memories[0]
        memories.append(None if memory is None else (memory.rows.tolist(), memory.labels.tolist()))
        (found,) = population.evaluate(task)
        accuracies.append((found.class_incremental.tolist(), found.confidence.tolist()))
    state = population.state
    tree = {name: getattr(state, name) for name in ("weights", "optimizer", "method", "stored")}
    # NumPy: tensors would be sent by shared files, which end with the process
    tensors = {name: t.detach().numpy().copy() for name, t in named_tensors(tree)}
    return {"tensors": tensors, "memories": memories, "accuracies": accuracies}


def together(size: int, work: Work, folder: Path, *, patience: float = PATIENCE) -> list[Any]:
    """What each of some processes returns, by rank."""
    folder.mkdir(parents=True, exist_ok=True)
    answers = [CONTEXT.SimpleQueue() for _ in range(size)]
    crew = [
        CONTEXT.Process(
            target=_member, args=(str(folder / "meet"), rank, size, work, answers[rank], patience), daemon=True
        )
        for rank in range(size)
    ]
    for process in crew:
        process.start()
    found = [_answer(process, answer) for process, answer in zip(crew, answers, strict=True)]
    for process in crew:
        process.join(PATIENCE)
    for answer in found:
        if isinstance(answer, BaseException):
            raise answer
    return found


def _answer(process: Any, answer: Any) -> Any:
    for _ in range(int(PATIENCE / 0.05)):
        if not answer.empty():
            return answer.get()
        if not process.is_alive() and answer.empty():
            break
        process.join(0.05)
    process.kill()
    return RuntimeError(f"a process said nothing (exit status {process.exitcode})")


def _member(file: str, rank: int, size: int, work: Work, answer: Any, patience: float) -> None:
    torch.set_num_threads(1)
    try:
        with Team.joined(file, rank, size, patience=patience) as team:
            answer.put(work(team))
    except BaseException as error:
        answer.put(RuntimeError("".join(traceback.format_exception(error))))
