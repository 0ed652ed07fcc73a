"""Which rows of a class come in which task, where tasks are not clean: index arithmetic, see docs/design/streams.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maskcl import rng
from maskcl.errors import check, is_number

__all__ = ["Stream", "dealt", "occurrences", "thinned"]

Rows = npt.NDArray[np.int64]
Tasks = Sequence[Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class Stream:
    """How a stream differs from clean tasks of equal classes; each default is no difference.

    Args:
        blurry: Share of each class's rows that come in tasks to which it does not belong, 0 <= blurry < 1.
        repeats: Probability with which a class comes again in each later task, 0 to 1.
        imbalance: Share of its rows that the rarest class keeps, 0 < imbalance <= 1.
        seed: Of all chance in it.
    """

    blurry: float = 0.0
    repeats: float = 0.0
    imbalance: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        good = is_number(self.blurry) and 0 <= self.blurry < 1
        check(good, "scenario.blurry", "must be 0 or more and below 1", self.blurry)
        good = is_number(self.repeats) and 0 <= self.repeats <= 1
        check(good, "scenario.repeats", "must be 0 to 1", self.repeats)
        good = is_number(self.imbalance) and 0 < self.imbalance <= 1
        check(good, "scenario.imbalance", "must be above 0 and at most 1", self.imbalance)

    def deal(self, class_rows: Sequence[Rows], tasks: Tasks) -> tuple[Rows, ...]:
        """Return the rows of each task, ascending, of the rows of each class and the classes of each task.

        Raises:
            ConfigError: If there is one task, and no other to which rows could go.
        """
        for name in ("blurry", "repeats"):
            share = getattr(self, name)
            check(share == 0 or len(tasks) > 1, f"scenario.{name}", "must be 0 where there is one task", share)
        left = thinned(class_rows, tasks, self.imbalance, seed=self.seed)
        tasks_of = occurrences(tasks, self.repeats, seed=self.seed)
        return dealt(left, tasks_of, len(tasks), blurry=self.blurry, seed=self.seed)


def thinned(class_rows: Sequence[Rows], tasks: Tasks, ratio: float, *, seed: int = 0) -> list[Rows]:
    """Let class sizes fall off exponentially: the class of rank r of C keeps ratio^(r / (C - 1)) of its rows.

    Ranks are drawn over the classes of all tasks; at least one row of a class stays. Which ones stay depends on seed
    and class alone: what a smaller ratio keeps, a larger one keeps too.

    Args:
        class_rows: Rows of each class.
        tasks: Classes of each task.
        ratio: Smallest share to largest, 0 < ratio <= 1; 1 keeps all.
        seed: Of the ranks and the choice.

    Returns:
        The rows of each class that are left, ascending.

    >>> [len(rows) for rows in thinned([np.arange(100)] * 3, [[0, 1], [2]], 0.01)]
    [1, 10, 100]
    """
    if ratio == 1:
        return list(class_rows)
    classes = [label for task in tasks for label in task]
    left = list(class_rows)
    ranked = rng.generator(seed, "scenario/imbalance").permutation(classes).tolist()
    for rank, label in enumerate(ranked):
        rows = class_rows[label]
        share = ratio ** (rank / max(1, len(ranked) - 1))
        count = max(1, math.floor(share * len(rows) + 0.5))
        left[label] = np.sort(rng.generator(seed, "scenario/imbalance", label).permutation(rows)[:count])
    return left


def occurrences(tasks: Tasks, probability: float, *, seed: int = 0) -> dict[int, list[int]]:
    """Return in which tasks each class comes: its own, and each later one with a probability.

    Args:
        tasks: Classes of each task.
        probability: Of each later task by itself, 0 to 1.
        seed: Of the draws, which depend on it and the class alone.

    >>> occurrences([[0, 1], [2]], 1.0)
    {0: [0, 1], 1: [0, 1], 2: [1]}
    """
    found = {}
    for home, classes in enumerate(tasks):
        for label in classes:
            again = rng.generator(seed, "scenario/repeats", label).random(len(tasks)) < probability
            found[label] = [home, *(task for task in range(home + 1, len(tasks)) if again[task])]
    return found


def dealt(
    class_rows: Sequence[Rows], tasks_of: dict[int, list[int]], num_tasks: int, *, blurry: float, seed: int = 0
) -> tuple[Rows, ...]:
    """Deal the rows of each class to tasks: each row to one.

    Args:
        class_rows: Rows of each class.
        tasks_of: Tasks in which each class comes, its own first: as from `occurrences`.
        num_tasks: Tasks, T.
        blurry: Share of a class's rows, rounded to the nearest row, that come in the other tasks instead, as evenly as
            can be, 0 <= blurry < 1. One row at least stays; of a class that comes in all tasks all do.
        seed: Which rows go where; it depends on seed and class alone.

    Returns:
        Rows of each task, ascending: T arrays.

    >>> [rows.tolist() for rows in dealt([np.arange(4), np.arange(4, 8)], {0: [0], 1: [1]}, 2, blurry=0.25)]
    [[0, 2, 3, 6], [1, 4, 5, 7]]
    """
    hands: list[list[Rows]] = [[] for _ in range(num_tasks)]
    for label, own in tasks_of.items():
        rows, others = class_rows[label], [task for task in range(num_tasks) if task not in own]
        chance = rng.generator(seed, "scenario/deal", label)
        order, first = chance.permutation(rows), int(chance.integers(max(1, len(others))))
        stray = max(0, min(math.floor(blurry * len(rows) + 0.5), len(rows) - 1)) if others else 0
        for place, task in enumerate(others[first:] + others[:first]):
            hands[task].append(order[place : stray : len(others)])
        for task, part in zip(own, np.array_split(order[stray:], len(own)), strict=True):
            hands[task].append(part)
    empty = np.zeros(0, np.int64)
    return tuple(np.sort(np.concatenate([empty, *hand])) for hand in hands)
