"""ER-ACE: experience replay with asymmetric cross-entropy.

    L = mean of CE over the classes among the stream rows + mean of CE(memory)

Caccia et al., arXiv 2104.05025. It is ER (reduction "sum") with `Mask(value=-inf, policy="batch")`, and that is how
it is written here; a test shows the identity.

Differs from the paper and its public code:
1. The paper's mask holds the classes of the batch alone. The public code leaves every class with an index at or above
   the largest seen in the softmax as well: `mask.keep_future = true`.
2. The cosine classifier of the public code is a setting of the network: `network.classifier = "cosine"`.
3. Mask and replay start with the second task, as in the DER code base; `replay_from_task` and `mask.from_task` can
   be set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from maskcl.mask import Mask
from maskcl.methods.base import Draw, Method, Step, option

__all__ = ["ErAce"]


@dataclass(frozen=True, kw_only=True)
class ErAce(Method):
    """ER whose stream rows compare only the classes of their own batch."""

    key: ClassVar[str] = "er_ace"
    title: ClassVar[str] = "ER-ACE"
    paper: ClassVar[str] = "2104.05025"
    needs_memory: ClassVar[bool] = True

    mask: Mask | None = option(
        Mask(value=-math.inf, policy="batch", from_task=1),
        "the asymmetric part: m = -inf over the classes of the batch",
    )
    replay_batch: int = option(10, "memory rows a step, 1 or more")
    replay_from_task: int = option(1, "first task (0-based) in which memory rows are drawn")

    @property
    def draws(self) -> tuple[Draw, ...]:
        """One draw."""
        return (Draw(self.replay_batch),)

    def loss(self, step: Step) -> Tensor:
        """Sum of two means, [...]."""
        new, *old = step.split(self.losses(step))
        return new.mean(-1) + old[0].mean(-1) if old else new.mean(-1)
