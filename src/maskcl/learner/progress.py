"""What a fit tells of its progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from maskcl.engine.population import Population
from maskcl.engine.watch import OnSteps

__all__ = ["OnProgress", "counting"]

OnProgress: TypeAlias = Callable[[int, int], None]


def counting(population: Population, told: OnProgress | None) -> OnSteps | None:
    """Return what adds up the steps of the newest task, and tells (steps done, steps in all); None for nobody."""
    if told is None:
        return None
    done, total = 0, population.num_steps(0, [population.num_tasks - 1])

    def count(members: Sequence[int], steps: int) -> None:
        nonlocal done
        done += steps
        told(done, max(done, total))

    return count
