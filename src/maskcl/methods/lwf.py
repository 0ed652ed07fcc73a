"""Learning without forgetting (LwF): stream rows are held to what the previous network said of old classes.

    L = mean of CE(stream) + alpha * mean of KL(softmax(frozen z_old / T) || softmax(z_old / T))

both softmaxes over the old classes alone. Li and Hoiem, arXiv 1606.09282. No memory.

Differs from the paper:
1. One head, all classes in the softmax of the cross-entropy; with a mask, that of the mask.
2. No warm-up of new classifier rows before each task, no factor T^2 (as in the DER code base).
3. The teacher sees the same rows in evaluation mode at each step, instead of once before the task: the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from maskcl.functional import distillation
from maskcl.methods.base import Method, Needs, Step, dial

__all__ = ["LearningWithoutForgetting"]

OUT = -1e4
"""Logit that takes a class out of both softmaxes without a -inf minus -inf."""


@dataclass(frozen=True, kw_only=True)
class LearningWithoutForgetting(Method):
    """Cross-entropy on stream rows, distillation of old classes on the same rows."""

    key: ClassVar[str] = "lwf"
    title: ClassVar[str] = "Learning without forgetting (LwF)"
    short: ClassVar[str] = "LwF"
    paper: ClassVar[str] = "1606.09282"

    alpha: float = dial(1.0, "weight of the distillation, 0 or more", least=0)
    temperature: float = dial(2.0, "softens both softmaxes, above 0", above=0)

    @property
    def needs(self) -> Needs:
        """The frozen network's logits on the stream rows."""
        return Needs(teacher=("stream",))

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy plus distillation, [...]."""
        loss = self.losses(step).mean(-1)
        if step.teacher is None:
            return loss
        student, teacher = (z.masked_fill(~step.earlier, OUT) for z in (step.logits, step.teacher))
        return loss + self.alpha * distillation(student, teacher, temperature=self.temperature).mean(-1)
