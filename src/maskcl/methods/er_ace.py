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
import warnings
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from maskcl.errors import MaskclWarning
from maskcl.mask import Mask
from maskcl.methods.base import Draw, Method, Needs, Step, option

__all__ = ["ErAce"]


@dataclass(frozen=True, kw_only=True)
class ErAce(Method):
    """ER whose stream rows compare only the classes of their own batch."""

    key: ClassVar[str] = "er_ace"
    title: ClassVar[str] = "ER-ACE"
    paper: ClassVar[str] = "2104.05025"

    mask: Mask | None = option(
        Mask(value=-math.inf, policy="batch", from_task=1),
        "the asymmetric part: m = -inf over the classes of the batch",
    )
    replay_batch: int = option(10, "memory rows a step, 1 or more", least=1)
    replay_from_task: int = option(1, "first task (0-based) in which memory rows are drawn", least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask is None:
            text = "er_ace without its mask is er with reduction = 'sum': the mask is what makes it ER-ACE."
            warnings.warn(text, MaskclWarning, stacklevel=4)

    @property
    def needs(self) -> Needs:
        """One draw."""
        return Needs(draws=(Draw(self.replay_batch),), replay_from_task=self.replay_from_task)

    def loss(self, step: Step) -> Tensor:
        """Sum of two means, [...]."""
        stream, *memory = step.split(self.losses(step))
        return stream.mean(-1) + memory[0].mean(-1) if memory else stream.mean(-1)
