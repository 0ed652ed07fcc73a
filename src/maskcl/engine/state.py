"""Everything that training changes, as one tree: for dropping members, waiting, saving, resuming. It does nothing else.

In a population every tensor has a leading member dimension, in a single run none has (the method's state always has).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcl.memory import MemoryState
from maskcl.methods import State as MethodState

__all__ = ["Book", "State", "Weights", "map_tensors", "named_tensors", "pairs", "stack_trees"]


@dataclass(frozen=True)
class Weights:
    """A network's parameters and buffers by name, the method's head among them."""

    params: dict[str, Tensor]
    buffers: dict[str, Tensor]


@dataclass(frozen=True)
class Book:
    """What is counted of K members at one moment; attributes as `State` has them."""

    memories: list[MemoryState | None]
    last_seen: list[NDArray[np.int64]]
    position: NDArray[np.int64]
    steps: NDArray[np.int64]
    updates: NDArray[np.int64]
    recent: list[NDArray[np.int64]]

    def take(self, members: Sequence[int]) -> Book:
        """Return that of some members."""
        index = list(members)
        return Book(
            [self.memories[k] for k in index], [self.last_seen[k] for k in index],
            self.position[index], self.steps[index], self.updates[index], [self.recent[k] for k in index],
        )  # fmt: skip


@dataclass
class State:
    """The state of K members between two steps.

    Attributes:
        weights: The networks.
        optimizer: Its tensors by slot, one a parameter.
        method: What the method remembers, [K, ...] in any case.
        stored: Logits stored with memory rows, [K, M, C] or [M, C]; no rows where none are stored.
        frozen: The networks as the last task left them; None where nobody asks for them.
        average: Means of the weights so far in the last part of a task; None where none are made.
        memories: What each member's memory holds; None without one.
        last_seen: Stream position at which each class was last seen, -1 if never, int64 [C], for each member.
        position: Stream rows so far, int64 [K].
        steps: Steps so far, int64 [K]; a separate update of CFGM belongs to its step.
        updates: Updates of the optimiser so far, int64 [K]; not counted with plain SGD, which does not look at them.
        recent: Classes of the last stream rows, the newest last, for each member; none where no mask counts them.
    """

    weights: Weights
    optimizer: dict[str, list[Tensor]]
    method: MethodState
    stored: Tensor
    frozen: Weights | None
    average: Weights | None
    memories: list[MemoryState | None]
    last_seen: list[NDArray[np.int64]]
    position: NDArray[np.int64]
    steps: NDArray[np.int64]
    updates: NDArray[np.int64]
    recent: list[NDArray[np.int64]]

    def take(self, members: Sequence[int]) -> State:
        """Return copies of some members of a population."""
        index = torch.tensor(members, device=self.stored.device)
        return State(
            **{name: map_tensors(lambda t: t.detach()[index], part) for name, part in self.tensors().items()},
            **vars(self.book().take(members)),
        )

    @torch.no_grad()
    def put(self, members: Sequence[int], part: State) -> None:
        """Write back what `take` gave; tensors change in place, others stay as they are to the last bit."""
        index, new = torch.tensor(members, device=self.stored.device), dict(named_tensors(part.tensors()))
        for name, tensor in named_tensors(self.tensors()):
            tensor.index_copy_(0, index, new[name])
        for j, k in enumerate(members):
            self.memories[k], self.last_seen[k], self.recent[k] = part.memories[j], part.last_seen[j], part.recent[j]
            for name in ("position", "steps", "updates"):
                getattr(self, name)[k] = getattr(part, name)[j]

    def book(self) -> Book:
        """Return a copy of what is counted."""
        return Book(
            list(self.memories), [seen.copy() for seen in self.last_seen],
            self.position.copy(), self.steps.copy(), self.updates.copy(), list(self.recent),
        )  # fmt: skip

    def restore(self, book: Book) -> None:
        """Go back to what was counted at another moment."""
        self.memories, self.last_seen = list(book.memories), [seen.copy() for seen in book.last_seen]
        self.recent = list(book.recent)
        self.position[:] = book.position
        self.count(steps=book.steps, updates=book.updates)

    def count(self, *, steps: NDArray[np.int64], updates: NDArray[np.int64]) -> None:
        """Set the counters, in place: the optimiser counts updates in the same array."""
        self.steps[:], self.updates[:] = steps, updates

    def to(self, device: torch.device) -> State:
        """Return the state with its tensors on a device."""
        return dataclasses.replace(
            self, **{name: map_tensors(lambda t: t.to(device), part) for name, part in self.tensors().items()}
        )

    def copy(self) -> State:
        """Return a copy that shares nothing that changes."""
        return State(
            **{name: map_tensors(lambda t: t.detach().clone(), part) for name, part in self.tensors().items()},
            **vars(self.book()),
        )

    def tensors(self) -> dict[str, Any]:
        """The parts that are tensors, as a tree."""
        names = ("weights", "optimizer", "method", "stored", "frozen", "average")
        return {name: getattr(self, name) for name in names}


def map_tensors(change: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """Return a tree of dicts, lists and `Weights` with every tensor changed."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, dict):
        return {name: map_tensors(change, part) for name, part in tree.items()}
    if isinstance(tree, list):
        return [map_tensors(change, part) for part in tree]
    if isinstance(tree, Weights):
        return Weights(map_tensors(change, tree.params), map_tensors(change, tree.buffers))
    return tree


def named_tensors(tree: Any, name: str = "") -> list[tuple[str, Tensor]]:
    """Return the tensors of a tree by dotted names."""
    if isinstance(tree, Tensor):
        return [(name, tree)]
    if isinstance(tree, Weights):
        tree = {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)}
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [pair for key, part in parts for pair in named_tensors(part, f"{name}.{key}".removeprefix("."))]


def pairs(tree: Any, other: Any) -> list[tuple[Tensor, Tensor]]:
    """Return the tensors of a tree, each with its namesake in another."""
    others = dict(named_tensors(other))
    return [(tensor, others[name]) for name, tensor in named_tensors(tree)]


def stack_trees(trees: Sequence[Any]) -> Any:
    """Join members' trees of one form on a new leading dimension."""
    first = trees[0]
    if isinstance(first, Tensor):
        return torch.stack([tree.detach() for tree in trees])
    if isinstance(first, dict):
        return {name: stack_trees([tree[name] for tree in trees]) for name in first}
    return [stack_trees(parts) for parts in zip(*trees, strict=True)]
