"""What passes between a method and the engine: what it needs, what it sees of a step, how a task is gone through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor

from maskcl.errors import check, check_choice, is_number, is_whole

__all__ = ["Draw", "Gradients", "Needs", "Phase", "State", "Step"]

State: TypeAlias = dict[str, Any]
"""What a method remembers: tensors, or lists of tensors, by names of its own."""

Gradients: TypeAlias = dict[str, list[Tensor]]
"""By the name of a loss ("loss" where there is one), one tensor a parameter, [K, ...]."""


@dataclass(frozen=True)
class Draw:
    """One sample of the memory that a step needs.

    Attributes:
        size: Rows that are replayed, R.
        stored_logits: Whether the logits stored with the rows are wanted.
        candidates: Rows that `Method.select` chooses from; 0: the draw itself is replayed.
        classes: "all", or "old": rows of earlier tasks alone, while there are any.
    """

    size: int
    stored_logits: bool = False
    candidates: int = 0
    classes: str = "all"

    def __post_init__(self) -> None:
        _check_whole("draw.size", self.size, 1)
        good = is_whole(self.candidates) and (self.candidates == 0 or self.candidates >= self.size)
        check(good, "draw.candidates", f"must be 0, or size, {self.size}, or more", self.candidates)
        check(isinstance(self.stored_logits, bool), "draw.stored_logits", "must be true or false",
              self.stored_logits)  # fmt: skip
        check_choice(self.classes, "draw.classes", ("all", "old"))

    @property
    def num_drawn(self) -> int:
        """Rows that are drawn."""
        return self.candidates or self.size


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What the engine has to provide, and what the method cannot take.

    Attributes:
        draws: The samples of the memory that each step needs.
        memory: Whether there is a memory, also without draws.
        policy: Memory policy where the settings name none.
        replay_from_task: First task (0-based) in which memory rows are drawn.
        store_after: Whether logits are stored as they are after a step's update, not before.
        joint_forward: Whether stream and memory rows pass the network in one batch: with BatchNorm that matters.
        features: Whether losses or predictions look at what goes into the classifier.
        views: Random views of each row in a step, if the training augments; the first one's logits are `Step.logits`.
        teacher: Sources whose rows the frozen previous network sees: "stream", "memory".
        held_out: Share of each task's rows, and of the memory, that nothing is trained on.
        label_smoothing: Whether its loss is a cross-entropy that takes label smoothing.
        no_mask: Why a mask cannot act; empty: it can.
        no_cfgm: Why CFGM cannot act; empty: it can.
    """

    draws: tuple[Draw, ...] = ()
    memory: bool = False
    policy: str = "reservoir"
    replay_from_task: int = 0
    store_after: bool = False
    joint_forward: bool = False
    features: bool = False
    views: int = 1
    teacher: tuple[str, ...] = ()
    held_out: float = 0.0
    label_smoothing: bool = True
    no_mask: str = ""
    no_cfgm: str = ""

    def __post_init__(self) -> None:
        good = isinstance(self.draws, tuple) and all(isinstance(draw, Draw) for draw in self.draws)
        check(good, "needs.draws", "must be a tuple of Draw", self.draws)
        check(isinstance(self.teacher, tuple), "needs.teacher", "must be a tuple of names", self.teacher)
        for source in self.teacher:
            check_choice(source, "needs.teacher", ("stream", "memory"))
        good = is_number(self.held_out) and 0 <= self.held_out < 1
        check(good, "needs.held_out", "must be 0 or more and below 1", self.held_out)
        _check_whole("needs.replay_from_task", self.replay_from_task, 0)
        _check_whole("needs.views", self.views, 1)

    def slots_aside(self, size: int) -> int:
        """Slots of a memory that are set aside for held-out rows."""
        return max(1, round(size * self.held_out)) if self.held_out else 0

    def rows_aside(self, num_rows: int) -> int:
        """Rows of a class that are held out of all training."""
        return max(1, round(num_rows * self.held_out)) if self.held_out else 0

    @property
    def uses_memory(self) -> bool:
        """Whether the method has a memory."""
        return self.memory or bool(self.draws)

    @property
    def stores_logits(self) -> bool:
        """Whether logits are stored with memory rows."""
        return any(draw.stored_logits for draw in self.draws)


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A pass over rows when a task comes.

    Attributes:
        rows: Which rows are the stream: the "task"'s, "all" tasks' together, or those in the "memory".
        epochs: Passes; None: as the training settings say.
        fresh: Whether it starts from initial weights, with a new optimiser.
    """

    rows: str = "task"
    epochs: int | None = None
    fresh: bool = False

    def __post_init__(self) -> None:
        check_choice(self.rows, "phase.rows", ("task", "all", "memory"))
        if self.epochs is not None:
            _check_whole("phase.epochs", self.epochs, 1)
        check(isinstance(self.fresh, bool), "phase.fresh", "must be true or false", self.fresh)


@dataclass(frozen=True)
class Step:
    """What a loss sees of one step: the stream rows, then the rows of each draw, joined.

    Attributes:
        logits: The network's logits, [..., n, C].
        labels: int64 [..., n].
        sizes: How many rows each source has, adding up to n: (B,) while nothing is replayed, then (B, R, ...).
        stored: For each draw, the logits stored with its rows, [..., R, C]; None where the draw did not ask for them.
        active: Classes left alone by the mask, bool, [n, C] or [..., n, C]: all of them for memory rows; None: no mask.
        visible: Classes in the softmax at all, bool, [n, C] or [..., n, C]; None: all.
        label_smoothing: Share of each target that is spread over the classes in the softmax.
        teacher: Logits of the frozen previous network on the rows of `Needs.teacher`, joined; None in the first task,
            and for methods that do not ask for them.
        seen: Classes of this task and those before, bool [C] or [..., 1, C].
        current: Classes of this task, of the same shape.
        features: What goes into the classifier, [..., V * n, D], view after view; None unless asked for.
        projected: What the method's own head makes of it, [..., V * n, P]; None without one.
        state: The method's state, without a member dimension for one run.
        prior: What a mask that goes by counts adds to the logits in a loss on labels, [1 or n, C] or [..., 1 or n, C];
            None: nothing.
    """

    logits: Tensor
    labels: Tensor
    sizes: tuple[int, ...]
    stored: tuple[Tensor | None, ...] = ()
    active: Tensor | None = None
    visible: Tensor | None = None
    label_smoothing: float = 0.0
    teacher: Tensor | None = None
    seen: Tensor | None = None
    current: Tensor | None = None
    features: Tensor | None = None
    projected: Tensor | None = None
    state: State = field(default_factory=dict)
    prior: Tensor | None = None

    @property
    def replays(self) -> bool:
        """Whether there are memory rows in this step."""
        return len(self.sizes) > 1

    @property
    def earlier(self) -> Tensor:
        """Classes of earlier tasks, bool [C] or [..., 1, C]."""
        assert self.seen is not None
        assert self.current is not None
        return self.seen & ~self.current

    def stored_logits(self, draw: int) -> Tensor:
        """Logits stored with the rows of a draw that asked for them, [..., R, C]."""
        stored = self.stored[draw]
        assert stored is not None
        return stored

    def split(self, rows: Tensor, dim: int = -1) -> tuple[Tensor, ...]:
        """Cut something with one entry a row into the sources: stream, draw 0, draw 1, ..."""
        return rows.split(self.sizes, dim)


def _check_whole(where: str, value: object, least: int) -> None:
    check(is_whole(value) and value >= least, where, f"must be a whole number, {least} or more", value)
