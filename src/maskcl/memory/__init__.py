"""The replay memory: policies, what a memory holds, how it is planned and drawn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from maskcl.errors import ConfigError, check, message
from maskcl.memory.base import POLICIES, Ints, MemoryConfig, MemoryPolicy, MemoryState
from maskcl.memory.draws import draw_slots, fill_order, keep_order, rows_in_slots
from maskcl.memory.herding import Herding, herding_order
from maskcl.memory.policies import ClassBalanced, Greedy, Reservoir, Ring
from maskcl.view import View

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
    "refilled",
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
    check(isinstance(key, str), "register", 'must be given the policy\'s key: @register("mine")', key)

    def add(policy: P) -> P:
        good = isinstance(policy, type) and issubclass(policy, MemoryPolicy)
        check(good, f"register({key!r})", "must be given a class derived from maskcl.memory.MemoryPolicy", policy)
        own = good and any(vars(MemoryPolicy)[hook] is not getattr(policy, hook) for hook in ("writes", "refill"))
        check(
            own, f"register({key!r})", "must override writes or refill, or nothing enters the memory", policy.__name__
        )
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
    slots = POLICIES[policy].writes(state, labels, rng)
    good = isinstance(slots, np.ndarray) and slots.dtype.kind == "i" and slots.shape == labels.shape
    if good and len(slots):
        ends = (int(slots[0]),) if len(slots) == 1 else (slots.min(), slots.max())
        good = min(ends) >= -1 and max(ends) < len(state.rows)
    if not good:
        each = f"for each of {len(labels)} rows, as a NumPy array of integers"
        must = f"must be a slot below {len(state.rows)}, or -1, {each}"
        got = None if slots is None else type(slots).__name__
        raise ConfigError(message(f"memory policy {policy!r}: writes", must, got))
    return slots


def refilled(policy: str, state: MemoryState, view: View) -> MemoryState:
    """Return what a policy's `refill` gives, if it is a memory of the same size whose labels are its rows'."""
    found = POLICIES[policy].refill(state, view)
    where, size = f"memory policy {policy!r}: refill", len(state.rows)
    check(isinstance(found, MemoryState), where, "must be a MemoryState", type(found).__name__)
    for name in ("rows", "labels"):
        array = vars(found)[name]
        kind = (array.dtype.name, array.shape) if isinstance(array, np.ndarray) else type(array).__name__
        check(kind == ("int64", (size,)), f"{where}: {name}", f"must be int64 of shape {(size,)}", kind)
    kept = found.rows >= 0
    known = set(state.rows[state.rows >= 0].tolist()) | set(view.task_rows.tolist())
    check(set(found.rows[kept].tolist()) <= known, f"{where}: rows", "must be rows of the memory or of the task")
    right = (view.labels(found.rows[kept]).cpu().numpy() == found.labels[kept]).all()
    check(bool(right), f"{where}: labels", "must be the classes of the rows")
    return found
