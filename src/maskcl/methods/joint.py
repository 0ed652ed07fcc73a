"""Joint training: all tasks' rows shuffled together, once, from scratch. The upper bound of the field.

It has no old classes, so a mask with policy "task" would change nothing and is refused; "batch" and "recent" work.
There is one training, at the last task, so only the last row of the accuracy matrix exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from maskcl.errors import check
from maskcl.methods.base import Method, Step

__all__ = ["Joint"]


@dataclass(frozen=True, kw_only=True)
class Joint(Method):
    """Cross-entropy on all tasks' rows at once."""

    key: ClassVar[str] = "joint"
    title: ClassVar[str] = "Joint training"
    trains_on: ClassVar[str] = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.mask is None or self.mask.policy != "task", "mask.policy",
              "must be 'batch' or 'recent' with method 'joint', which has no old classes", "task")  # fmt: skip

    def loss(self, step: Step) -> Tensor:
        """Mean over stream rows, [...]."""
        return self.losses(step).mean(-1)
