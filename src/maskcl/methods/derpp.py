"""DER++: dark experience replay, and cross-entropy on a second, independent draw.

    L = mean of CE(stream) + alpha * mean of (z - stored z)^2 + beta * mean of CE(second draw)

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

__all__ = ["DarkExperienceReplayPlus"]


@dataclass(frozen=True, kw_only=True)
class DarkExperienceReplayPlus(Method):
    """DER with labels on a second draw."""

    key: ClassVar[str] = "derpp"
    title: ClassVar[str] = "DER++"
    short: ClassVar[str] = "DER++"
    paper: ClassVar[str] = "2004.07211"

    replay_batch: int = option(10, "memory rows of each draw, 1 or more", least=1)
    alpha: float = dial(0.5, "weight of the distillation, 0 or more", least=0)
    beta: float = dial(0.5, "weight of the second draw's cross-entropy, 0 or more", least=0)
    store: str = option(
        "before", "logits kept with a stream row: 'before' or 'after' the update", choices=("before", "after")
    )
    replay_from_task: int = option(0, "first task (0-based) in which memory rows are drawn", least=0)

    @property
    def needs(self) -> Needs:
        """Two independent draws: one for the logits, one for the labels."""
        draws = (Draw(self.replay_batch, stored_logits=True), Draw(self.replay_batch))
        return Needs(draws=draws, replay_from_task=self.replay_from_task, store_after=self.store == "after")

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy plus distillation plus replay, [...]."""
        stream, *replayed = step.split(self.losses(step))
        if not step.replays:
            return stream.mean(-1)
        _, dark, _ = step.split(step.logits, -2)
        distilled = logit_mse(dark, step.stored_logits(0)).mean(-1)
        return stream.mean(-1) + self.alpha * distilled + self.beta * replayed[1].mean(-1)
