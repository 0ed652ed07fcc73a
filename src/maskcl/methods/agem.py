"""Averaged gradient episodic memory (A-GEM): a step must not raise the loss on the memory, to first order.

    g = gradient of the mean of CE(stream), r = gradient of the mean of CE(memory)
    the step is along g if g r >= 0, else along g - (g r / r r) r

Memory rows give a direction and nothing else: no step is taken along r. Chaudhry et al., arXiv 1812.00420.

Differs from the paper:
1. One head, all classes in the softmax; the paper has a head for each task. In class-incremental learning it is then
   far below ER (docs/methods/agem.md).
2. The ring is filled as the stream passes, instead of with the first rows of each class.
3. A separate update of CFGM is not projected: its samples are of old classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from maskcl.methods.base import Draw, Gradients, Method, Needs, State, Step, option, per_member

__all__ = ["AveragedGem"]


@dataclass(frozen=True, kw_only=True)
class AveragedGem(Method):
    """Cross-entropy on stream rows, projected where it would raise that on memory rows."""

    key: ClassVar[str] = "agem"
    title: ClassVar[str] = "A-GEM"
    short: ClassVar[str] = "A-GEM"
    paper: ClassVar[str] = "1812.00420"

    replay_batch: int = option(128, "memory rows that each step's direction is held to, 1 or more", least=1)
    replay_from_task: int = option(1, "first task (0-based) in which memory rows are drawn", least=0)

    @property
    def needs(self) -> Needs:
        """One draw; as many slots for each class."""
        return Needs(draws=(Draw(self.replay_batch),), policy="ring", replay_from_task=self.replay_from_task)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Two means, [...], each with a gradient of its own."""
        stream, *memory = step.split(self.losses(step))
        return {"stream": stream.mean(-1)} | ({"memory": memory[0].mean(-1)} if memory else {})

    def direction(self, gradients: Gradients, weights: Sequence[Tensor], state: State) -> list[Tensor]:
        """Take out of the stream's gradient what points against the memory's."""
        stream, memory = gradients["stream"], gradients.get("memory")
        if memory is None:
            return stream
        against = _product(stream, memory).clamp(max=0)
        share = against / _product(memory, memory).clamp(min=torch.finfo(against.dtype).tiny)
        return [g - per_member(share, g) * r for g, r in zip(stream, memory, strict=True)]


def _product(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Inner product of two gradients of each member, [K]."""
    each = [(a * b).reshape(len(a), -1).sum(1) for a, b in zip(first, second, strict=True)]
    return torch.stack(each, 1).sum(1)  # over the last dimension: the same bits at any number of members
