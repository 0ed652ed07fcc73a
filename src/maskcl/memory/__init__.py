"""The replay memory: policies, what a memory holds, how it is planned and drawn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from maskcl.memory.base import POLICIES, Ints, MemoryConfig, MemoryPolicy, MemoryState
from maskcl.memory.draws import draw_slots, fill_order, keep_order, rows_in_slots
from maskcl.memory.herding import Herding, herding_order
from maskcl.memory.policies import ClassBalanced, Greedy, Reservoir, Ring

__all__ = [
    "POLICIES",
    "Ints",
    "MemoryConfig",
    "MemoryPolicy",
    "MemoryState",
    "draw_slots",
    "fill_order",
    "herding_order",
    "keep_order",
    "plan_writes",
    "register",
    "rows_in_slots",
]

P = TypeVar("P", bound=type[MemoryPolicy])


def register(key: str) -> Callable[[P], P]:
    """Make a policy known under a key; a decorator for its class.

    >>> @register("first")
    ... class First(MemoryPolicy):
    ...     def writes(self, state, labels, rng):
    ...         slots = state.num_seen + np.arange(len(labels))
    ...         return np.where(slots < len(state.rows), slots, -1)
    >>> plan_writes("first", MemoryState.empty(2, 1), np.array([0, 0, 0]), np.random.default_rng(0))
    array([ 0,  1, -1])
    >>> POLICIES.remove("first")
    """

    def add(policy: P) -> P:
        if type(POLICIES.get(key)).__qualname__ == policy.__qualname__:  # defined again, as in a notebook's cell
            POLICIES.remove(key)
        POLICIES.add(key, policy())
        return policy

    return add


for _key, _policy in (
    ("reservoir", Reservoir()),
    ("ring", Ring()),
    ("class_balanced", ClassBalanced()),
    ("greedy", Greedy()),
    ("herding", Herding()),
):
    POLICIES.add(_key, _policy)


def plan_writes(policy: str, state: MemoryState, labels: Ints, rng: np.random.Generator) -> Ints:
    """Return the slot that each of the next stream rows enters, -1 where it is dropped.

    Args:
        policy: A key of `POLICIES`.
        state: The memory before the first of them.
        labels: Their classes in stream order, int64 [N].
        rng: Source of chance.

    Returns:
        int64 [N]; a later row overwrites an earlier one in the same slot.
    """
    if len(state.rows) == 0:
        return np.full(len(labels), -1)
    return POLICIES[policy].writes(state, labels, rng)
