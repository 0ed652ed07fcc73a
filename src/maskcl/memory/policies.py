"""Policies that decide by labels and chance alone, and so can be planned ahead for a whole task."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from maskcl.errors import check
from maskcl.memory.base import Ints, MemoryPolicy, MemoryState

__all__ = ["ClassBalanced", "Greedy", "Reservoir", "Ring"]


class Reservoir(MemoryPolicy):
    """Uniform over the stream: algorithm R, vectorised."""

    def writes(self, state: MemoryState, labels: Ints, rng: np.random.Generator) -> Ints:
        """The n-th row (from 0) takes slot floor(u * (n + 1)) if there is one."""
        size = len(state.rows)
        if len(labels) == 1:  # the same in plain numbers: as arrays of one it takes 8 µs, more than a tenth of a step
            slot = int(rng.random() * (state.num_seen + 1))
            slot = state.num_seen if state.num_seen < size else slot
            return np.array([slot if slot < size else -1])
        seen = state.num_seen + np.arange(len(labels))
        slots = np.floor(rng.random(len(labels)) * (seen + 1)).astype(np.int64)
        slots = np.where(seen < size, seen, slots)
        return np.where(slots < size, slots, -1)


class Ring(MemoryPolicy):
    """The last rows of each class, which owns M // C slots."""

    fixed_classes: ClassVar[bool] = True

    def least_size(self, num_classes: int) -> int:
        """A slot for each class."""
        return num_classes

    def writes(self, state: MemoryState, labels: Ints, rng: np.random.Generator) -> Ints:
        """Each class overwrites its oldest row."""
        num_classes = len(state.class_counts)
        share = len(state.rows) // num_classes
        check(share >= 1, "memory.size", f"must be {num_classes} or more with policy 'ring': a slot for each class",
              len(state.rows))  # fmt: skip
        return labels * share + (state.class_counts[labels] + _rank_within(labels)) % share


class ClassBalanced(MemoryPolicy):
    """Uniform within each class, classes as equal as the stream allows (Chrysakis and Moens, ICML 2020).

    A class that has lost a row, or is the largest, is "full": it goes on as a reservoir of its own size.
    """

    def writes(self, state: MemoryState, labels: Ints, rng: np.random.Generator) -> Ints:
        """Sequential by nature: each row's fate hangs on the class sizes at that moment."""
        slots_of = [np.flatnonzero(state.labels == c).tolist() for c in range(len(state.class_counts))]
        free = np.flatnonzero(state.labels < 0)[::-1].tolist()
        offered = state.class_counts.tolist()
        uniform, out = rng.random((len(labels), 2)).tolist(), np.full(len(labels), -1)
        for n, label in enumerate(labels.tolist()):
            mine, (u, v) = slots_of[label], uniform[n]
            if free:
                out[n] = free.pop()
                mine.append(int(out[n]))
            else:
                if len(mine) == offered[label] < max(map(len, slots_of)):  # has lost nothing yet: not full
                    out[n] = _freed(slots_of, u, v)
                    mine.append(int(out[n]))
                elif (place := int(u * (offered[label] + 1))) < len(mine):
                    out[n] = mine[place]
            offered[label] += 1
        return out


class Greedy(MemoryPolicy):
    """Classes equal at every moment: GDumb's sampler (Prabhu et al., ECCV 2020).

    A row enters while its class has less than M // (classes seen) rows; in a full memory it takes the place of a random
    row of a largest class.
    """

    def writes(self, state: MemoryState, labels: Ints, rng: np.random.Generator) -> Ints:
        """Sequential by nature: each row's fate hangs on the class sizes at that moment."""
        slots_of = [np.flatnonzero(state.labels == c).tolist() for c in range(len(state.class_counts))]
        free = np.flatnonzero(state.labels < 0)[::-1].tolist()
        seen = set(np.flatnonzero(state.class_counts).tolist())
        uniform, out = rng.random((len(labels), 2)).tolist(), np.full(len(labels), -1)
        for n, label in enumerate(labels.tolist()):
            is_new, mine = label not in seen, slots_of[label]
            seen.add(label)
            if not is_new and len(mine) >= len(state.rows) // len(seen):
                continue
            if free:
                out[n] = free.pop()
            else:
                out[n] = _freed(slots_of, *uniform[n])
            mine.append(int(out[n]))
        return out


def _freed(slots_of: list[list[int]], u: float, v: float) -> int:
    """Take a slot from a class that has the most: which of these classes, and which of its slots, by chance."""
    largest = max(map(len, slots_of))
    donors = [slots for slots in slots_of if len(slots) == largest]
    donor = donors[int(u * len(donors))]
    return donor.pop(int(v * len(donor)))


def _rank_within(labels: Ints) -> Ints:
    """For each row, how many earlier rows have the same label."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    starts = np.searchsorted(ordered, ordered)
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels)) - starts
    return rank
