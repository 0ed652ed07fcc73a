"""Learning without forgetting (LwF): stream rows are held to what the previous network said of old classes.

    L = mean of CE(stream) + alpha * mean of KL(softmax(frozen z_old / T) || softmax(z_old / T))

both softmaxes over the old classes alone. Li and Hoiem, arXiv 1606.09282. No memory.

Differs from the paper:
1. One head, all classes in the softmax of the cross-entropy; with a mask, that of the mask.
2. No warm-up of new classifier rows before each task, no factor T^2 (as in the DER code base).
3. The teacher sees the same rows in evaluation mode at each step, instead of once before the task: the same numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from maskcl.errors import check
from maskcl.functional import distillation
from maskcl.methods.base import Method, Step, check_weight, option

__all__ = ["LearningWithoutForgetting"]

OUT = -1e4
"""Logit that takes a class out of both softmaxes without a -inf minus -inf."""


@dataclass(frozen=True, kw_only=True)
class LearningWithoutForgetting(Method):
    """Cross-entropy on stream rows, distillation of old classes on the same rows."""

    key: ClassVar[str] = "lwf"
    title: ClassVar[str] = "Learning without forgetting (LwF)"
    paper: ClassVar[str] = "1606.09282"
    needs_teacher: ClassVar[bool] = True

    alpha: float = option(1.0, "weight of the distillation, 0 or more")
    temperature: float = option(2.0, "softens both softmaxes, above 0")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_weight(self, "alpha", "temperature")
        check(0 < self.temperature < math.inf, "method.temperature", "must be above 0", self.temperature)

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy plus distillation, [...]."""
        loss = self.losses(step).mean(-1)
        if step.teacher is None or step.old is None:
            return loss
        old, teacher = (z.masked_fill(~step.old, OUT) for z in (step.logits, step.teacher))
        return loss + self.alpha * distillation(old, teacher, temperature=self.temperature).mean(-1)
