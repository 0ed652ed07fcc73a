"""What a method is: hyper-parameters, the draws it wants, and the loss of one step.

A method sees logits, labels and stored fields with any leading dimensions and returns one loss a member; it never
sees the executor, the memory or the optimiser. So it is written once, for one run and for a population.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from maskcl import functional as MF
from maskcl.errors import check
from maskcl.mask import Mask

__all__ = ["Draw", "Method", "Rows", "Step", "check_weight", "option"]


@dataclass(frozen=True)
class Draw:
    """One sample of the memory that a step needs.

    Attributes:
        size: Rows, R.
        stored_logits: Whether the logits stored with the rows are wanted.
    """

    size: int
    stored_logits: bool = False


@dataclass(frozen=True)
class Rows:
    """Rows of one source in one step.

    Attributes:
        logits: The network's logits, [..., N, C].
        labels: int64 [..., N].
        stored: Logits stored with memory rows, [..., N, C]; None unless the draw asked for them.
        own_task: Classes of each row's own task, bool [..., N, C]; None unless the mask masks memory rows.
    """

    logits: Tensor
    labels: Tensor
    stored: Tensor | None = None
    own_task: Tensor | None = None


@dataclass(frozen=True)
class Step:
    """What a loss sees of one step.

    Attributes:
        stream: The rows of the current task.
        draws: The memory rows, one `Rows` a draw; empty while nothing is to be replayed.
        task: Current task, 0-based.
        active: Classes the mask leaves alone, bool, [C] or broadcastable to [..., N, C]; None: no mask in this task.
        visible: Classes in the softmax of stream rows at all, bool; None: all.
    """

    stream: Rows
    draws: tuple[Rows, ...]
    task: int
    active: Tensor | None = None
    visible: Tensor | None = None


def option(default: Any, doc: str) -> Any:
    """A hyper-parameter with its unit and range, for the registry's printed description."""
    return field(default=default, metadata={"doc": doc})


def check_weight(method: Method, *names: str) -> None:
    """Refuse weights that are not numbers of 0 or more."""
    for name in names:
        weight = getattr(method, name)
        good = isinstance(weight, (int, float)) and not isinstance(weight, bool) and 0 <= weight < float("inf")
        check(good, f"method.{name}", "must be a number, 0 or more", weight)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Base of all methods: a mask on stream rows, plain memory rows."""

    key: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str] = ""
    needs_memory: ClassVar[bool] = False
    trains_on: ClassVar[str] = "task"
    """"task": each task's rows when it comes; "all": every task's rows together, once, at the last task."""
    joint_forward: ClassVar[bool] = False
    """Whether stream and memory rows pass the network in one batch: with BatchNorm that changes the result."""

    mask: Mask | None = option(None, "the mask on stream rows; none: plain softmax")

    def __post_init__(self) -> None:
        for name in ("replay_batch", "replay_from_task"):
            number = getattr(self, name, 1)
            least = 1 if name == "replay_batch" else 0
            good = isinstance(number, int) and not isinstance(number, bool) and number >= least
            check(good, f"method.{name}", f"must be a whole number, {least} or more", number)

    @property
    def draws(self) -> tuple[Draw, ...]:
        """The samples of the memory that each step needs."""
        return ()

    def loss(self, step: Step) -> Tensor:
        """Return the loss of one step, [...]."""
        raise NotImplementedError

    def stream_losses(self, step: Step) -> Tensor:
        """Masked cross-entropy of the stream rows, [..., B]."""
        rows = step.stream
        if self.mask is None or step.active is None:
            return MF.cross_entropy(rows.logits, rows.labels, visible=step.visible)
        return self._masked(rows, step.active, step.visible)

    def memory_losses(self, rows: Rows) -> Tensor:
        """Cross-entropy of memory rows over all classes, [..., R]: they are not masked."""
        if rows.own_task is not None:
            return self._masked(rows, rows.own_task, None)
        return MF.cross_entropy(rows.logits, rows.labels)

    def _masked(self, rows: Rows, active: Tensor, visible: Tensor | None) -> Tensor:
        mask = self.mask
        assert mask is not None
        return MF.masked_cross_entropy(
            rows.logits, rows.labels, active, value=mask.value, mass=mask.mass, leak=mask.leak,
            old_scale=mask.old_scale, new_scale=mask.new_scale, visible=visible,
        )  # fmt: skip


def joined_mean(*losses: Tensor) -> Tensor:
    """One mean over the rows of several sources, [...]."""
    return torch.cat(losses, -1).mean(-1)
