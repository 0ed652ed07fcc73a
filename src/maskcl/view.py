"""What a network gives, and what is shown of one member of a population when a task ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Outputs", "View"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Outputs:
    """What a network gives for some rows.

    Attributes:
        logits: [..., n, C].
        features: What goes into the classifier, [..., n, D]; None unless they are asked for.
        projected: What the method's own head makes of the features, [..., n, P]; None without one.
    """

    logits: Tensor
    features: Tensor | None = None
    projected: Tensor | None = None

    @staticmethod
    def joined(parts: Sequence[Outputs], dim: int) -> Outputs:
        """Join what a network gives for some rows with what it gives for others, along the rows' dimension."""
        if len(parts) == 1:
            return parts[0]
        logits, features, projected = (
            [t for t in column if t is not None]
            for column in zip(*((p.logits, p.features, p.projected) for p in parts), strict=True)
        )
        return Outputs(torch.cat(logits, dim), *(torch.cat(c, dim) if c else None for c in (features, projected)))


class View(Protocol):
    """One member at a task's end, or at an evaluation; rows are ids of the image table, int64 [n].

    Attributes:
        task: The task, 0-based.
        tasks: Classes of each task so far, the present one last.
        weights: The network's parameters.
        task_rows: Training rows of the task, held-out ones left out.
        memory_rows: Rows in the memory, in the order of its slots.
        held_out_rows: Rows that nothing was trained on, as many of each class so far; empty unless they are asked for.
    """

    @property
    def task(self) -> int: ...  # noqa: D102

    @property
    def tasks(self) -> tuple[tuple[int, ...], ...]: ...  # noqa: D102

    @property
    def weights(self) -> list[Tensor]: ...  # noqa: D102

    @property
    def task_rows(self) -> Ints: ...  # noqa: D102

    @property
    def memory_rows(self) -> Ints: ...  # noqa: D102

    @property
    def held_out_rows(self) -> Ints: ...  # noqa: D102

    def labels(self, rows: Ints) -> Tensor:
        """Classes of rows, int64 [n]."""
        ...

    def outputs(self, rows: Ints) -> Outputs:
        """What the network gives for rows, in evaluation mode, without a graph; its features always."""
        ...

    def squared_gradients(self, num_rows: int) -> list[Tensor]:
        """Mean over up to `num_rows` rows of the task of the squared gradient of log p(label), like the weights."""
        ...
