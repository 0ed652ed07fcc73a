"""Fine-tuning: cross-entropy on the stream and nothing else.

Forgets almost everything: final accuracy is near 1 / number of tasks. The lower bound of the field, and with a mask
the plainest learner without memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from maskcl.methods.base import Method, Step

__all__ = ["FineTune"]


@dataclass(frozen=True, kw_only=True)
class FineTune(Method):
    """Cross-entropy on stream rows."""

    key: ClassVar[str] = "finetune"
    title: ClassVar[str] = "Fine-tuning (SGD)"
    short: ClassVar[str] = "Fine-tuning"

    def loss(self, step: Step) -> Tensor:
        """Mean over stream rows, [...]."""
        return self.losses(step).mean(-1)
