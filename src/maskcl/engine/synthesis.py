"""CFGM in the training loop: which old class each row is moved to, the samples, what they are held to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcl import augment as A
from maskcl.augment import Augment
from maskcl.cfgm import Cfgm
from maskcl.functional import distillation, logit_mse
from maskcl.functional.cfgm import moved_rows
from maskcl.functional.softmax import row_losses
from maskcl.rng import generator

__all__ = ["Synthesis", "makes_samples", "plan_old_labels", "plan_starts", "starts"]

Forward = Callable[[Tensor], Tensor]


def makes_samples(cfgm: Cfgm | None, tasks: Sequence[Sequence[int]], task: int, *, trained: bool) -> bool:
    """Whether CFGM acts in a task: there has to be a network that knew old classes, and a class that is still old.

    A learner's classes may all have come back, and then all belong to its newest task.

    Args:
        cfgm: The settings; None: it never does.
        tasks: Classes of each task.
        task: 0-based.
        trained: Whether anything was trained before the task.
    """
    return cfgm is not None and trained and task >= cfgm.from_task and any(tasks[:task])


def plan_old_labels(
    old_classes: Sequence[int], sizes: Sequence[int], *, draw: str, seed: int, task: int
) -> NDArray[np.int64]:
    """Return the old class that each sample of a task is moved to, int64 [sum(sizes)].

    Args:
        old_classes: Classes of earlier tasks, one or more.
        sizes: Samples of each step.
        draw: "uniform", or "balanced": within a step every class comes once before any comes twice.
        seed: The run's stream seed.
        task: Current task.
    """
    rng, classes = generator(seed, "cfgm", task), np.asarray(old_classes, np.int64)
    if draw == "uniform":
        return classes[rng.integers(len(classes), size=sum(sizes))]
    rounds = -(-max(sizes) // len(classes))
    order = rng.permuted(np.tile(classes, (len(sizes), rounds, 1)), axis=2).reshape(len(sizes), -1)
    return np.concatenate([row[:size] for row, size in zip(order, sizes, strict=True)])


def starts(cfgm: Cfgm) -> Augment:
    """How rows are changed before they are moved."""
    return Augment(crop=cfgm.crop, flip=cfgm.flip)


def plan_starts(
    cfgm: Cfgm, num_rows: int, *, seed: int, task: int, step: int | None = None
) -> NDArray[np.int64] | None:
    """Return how the start of each sample is changed, int64 [num_rows * per_row, 3]; None: not.

    Args:
        cfgm: The settings.
        num_rows: Rows that samples are made from.
        seed: The run's stream seed.
        task: Current task; -1 of a stream without tasks.
        step: Of such a stream, the step; None: all steps of the task are planned at once.
    """
    changes = starts(cfgm)
    if not changes.is_random:
        return None
    counters = (task,) if step is None else (task, step)
    return A.plan(changes, num_rows * cfgm.per_row, generator(seed, "cfgm_views", *counters))


class Synthesis:
    """Samples of old classes for the steps of one task: one more source of rows, beside the stream and the draws."""

    def __init__(
        self,
        cfgm: Cfgm,
        *,
        current: Forward,
        frozen: Forward,
        bounds: tuple[float, float] | tuple[Tensor, Tensor],
        visible: Tensor | None = None,
        black: Tensor | float = 0.0,
        by_row: Callable[..., Tensor] | None = None,
    ) -> None:
        """Set up for a task.

        Args:
            cfgm: The settings; numbers may be tensors [K].
            current: Logits of the network as it is, in evaluation mode, without a graph to its parameters.
            frozen: Logits of the network as the last task left it.
            bounds: Lowest and highest value of the data.
            visible: Classes in the softmax, bool [C] or [K, 1, C]; None: all.
            black: What a pixel of 0 is to the network, [C, 1, 1] or a number: it fills what a shift lays bare.
            by_row: What applies a function to rows, shared out among devices; None: it is called.
        """
        self.cfgm, self.frozen, self._starts = cfgm, frozen, starts(cfgm)
        self._follow = frozen if cfgm.generator == "frozen" else current
        self._bounds = bounds if cfgm.clamp else None
        self._visible, self._by_row, self._black = visible, by_row, black

    def make(self, inputs: Tensor, labels: Tensor, views: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return samples made from a step's stream rows, and what they should give.

        Args:
            inputs: Stream rows [..., B, *shape].
            labels: Old class of each sample, int64 [..., n], n = B * per_row.
            views: How the start of each sample is changed, int64 [K * n, 3]; None: not.

        Returns:
            Samples [..., n, *shape]; frozen logits [..., n, C], or classes [..., n].
        """
        cfgm = self.cfgm
        if cfgm.per_row > 1:
            inputs = inputs.repeat_interleave(cfgm.per_row, labels.ndim - 1)
        if views is not None:
            images = (inputs - self._black).flatten(0, labels.ndim - 1)  # black is 0, as the border will be
            inputs = A.crop_and_flip(self._starts, images, views).view_as(inputs) + self._black
        made = self.towards(inputs, labels)
        if cfgm.target == "label":
            return made, labels
        with torch.no_grad():
            return made, self.frozen(made)

    def towards(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Move rows [..., n, *shape] to classes [..., n]."""
        rows = inputs.detach()
        return self._moved(rows, labels) if self._by_row is None else self._by_row(self._moved, rows, labels)

    def _moved(self, inputs: Tensor, labels: Tensor) -> Tensor:
        cfgm = self.cfgm

        def losses(x: Tensor) -> Tensor:
            return row_losses(self._follow(x), labels, visible=self._visible)

        return moved_rows(losses, inputs, labels.shape, step=cfgm.step, num_steps=cfgm.num_steps,
                          norm=cfgm.norm, bounds=self._bounds)  # fmt: skip

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Weighted loss of the samples, [...]."""
        cfgm = self.cfgm
        if cfgm.target == "label":
            losses = row_losses(logits, target, visible=self._visible)
        elif cfgm.loss == "mse":
            losses = logit_mse(logits, target)
        else:
            losses = distillation(logits, target, temperature=cfgm.temperature)
        return cfgm.weight * losses.mean(-1)
