"""Who looks on while a population trains: told of steps and evaluations, asked for pauses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from maskcl.engine.evaluate import Evaluation
from maskcl.engine.state import Book

__all__ = ["OnEvaluation", "OnSteps", "Pauses", "Place", "Watch"]

OnSteps: TypeAlias = Callable[[Sequence[int], int], None]
OnEvaluation: TypeAlias = Callable[[int, int, int, Evaluation], None]


@dataclass(frozen=True)
class Place:
    """Where training stands between two steps of a phase: with the state's tensors, all that is needed to go on.

    Attributes:
        task: 0-based, as are phase and chunk.
        phase: Of the task.
        chunk: Of the phase: consecutive steps of one size.
        step: Steps of the chunk that are made.
        before: What was counted when the phase began: the phase is planned from it.
        steps: What is counted now, int64 [K].
        updates: Likewise.
        loss_sum: Of the task's losses before this chunk, float64 [K].
        chunk_sum: Of the chunk's losses so far, of the type of training, [K].
    """

    task: int
    phase: int
    chunk: int
    step: int
    before: Book
    steps: NDArray[np.int64]
    updates: NDArray[np.int64]
    loss_sum: Tensor
    chunk_sum: Tensor


class Pauses(Protocol):
    """Who wants to know where training stands."""

    def due(self, steps: int) -> bool:
        """Whether they want to know now, `steps` after they were last asked."""
        ...

    def pause(self, place: Place) -> None:
        """What they do then; the state is as the place says."""
        ...


@dataclass(frozen=True)
class Watch:
    """All who look on.

    Attributes:
        on_steps: Told now and then which members have made how many more steps.
        on_evaluation: Told (member, its steps so far, task, evaluation) every `evaluate_every` steps.
        pauses: Asked now and then whether they want to know where training stands.
    """

    on_steps: OnSteps | None = None
    on_evaluation: OnEvaluation | None = None
    pauses: Pauses | None = None
