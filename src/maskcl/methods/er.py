"""Experience replay (ER): cross-entropy on stream rows and on a draw of the memory.

    L = mean over the joined rows of CE          (reduction "joined")
    L = mean of CE(stream) + mean of CE(memory)  (reduction "sum": with equal batches, twice the gradient)

Chaudhry et al., arXiv 1902.10486; the masked form is that of arXiv 2309.14808 (there with reduction "sum").

Differs from the paper: nothing known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from maskcl.methods.base import Draw, Method, Needs, Step, option

__all__ = ["ExperienceReplay"]


@dataclass(frozen=True, kw_only=True)
class ExperienceReplay(Method):
    """Cross-entropy on stream and memory rows."""

    key: ClassVar[str] = "er"
    title: ClassVar[str] = "Experience replay (ER)"
    paper: ClassVar[str] = "1902.10486"

    replay_batch: int = option(10, "memory rows a step, 1 or more", least=1)
    reduction: str = option(
        "joined", "'joined': one mean over all rows; 'sum': the sum of two means", choices=("joined", "sum")
    )
    replay_from_task: int = option(0, "first task (0-based) in which memory rows are drawn", least=0)

    @property
    def needs(self) -> Needs:
        """One draw."""
        return Needs(draws=(Draw(self.replay_batch),), replay_from_task=self.replay_from_task, joint_forward=True)

    def loss(self, step: Step) -> Tensor:
        """Joined mean, or sum of two means, [...]."""
        losses = self.losses(step)
        if self.reduction == "joined" or not step.replays:
            return losses.mean(-1)
        stream, memory = step.split(losses)
        return stream.mean(-1) + memory.mean(-1)
