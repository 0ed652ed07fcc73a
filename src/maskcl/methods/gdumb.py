"""GDumb: a greedy sampler and a dumb learner; what a memory is worth without any learning from the stream.

The stream passes by, into a memory whose classes are equal at every moment. When a task ends, a fresh network is
trained on the memory alone. L = mean of CE(memory).

Prabhu, Torr and Dokania, "GDumb: A Simple Approach that Questions Our Progress in Continual Learning", ECCV 2020.

Differs from the paper:
1. No CutMix (theirs has none on MNIST either). Their learning rate, .05 falling to .0005 along cosines with restarts,
   is a setting: `training.schedule = { name = "cosine", final = 0.01 }`, without restarts; clipping is
   `optimizer.clip_norm`.
2. Fresh means the run's initial weights, each time.
3. Evaluations within a task (`evaluate_every`) see the fresh network in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from maskcl.methods.base import Method, Needs, Phase, Step, option

__all__ = ["GDumb"]


@dataclass(frozen=True, kw_only=True)
class GDumb(Method):
    """Cross-entropy on the memory, from scratch, at each task's end."""

    key: ClassVar[str] = "gdumb"
    title: ClassVar[str] = "GDumb"
    short: ClassVar[str] = "GDumb"

    passes: int = option(128, "passes over the memory at each task's end, 1 or more", least=1)

    @property
    def needs(self) -> Needs:
        """A memory, and nothing drawn from it."""
        return Needs(
            memory=True,
            policy="greedy",
            no_mask="learns all classes from the memory at once",
            no_cfgm="starts from scratch at each task's end, and has no former answers to hold to",
        )

    def phases(self, task: int, num_tasks: int) -> tuple[Phase, ...]:
        """The memory, from scratch."""
        return (Phase(rows="memory", epochs=self.passes, fresh=True),)

    def loss(self, step: Step) -> Tensor:
        """Mean over memory rows, [...]."""
        return self.losses(step).mean(-1)
