"""Which classes came in which of a learner's tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcl.mask import Mask

__all__ = ["Classes", "hidden_classes", "union", "with_task"]

Classes = tuple[int, ...]


def union(classes: Classes, labels: NDArray[np.int64]) -> Classes:
    """Return classes with those of rows, sorted."""
    return tuple(sorted({*classes, *labels.tolist()}))


def with_task(tasks: Sequence[Classes], classes: Classes) -> list[Classes]:
    """Return tasks with one more; a class that comes back belongs to the newest task it was met in.

    >>> with_task([(0, 1), (2,)], (1, 3))
    [(0,), (2,), (1, 3)]
    """
    return [*(tuple(c for c in task if c not in classes) for task in tasks), classes]


def hidden_classes(mask: Mask | None, tasks: Sequence[Classes], num_classes: int) -> Tensor:
    """Return the classes that must not be predicted, bool [C]: those that never came, where the mask hides them.

    >>> hidden_classes(Mask(leak=0.1, visible="seen"), [(0,), (2,)], 4).tolist()
    [False, True, False, True]
    """
    hidden = torch.ones(num_classes, dtype=torch.bool)
    if mask is None or mask.visible != "seen":
        return ~hidden
    hidden[[c for classes in tasks for c in classes]] = False
    return hidden
