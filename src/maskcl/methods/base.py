"""What a method is: hyper-parameters, the draws it wants, and the loss of one step.

A method sees logits, labels and stored fields with any leading dimensions and returns one loss a member; it never
sees the executor, the memory or the optimiser. So it is written once, for one run and for a population.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from maskcl import functional as MF
from maskcl.cfgm import Cfgm
from maskcl.errors import check
from maskcl.mask import Mask

__all__ = ["Draw", "Method", "Step", "WeightState", "check_weight", "lead", "option"]

WeightState: TypeAlias = dict[str, list[Tensor]]
"""What a penalty on weights remembers: by name, one tensor a parameter."""


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
class Step:
    """What a loss sees of one step: the stream rows, then the rows of each draw, joined.

    Attributes:
        logits: The network's logits, [..., n, C].
        labels: int64 [..., n].
        sizes: How many rows each source has, adding up to n: (B,) while nothing is replayed, then (B, R, ...).
        stored: For each draw, the logits stored with its rows, [..., R, C]; None where the draw did not ask for them.
        active: Classes left alone by the mask, bool, [n, C] or [..., n, C]: all of them for memory rows; None: no mask.
        visible: Classes in the softmax at all, bool, [n, C]; None: all.
        teacher: Logits of the frozen previous network on the stream rows, [..., B, C]; None in the first task, and for
            methods that do not ask for them.
        old: Classes of earlier tasks, bool [C]; None where there is no teacher.
    """

    logits: Tensor
    labels: Tensor
    sizes: tuple[int, ...]
    stored: tuple[Tensor | None, ...] = ()
    active: Tensor | None = None
    visible: Tensor | None = None
    teacher: Tensor | None = None
    old: Tensor | None = None

    @property
    def replays(self) -> bool:
        """Whether there are memory rows in this step."""
        return len(self.sizes) > 1

    def stored_logits(self, draw: int) -> Tensor:
        """Logits stored with the rows of a draw that asked for them, [..., R, C]."""
        stored = self.stored[draw]
        assert stored is not None
        return stored

    def split(self, rows: Tensor, dim: int = -1) -> tuple[Tensor, ...]:
        """Cut something with one entry a row into the sources: stream, draw 0, draw 1, ..."""
        return rows.split(self.sizes, dim)


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

    needs_teacher: ClassVar[bool] = False
    """Whether losses look at the frozen previous network's logits on the stream rows."""
    weight_state: ClassVar[tuple[str, ...]] = ()
    """Names of what a penalty on weights remembers, one tensor a parameter each, "anchor" among them."""

    mask: Mask | None = option(None, "the mask on stream rows; none: plain softmax")
    cfgm: Cfgm | None = option(None, "samples of old classes made from stream rows; none: not made")

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

    def penalty_gradients(self, state: WeightState, weights: Sequence[Tensor]) -> list[Tensor]:
        """Gradient of the penalty on weights, one tensor a parameter; with `weight_state` only."""
        raise NotImplementedError

    def after_step(self, state: WeightState, grads: Sequence[Tensor], moves: Sequence[Tensor]) -> None:
        """Take note of a step: gradients of the loss without the penalty, and how the weights moved."""
        raise NotImplementedError

    def end_task(self, state: WeightState, weights: Sequence[Tensor], fisher: Callable[[int], list[Tensor]]) -> None:
        """Take stock at a task's end; `fisher(n)` gives mean squared per-row gradients over n rows of the task."""
        raise NotImplementedError

    def losses(self, step: Step) -> Tensor:
        """Cross-entropy of every row, [..., n]: masked on stream rows, plain on memory rows, in one softmax.

        Memory rows are rows whose classes are all active. One pass over the joined rows costs half of one pass a
        source, and these small passes are what a step's time goes into.
        """
        mask, active = self.mask, step.active
        if mask is None or active is None:
            return MF.cross_entropy(step.logits, step.labels, visible=step.visible)
        logits = step.logits
        if not (_is_one(mask.old_scale) and _is_one(mask.new_scale)):
            new, *old = step.split(logits, -2)
            factor = torch.where(active[..., : step.sizes[0], :], _per_row(mask.new_scale), _per_row(mask.old_scale))
            logits = torch.cat([MF.scale_gradient(new, factor), *old], -2)  # memory rows keep their gradient
        return MF.masked_cross_entropy(
            logits, step.labels, active, value=mask.value, mass=mask.mass, leak=mask.leak, visible=step.visible
        )


def lead(dial: Any, like: Tensor) -> Any:
    """Give a value a member, [K], as many trailing dimensions as a parameter [K, ...] has."""
    return dial.view(-1, *[1] * (like.ndim - 1)) if isinstance(dial, Tensor) else dial


def _is_one(dial: Any) -> bool:
    return not isinstance(dial, Tensor) and dial == 1.0


def _per_row(dial: Any) -> Any:
    return dial[..., None, None] if isinstance(dial, Tensor) else dial
