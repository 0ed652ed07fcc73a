"""The replay memory, planned ahead: which slot each stream row enters, which slots each draw reads.

Most policies depend on seeds, labels and sizes alone, never on weights. So a whole task is planned before its first
step, in NumPy; the engine then only gathers. All functions are pure; `maskcl.ReplayMemory` is the same thing for one's
own loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from maskcl.errors import check, is_whole
from maskcl.registry import Registry
from maskcl.settings import option
from maskcl.view import View

__all__ = ["POLICIES", "Ints", "MemoryConfig", "MemoryPolicy", "MemoryState"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """What the memory holds.

    Args:
        size: Slots, all classes together; 0 for none.
        policy: "reservoir" (uniform over the stream), "ring" (the last rows of each class), "class_balanced"
            (uniform within each class, classes as equal as the stream allows), "greedy" (classes equal at every
            moment, as GDumb has it), "herding" (the rows whose features keep closest to their class mean, chosen at
            task ends), or one of your own; left out: the method's, which is "reservoir" for most.
    """

    size: int = option(200, least=0)
    policy: str | None = None

    def __post_init__(self) -> None:
        good = is_whole(self.size) and self.size >= 0
        check(good, "memory.size", "must be 0 or more slots", self.size)
        if self.policy is not None:
            POLICIES.key(self.policy)


@dataclass(frozen=True)
class MemoryState:
    """What the memory holds at one moment.

    Attributes:
        rows: Row id in each slot, -1 where empty, int64 [M].
        labels: Class in each slot, -1 where empty, int64 [M].
        num_seen: Stream rows offered so far.
        class_counts: Stream rows offered so far, by class, int64 [C].
    """

    rows: Ints
    labels: Ints
    num_seen: int
    class_counts: Ints

    @staticmethod
    def empty(size: int, num_classes: int) -> MemoryState:
        """An empty memory of `size` slots."""
        return MemoryState(np.full(size, -1), np.full(size, -1), 0, np.zeros(num_classes, np.int64))

    @property
    def filled(self) -> int:
        """Slots in use."""
        return int((self.rows >= 0).sum())

    def after(self, slots: Ints, rows: Ints, labels: Ints) -> MemoryState:
        """The state once `rows` [N] have been offered in order and gone into `slots` [N] (-1: dropped)."""
        kept = slots >= 0
        new_rows, new_labels = self.rows.copy(), self.labels.copy()
        new_rows[slots[kept]] = rows[kept]  # NumPy keeps the last of repeated indices, as the stream does
        new_labels[slots[kept]] = labels[kept]
        counts = self.class_counts + np.bincount(labels, minlength=len(self.class_counts))
        return replace(self, rows=new_rows, labels=new_labels, num_seen=self.num_seen + len(rows), class_counts=counts)


class MemoryPolicy:
    """What enters the memory, and what makes room: a policy of one's own overrides one of the two hooks.

    `writes` decides by labels and chance, for a whole task at once. A policy that looks at features or logits overrides
    `refill`, which is called when a task has ended.
    """

    fixed_classes: ClassVar[bool] = False
    """Whether slots belong to classes, so that a class nobody knew of would find none."""

    @property
    def refills(self) -> bool:
        """Whether it chooses anew at task ends."""
        return type(self).refill is not MemoryPolicy.refill

    def least_size(self, num_classes: int) -> int:
        """Slots that it needs at least."""
        return 1

    def writes(self, state: MemoryState, labels: Ints, rng: np.random.Generator) -> Ints:
        """Return the slot that each of the next stream rows enters, int64 [N], -1 where it is dropped.

        Args:
            state: The memory before the first of them.
            labels: Their classes in stream order, int64 [N].
            rng: Source of chance.
        """
        return np.full(len(labels), -1)

    def refill(self, state: MemoryState, view: View) -> MemoryState:
        """Return what the memory holds from now on; called at a task's end, only where it is overridden.

        Args:
            state: The memory during the task.
            view: The member: its network's features, the task's rows.
        """
        raise NotImplementedError


def _add(key: str, policy: Any) -> None:
    """What an installed package announces may be a policy's class."""
    POLICIES.add(key, policy() if isinstance(policy, type) else policy)


POLICIES: Registry[MemoryPolicy] = Registry(
    "memory policy", where="memory.policy", group="maskcl.memory", add=_add, origin=type
)
"""Policies by key."""
