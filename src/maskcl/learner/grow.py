"""One rule for every tensor when a class comes: what was there is the front of what is there now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from maskcl.engine.state import State, Weights
from maskcl.memory import MemoryState

__all__ = ["grown", "grown_state"]


def grown(old: Any, new: Any) -> Any:
    """Return a tree of the new form whose tensors begin with those of the old one.

    Args:
        old: Dicts, lists and `Weights` of tensors.
        new: A tree of the same structure; where sizes differ, a tensor has the larger of both in each dimension.

    >>> import torch
    >>> grown(torch.ones(1, 2), torch.zeros(2, 2)).tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """
    if isinstance(old, Tensor):
        if old.shape == new.shape:
            return old
        wide = new.new_zeros([max(a, b) for a, b in zip(old.shape, new.shape, strict=True)])
        wide[tuple(map(slice, new.shape))] = new
        wide[tuple(map(slice, old.shape))] = old
        return wide
    if isinstance(old, dict):
        return {name: grown(part, new[name]) for name, part in old.items()}
    if isinstance(old, list):
        return [grown(a, b) for a, b in zip(old, new, strict=True)]
    if isinstance(old, Weights):
        return Weights(grown(old.params, new.params), grown(old.buffers, new.buffers))
    return old


def grown_state(old: State, new: State) -> State:
    """Return a state for more classes that goes on from `old`; `new` is what a run of that width begins with."""
    tensors = {name: grown(part, new.tensors()[name]) for name, part in old.tensors().items() if name != "frozen"}
    frozen = None if old.frozen is None else grown(old.frozen, new.weights)
    return State(
        **tensors,
        frozen=frozen,
        memories=[
            None if a is None or b is None else _grown_memory(a, b)
            for a, b in zip(old.memories, new.memories, strict=True)
        ],
        last_seen=[_padded(a, b) for a, b in zip(old.last_seen, new.last_seen, strict=True)],
        position=old.position.copy(),
        steps=old.steps.copy(),
        updates=old.updates.copy(),
        recent=list(old.recent),
    )


def _grown_memory(old: MemoryState, new: MemoryState) -> MemoryState:
    return replace(old, class_counts=_padded(old.class_counts, new.class_counts))


def _padded(old: Any, new: Any) -> Any:
    return np.concatenate([old, new[len(old) :]])
