"""`ReplayMemory`: the replay memory as an object, for one's own training loop.

The mathematics is that of `maskcl.memory`; here are the tensors, and the counters that random numbers are functions of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskcl.errors import ConfigError, message
from maskcl.memory import MemoryState, plan_writes
from maskcl.replay.checks import check_draw, check_rows, check_settings, read_state
from maskcl.rng import generator

__all__ = ["Replay", "ReplayMemory"]


@dataclass(frozen=True, eq=False)
class Replay:
    """Rows drawn from a memory; a field stored under a name is also an attribute, e.g. `replay.logits`.

    Attributes:
        inputs: [n, ...].
        labels: int64 [n].
        fields: What was stored with the rows, by name, [n, ...] each.
    """

    inputs: Tensor
    labels: Tensor
    fields: Mapping[str, Tensor]

    def __getattr__(self, name: str) -> Tensor:  # asked only where there is no attribute of that name
        fields = self.__dict__.get("fields", {})  # unpickling asks before there are any
        if name not in fields:
            raise AttributeError(f"'Replay' has no field {name!r}; there are: {', '.join(fields) or 'none'}")
        return fields[name]


class ReplayMemory:
    """A memory of stream rows of bounded size: add each batch after training on it, draw rows to replay.

    Draw before adding, or a row may replay itself. Everything is a function of `seed` and of what was added: two
    memories of one seed that were given the same rows and asked as often give the same draws.

    Args:
        size: Slots, 1 or more.
        policy: "reservoir" (uniform over the stream), "ring" (the last rows of each class) or "class_balanced"
            (uniform within each class, classes as equal as the stream allows).
        num_classes: Classes that labels may name; needed by "ring" and "class_balanced".
        seed: Any integer.

    Raises:
        ConfigError: A setting that cannot be used.

    >>> import torch
    >>> from maskcl.functional import cross_entropy, masked_cross_entropy
    >>> _ = torch.manual_seed(0)
    >>> network, tasks = torch.nn.Linear(3, 4), [[0, 1], [2, 3]]
    >>> optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    >>> memory = ReplayMemory(8, seed=0)
    >>> for classes in tasks:
    ...     active = torch.isin(torch.arange(4), torch.tensor(classes))
    ...     for _ in range(5):
    ...         inputs, labels = torch.randn(6, 3), torch.tensor(classes * 3)
    ...         logits = network(inputs)
    ...         loss = masked_cross_entropy(logits, labels, active, leak=0.1).mean()
    ...         if len(memory) > 0:
    ...             old = memory.draw(6)
    ...             now = network(old.inputs)
    ...             loss = loss + cross_entropy(now, old.labels).mean() + 0.5 * (now - old.logits).square().mean()
    ...         optimizer.zero_grad()
    ...         loss.backward()
    ...         optimizer.step()
    ...         memory.add(inputs, labels, logits=logits)
    >>> len(memory), memory.num_bytes
    (8, 288)
    """

    def __init__(self, size: int, *, policy: str = "reservoir", num_classes: int | None = None, seed: int = 0) -> None:
        check_settings(size, policy, num_classes, seed)
        self.size, self.policy, self.seed = int(size), policy, int(seed)
        self.num_classes = None if num_classes is None else int(num_classes)
        self._state, self._num_draws = MemoryState.empty(self.size, self.num_classes or 1), 0
        self._slots: dict[str, Tensor] = {}

    def __len__(self) -> int:
        """Rows in the memory."""
        return self._state.filled

    def __repr__(self) -> str:
        return f"ReplayMemory({len(self)} of {self.size} slots, policy={self.policy!r}, seed={self.seed})"

    @property
    def num_seen(self) -> int:
        """Rows offered so far."""
        return self._state.num_seen

    @property
    def num_bytes(self) -> int:
        """Bytes of inputs, labels and fields in all slots, empty ones included; 0 before the first `add`."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._slots.values())

    def add(self, inputs: Tensor, labels: Tensor, **fields: Tensor) -> None:
        """Offer the next rows of the stream; the policy decides which enter, and into whose place.

        Args:
            inputs: Rows, shape [B, ...].
            labels: Their classes, int64, shape [B].
            **fields: Further tensors [B, ...] to keep with the rows, e.g. logits; the same names at every call. They
                are kept without a graph.

        Raises:
            ShapeError: Shapes, types or names differ from each other's or from the first call's.
            DataError: A label outside the range of classes.
            ConfigError: Rows too large for so many slots to fit into memory.
        """
        rows = {"inputs": inputs, "labels": labels, **fields}
        check_rows(rows, self._slots, self.size, self.num_classes)
        classes = labels.detach().cpu().numpy()
        if self.num_classes is None:  # a reservoir does not look at classes
            classes = np.zeros_like(classes)
        before = self._state
        slots = plan_writes(self.policy, before, classes, generator(self.seed, "memory", before.num_seen))
        self._state = before.after(slots, before.num_seen + np.arange(len(classes)), classes)
        for name, tensor in rows.items():
            if name not in self._slots:
                self._slots[name] = tensor.new_zeros(self.size, *tensor.shape[1:])
        written = np.flatnonzero(self._state.rows >= before.num_seen)
        sources = self._state.rows[written] - before.num_seen
        for name, tensor in rows.items():
            at, source = (torch.from_numpy(index).to(tensor.device) for index in (written, sources))
            self._slots[name].index_copy_(0, at, tensor.detach().index_select(0, source))

    def draw(self, n: int) -> Replay:
        """Draw rows, any `n` distinct ones in any order alike; with replacement while there are fewer.

        Args:
            n: Rows, 1 or more.

        Returns:
            Copies of the rows, on the device they were given on.

        Raises:
            DataError: The memory is empty.
            ConfigError: More rows than fit into memory.
        """
        check_draw(n, len(self), self.num_bytes // self.size)
        filled = np.flatnonzero(self._state.rows >= 0)
        rng = generator(self.seed, "draws", self._num_draws)
        picks = rng.choice(filled, int(n), replace=len(filled) < n)  # in random order: a draw may be cut in two
        self._num_draws += 1
        index = torch.from_numpy(picks)
        rows = {name: slots.index_select(0, index.to(slots.device)) for name, slots in self._slots.items()}
        return Replay(rows.pop("inputs"), rows.pop("labels"), rows)

    def to(self, device: str | torch.device) -> ReplayMemory:
        """Move the rows to a device, where those added from now on must be; an empty memory takes rows of any.

        Args:
            device: "cpu", "cuda", "cuda:1", ...

        Returns:
            The memory itself.

        Raises:
            ConfigError: PyTorch has no such device here.
        """
        try:
            torch.empty(0, device=device)
        except (RuntimeError, TypeError, AssertionError) as error:  # an assertion where PyTorch was built without CUDA
            must = "must be a device that PyTorch has here"
            raise ConfigError(message("ReplayMemory.to: device", must, device)) from error
        self._slots = {name: slots.to(device) for name, slots in self._slots.items()}
        return self

    def state_dict(self) -> dict[str, Any]:
        """Everything that later draws depend on: numbers, strings and copies of tensors."""
        return self._plan() | {"slots": {name: tensor.clone() for name, tensor in self._slots.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another memory of the same size, policy and classes was, its seed included.

        Args:
            state: From `state_dict`; tensors stay on the device they are on, `to` moves them.

        Raises:
            ConfigError: It is the state of another kind of memory, or not one at all.
        """
        read = read_state(state, self._plan())  # all of it is looked at before anything is taken over
        self.seed, self._num_draws, self._state, self._slots = read

    def _plan(self) -> dict[str, Any]:
        """The state without the rows themselves."""
        state = self._state
        return {
            "size": self.size, "policy": self.policy, "num_classes": self.num_classes, "seed": self.seed,
            "num_seen": state.num_seen, "num_draws": self._num_draws,
            "rows": torch.tensor(state.rows), "row_labels": torch.tensor(state.labels),
            "class_counts": torch.tensor(state.class_counts),
        }  # fmt: skip
