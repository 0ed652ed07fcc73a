"""Maximally interfered retrieval (MIR): replay the memory rows that the coming step would hurt most.

    w' = w - lr * gradient of the mean of CE(stream)
    of C candidates, the R with the largest CE(x; w') - CE(x; w) are replayed
    L = mean of CE(stream) + mean of CE(replayed)

Candidates are rows of earlier tasks. Aljundi et al., arXiv 1908.04742.

Differs from the paper and its public code:
1. The virtual step is one of plain SGD in evaluation mode: BatchNorm's running statistics are used, and not moved.
2. The variant that subtracts the best loss seen so far (theirs on MNIST) is left out.
3. Where no row of an earlier task is left in a tiny memory, candidates are drawn from all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from maskcl.errors import check
from maskcl.functional import row_losses
from maskcl.methods.base import Draw, Method, Needs, Step, option
from maskcl.settings import check_declared

__all__ = ["MaximallyInterferedRetrieval"]


@dataclass(frozen=True, kw_only=True)
class MaximallyInterferedRetrieval(Method):
    """ER whose draw is chosen among candidates by a virtual step."""

    key: ClassVar[str] = "mir"
    title: ClassVar[str] = "Maximally interfered retrieval (MIR)"
    paper: ClassVar[str] = "1908.04742"

    replay_batch: int = option(10, "memory rows a step, 1 or more", least=1)
    candidates: int = option(50, "memory rows that they are chosen from, `replay_batch` or more", least=1)
    replay_from_task: int = option(1, "first task (0-based) in which memory rows are drawn", least=0)

    def __post_init__(self) -> None:
        check_declared(self, "method")
        check(self.candidates >= self.replay_batch, "method.candidates",
              f"must be replay_batch, {self.replay_batch}, or more", self.candidates)  # fmt: skip
        super().__post_init__()

    @property
    def needs(self) -> Needs:
        """One draw of earlier tasks' rows, with candidates."""
        draw = Draw(self.replay_batch, candidates=self.candidates, classes="old")
        return Needs(draws=(draw,), replay_from_task=self.replay_from_task)

    def select(self, before: Tensor, after: Tensor, labels: Tensor) -> Tensor:
        """Those whose loss rises most, [..., replay_batch]."""
        rise = row_losses(after, labels) - row_losses(before, labels)
        return rise.topk(self.replay_batch, dim=-1).indices

    def loss(self, step: Step) -> Tensor:
        """Sum of two means, [...]."""
        stream, *memory = step.split(self.losses(step))
        return stream.mean(-1) + memory[0].mean(-1) if memory else stream.mean(-1)
