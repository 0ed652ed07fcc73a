"""Dark experience replay (DER): memory rows are held to the logits they had when they were stored.

    L = mean of CE(stream) + alpha * mean over rows and classes of (z - stored z)^2

Buzzega et al., arXiv 2004.07211.

Differs from the paper: nothing known. `store = "after"` keeps the logits after the update, as the public code of
arXiv 2309.14808 does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from maskcl.functional import logit_mse
from maskcl.methods.base import Draw, Method, Needs, Step, dial, option

__all__ = ["DarkExperienceReplay"]


@dataclass(frozen=True, kw_only=True)
class DarkExperienceReplay(Method):
    """Cross-entropy on stream rows, distillation of stored logits on memory rows."""

    key: ClassVar[str] = "der"
    title: ClassVar[str] = "Dark experience replay (DER)"
    paper: ClassVar[str] = "2004.07211"

    replay_batch: int = option(10, "memory rows a step, 1 or more", least=1)
    alpha: float = dial(0.5, "weight of the distillation, 0 or more", least=0)
    store: str = option(
        "before", "logits kept with a stream row: 'before' or 'after' the update", choices=("before", "after")
    )
    replay_from_task: int = option(0, "first task (0-based) in which memory rows are drawn", least=0)

    @property
    def needs(self) -> Needs:
        """One draw, with its stored logits."""
        draws = (Draw(self.replay_batch, stored_logits=True),)
        return Needs(draws=draws, replay_from_task=self.replay_from_task, store_after=self.store == "after")

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy plus distillation, [...]."""
        stream, *_ = step.split(self.losses(step))
        if not step.replays:
            return stream.mean(-1)
        _, dark = step.split(step.logits, -2)
        return stream.mean(-1) + self.alpha * logit_mse(dark, step.stored_logits(0)).mean(-1)
