"""iCaRL: incremental classifier and representation learning: sigmoids, distilled; prediction by nearest class mean.

    L = mean over rows and classes of BCE(sigmoid(z), target) = log(1 + e^z) - target z
    target of class c: sigmoid(frozen z_c) if c is of an earlier task, else whether c is the row's label
    prediction: the class whose mean of exemplars' features, scaled to length 1, is nearest

Stream and memory rows have the same loss; exemplars are chosen by herding. Rebuffi et al., arXiv 1611.07725.

Differs from the paper and its public code:
1. All outputs of the head are in the loss from the start, those of future classes with target 0.
2. Memory rows are drawn at each step, `replay_batch` of them, in place of one training set of stream and memory.
3. Means are of the exemplars alone, not averaged with their mirror images.
4. A class has memory size // (classes seen) exemplars, as in the code base of DER; the authors round up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from maskcl.methods.base import Draw, NearestMean, Needs, Step, option

__all__ = ["Icarl"]


@dataclass(frozen=True, kw_only=True)
class Icarl(NearestMean):
    """Sigmoid cross-entropy on new classes, distillation of old ones, nearest mean of exemplars."""

    key: ClassVar[str] = "icarl"
    title: ClassVar[str] = "iCaRL"
    short: ClassVar[str] = "iCaRL"
    paper: ClassVar[str] = "1611.07725"

    replay_batch: int = option(10, "memory rows a step, 1 or more", least=1)

    @property
    def needs(self) -> Needs:
        """One draw of exemplars, and what the last task's network says of all rows."""
        return Needs(
            draws=(Draw(self.replay_batch),),
            policy="herding",
            joint_forward=True,
            teacher=("stream", "memory"),
            label_smoothing=False,
            no_mask="has no softmax: each class has a sigmoid of its own",
        )

    def loss(self, step: Step) -> Tensor:
        """Mean over rows and classes, [...]."""
        classes = torch.arange(step.logits.shape[-1], device=step.labels.device)
        target = (step.labels[..., None] == classes).to(step.logits.dtype)
        if step.teacher is not None:
            # In exponentials: those of PyTorch's sigmoid depend, in the last bit, on the members beside this one.
            target = torch.where(step.earlier, 1 / (1 + (-step.teacher).exp()), target)
        losses = torch.logaddexp(step.logits, torch.zeros_like(step.logits)) - target * step.logits
        return losses.mean(-1).mean(-1)
