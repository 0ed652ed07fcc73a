"""Which executor: decided by a short measurement, and said why."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from maskcl.engine.evaluate import Evaluator
from maskcl.engine.population import Population
from maskcl.engine.resources import available_bytes, member_bytes
from maskcl.engine.spec import RunSpec
from maskcl.engine.training import TaskTraining

__all__ = ["Choice", "choose"]

GROUP_SIZES = (16, 32)
"""Sizes worth trying: below 8 launching dominates, beyond 32 memory traffic grows (docs/design/stacking.md)."""
STEPS = 12
BUDGET = 0.5
"""Share of the available memory that populations may take."""


@dataclass(frozen=True)
class Choice:
    """What runs a group of runs, and why.

    Attributes:
        stacked: Whether they run as populations.
        group_size: Members of a population at most.
        reason: One sentence.
    """

    stacked: bool
    group_size: int
    reason: str


def choose(
    specs: Sequence[RunSpec],
    data: tuple[Tensor, Evaluator],
    *,
    executor: str,
    group_size: int | None,
    workers: int,
) -> Choice:
    """Choose for runs of one structure.

    Args:
        specs: The runs, one or more.
        data: Their image table and evaluator.
        executor: "auto", "stack" or "loop".
        group_size: Largest population; None: chosen.
        workers: Populations that run at the same time, for the memory they share.
    """
    fits = max(1, int(available_bytes() * BUDGET / workers / max(1, member_bytes(specs[0]))))
    share = -(-len(specs) // workers)  # no worker is to idle
    if executor == "loop":
        return Choice(False, 1, "asked for")
    if executor == "stack":
        size = min(group_size or min(GROUP_SIZES[0], share), len(specs), fits)
        return Choice(True, max(1, size), "asked for" + (f", {fits} members fit in memory" if size == fits else ""))
    if len(specs) == 1 or fits == 1:
        return Choice(False, 1, "a single run" if len(specs) == 1 else "two members do not fit in memory")
    times = {"loop": _seconds_per_step(specs[:1], data, stacked=False)}
    wanted = GROUP_SIZES if group_size is None else (group_size,)
    sizes = sorted({min(size, len(specs), fits, share) for size in wanted})
    for size in sizes:
        if size > 1:
            times[f"stack of {size}"] = _seconds_per_step(specs[:size], data, stacked=True)
    best = min(times, key=times.__getitem__)
    measured = ", ".join(f"{name} {1e6 * seconds:.0f} us" for name, seconds in times.items())
    size = int(best.split()[-1]) if best != "loop" else 1
    return Choice(best != "loop", size, f"{best} is fastest: {measured} a member's step")


def _seconds_per_step(specs: Sequence[RunSpec], data: tuple[Tensor, Evaluator], *, stacked: bool) -> float:
    population = Population(specs, stacked=stacked, data=data)
    steps = population.plan(population.first_task, max_steps=STEPS).steps()
    times = []
    for _ in range(2):  # the first warms up
        began = time.perf_counter()
        TaskTraining(population, population.first_task, steps).run()
        times.append(time.perf_counter() - began)
    return times[-1] / len(steps) / len(specs)


def describe(choice: Choice, *, threads: int, workers: int) -> dict[str, Any]:
    """What a result file says of the executor."""
    return {
        "name": "stack" if choice.stacked else "loop",
        "group_size": choice.group_size,
        "threads": threads,
        "workers": workers,
        "reason": choice.reason,
    }
