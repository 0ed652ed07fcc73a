"""Joint training: all tasks' rows shuffled together, once, from scratch. The upper bound of the field.

It has no old classes, so a mask with policy "task" would change nothing and is refused; "batch" and "recent" work.
There is one training, at the last task, so only the last row of the accuracy matrix exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from maskcl.errors import check
from maskcl.methods.base import Method, Needs, Phase, Step

__all__ = ["Joint"]


@dataclass(frozen=True, kw_only=True)
class Joint(Method):
    """Cross-entropy on all tasks' rows at once."""

    key: ClassVar[str] = "joint"
    title: ClassVar[str] = "Joint training"
    short: ClassVar[str] = "Joint training"

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.mask is None or self.mask.policy != "task", "mask.policy",
              "must be 'batch' or 'recent' with method 'joint', which has no old classes", "task")  # fmt: skip

    @property
    def needs(self) -> Needs:
        """No samples of old classes."""
        return Needs(no_cfgm="has no old classes to make")

    def phases(self, task: int, num_tasks: int) -> tuple[Phase, ...]:
        """All rows, when the last task has come."""
        return (Phase(rows="all"),) if task == num_tasks - 1 else ()

    def loss(self, step: Step) -> Tensor:
        """Mean over stream rows, [...]."""
        return self.losses(step).mean(-1)
