"""`Mask`: everything that can be said about masking, in one frozen object that every method takes the same way."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal

from maskcl.errors import MaskclWarning, check, check_choice, is_number, is_whole
from maskcl.settings import dial

__all__ = ["Mask", "usual"]

POLICIES = ("task", "batch", "recent")


@dataclass(frozen=True, kw_only=True)
class Mask:
    """How the classes that are not being learnt enter the loss of stream rows.

    Exactly one of `value`, `mass` and `leak` is given. In a population the numbers may be tensors [K].

    Args:
        value: Replace inactive logits by this constant m, -inf included, without gradient.
        mass: Replace them by mass - log(number of inactive classes): the same weight at any number of classes.
        leak: Keep them, weighed by leak in the softmax; 1 is no mask, 0 is m = -inf. "auto": every class is weighed by
            how many distinct rows of it training can draw on, and nothing is tuned.
        old_scale: Factor of the gradient on inactive logits, 0 or more; only with `leak`.
        new_scale: Factor of the gradient on active logits, 0 or more.
        policy: Which classes are active: "task", those of the current task; "batch", those among the stream rows of
            the step; "recent", those among the last `recent_rows` stream rows. With leak "auto", which stream rows are
            counted: those of the task, or the last ones.
        recent_rows: Window of policy "recent", in stream rows, this step's included.
        visible: Classes in the softmax at all: "all" outputs of the head, or those "seen" so far.
        from_task: First task (0-based) in which stream rows are masked.
        memory_rows: "plain"; "prior", with leak "auto" alone, where it is the default: they are weighed as stream rows
            are; or "own-task": mask them by their own task too, which ruins accuracy (for study).
        keep_future: Leave classes not met yet active, as the public code of ER-ACE does.
        power: Of the counts, with leak "auto", 0 or more; left out: 1, or 1/2 with methods that hold old classes by
            logits on their own rows (DER, DER++, BiC, CFGM).
        count: What repeats count with leak "auto": "rows", nothing; "visits", the k-th visit to a row 1 / k; "steps",
            as much as new rows, which is logit adjustment by how often classes come in the task's steps (to compare).

    Source: arXiv 2309.14808, section 3; docs/methods/mask.md; for leak "auto" docs/design/auto-leak.md.

    >>> Mask(leak=0.1).label, Mask(leak="auto").label
    ('leak=0.1', 'leak=auto')
    """

    value: float | None = dial(None)
    mass: float | None = dial(None)
    leak: float | Literal["auto"] | None = dial(None)
    old_scale: float = dial(1.0)
    new_scale: float = dial(1.0)
    policy: str = "task"
    recent_rows: int | None = None
    visible: str = "all"
    from_task: int = 0
    memory_rows: str | None = None
    keep_future: bool = False
    power: float | None = dial(None)
    count: str = "rows"

    def __post_init__(self) -> None:
        if self.memory_rows is None:
            object.__setattr__(self, "memory_rows", usual("memory_rows", auto=self.is_auto))
        given = {name: v for name in ("value", "mass", "leak") if (v := getattr(self, name)) is not None}
        hint = "value = -inf or a number; leak = 'auto', or 0 or more; stop-gradient: leak = 1, old_scale = 0"
        check(len(given) == 1, "mask", "needs exactly one of value, mass and leak", given, hint=hint)
        if isinstance(self.leak, str):
            check(self.leak == "auto", "mask.leak", "must be a number, 0 or more, or 'auto'", self.leak)
            del given["leak"]
        for name, number in {**given, "old_scale": self.old_scale, "new_scale": self.new_scale}.items():
            check(is_number(number) and not math.isnan(number), f"mask.{name}", "must be a number", number)
        if self.value is not None:
            check(self.value < math.inf, "mask.value", "must be below +inf", self.value)
        if self.mass is not None:
            check(math.isfinite(self.mass), "mask.mass", "must be finite", self.mass, hint="value = -inf masks fully")
        if self.leak is not None and not isinstance(self.leak, str):
            check(0 <= self.leak < math.inf, "mask.leak", "must be a finite number, 0 or more", self.leak)
        for name in ("old_scale", "new_scale"):
            scale = getattr(self, name)
            check(0 <= scale < math.inf, f"mask.{name}", "must be a finite number, 0 or more", scale)
        check(self.leak is not None or self.old_scale == 1.0, "mask.old_scale",
              "acts only together with leak (replaced logits have no gradient)", self.old_scale)  # fmt: skip
        check_choice(self.policy, "mask.policy", POLICIES)
        check_choice(self.visible, "mask.visible", ("all", "seen"))
        check_choice(self.memory_rows, "mask.memory_rows", ("plain", "prior", "own-task"))
        check_choice(self.count, "mask.count", ("rows", "visits", "steps"))
        check((self.recent_rows is not None) == (self.policy == "recent"), "mask.recent_rows",
              "is needed with policy 'recent', and only there", self.recent_rows)  # fmt: skip
        for name, least in (("recent_rows", 1), ("from_task", 0)):
            number = getattr(self, name)
            good = is_whole(number) and number >= least
            good = good or (number is None and name == "recent_rows")
            check(good, f"mask.{name}", f"must be a whole number, {least} or more", number)
        check(isinstance(self.keep_future, bool), "mask.keep_future", "must be true or false", self.keep_future)
        self._check_auto()
        self._warn()

    def _check_auto(self) -> None:
        """Refuse what divides classes into active and inactive ones where all are weighed, and the other way round."""
        if not self.is_auto:
            for name, without in (("memory_rows", self.memory_rows != "prior"), ("power", self.power is None),
                                  ("count", self.count == "rows")):  # fmt: skip
                check(without, f"mask.{name}", "acts only together with leak = 'auto'", getattr(self, name))
            return
        good = self.power is None or (is_number(self.power) and 0 <= self.power < math.inf)
        check(good, "mask.power", "must be a finite number, 0 or more", self.power)
        check(self.policy != "batch", "mask.policy", "must be 'task' or 'recent' with leak = 'auto', which counts rows",
              self.policy)  # fmt: skip
        check(self.count == "rows" or self.policy == "task", "mask.count", "must be 'rows' with policy 'recent'",
              self.count)  # fmt: skip
        for name, neutral in (("old_scale", 1.0), ("new_scale", 1.0), ("keep_future", False)):
            given = getattr(self, name)
            must = "must be left out with leak = 'auto', which has no inactive classes"
            check(given == neutral, f"mask.{name}", must, given)
        check(self.memory_rows != "own-task", "mask.memory_rows", "must be 'prior' or 'plain' with leak = 'auto'",
              self.memory_rows)  # fmt: skip

    def _warn(self) -> None:
        leak = None if isinstance(self.leak, str) else self.leak
        if leak is not None and leak > 1:
            _warn(f"mask.leak = {leak} is above 1: old classes are pushed down harder than without a mask.")
        if leak is not None and leak > 0 and self.old_scale == 0:
            _warn(
                "mask.old_scale = 0 stops the gradient without replacing the logits, which is the gradient of no loss: "
                "new logits are lifted against old ones that no longer answer, and both levels can run away. "
                "leak alone, or value, is the safe form."
            )
        if self.memory_rows == "own-task":
            _warn("mask.memory_rows = 'own-task' leaves old and new classes uncompared: accuracy falls far.")

    @property
    def is_auto(self) -> bool:
        """Whether classes are weighed by their rows (leak = "auto")."""
        return isinstance(self.leak, str)

    @property
    def removes_inactive(self) -> bool:
        """Whether inactive classes leave the softmax altogether (m = -inf or leak = 0)."""
        return self.value == -math.inf or self.leak == 0

    @property
    def label(self) -> str:
        """A short name for tables: the dial first, then what differs from the default."""
        name = next(n for n in ("value", "mass", "leak") if getattr(self, n) is not None)
        number = getattr(self, name)
        parts = [f"{'m' if name == 'value' else name}={number if self.is_auto else format(number, 'g')}"]
        for field in list(type(self).__dataclass_fields__)[3:]:
            if getattr(self, field) != usual(field, auto=self.is_auto):
                parts.append(f"{field}={getattr(self, field)}")
        return " ".join(parts)


def usual(name: str, *, auto: bool) -> Any:
    """Return what a setting is where nothing is said of it; `auto`: with leak "auto".

    >>> usual("memory_rows", auto=True), usual("memory_rows", auto=False)
    ('prior', 'plain')
    """
    if name == "memory_rows":
        return "prior" if auto else "plain"
    return Mask.__dataclass_fields__[name].default


def _warn(text: str) -> None:
    warnings.warn(text, MaskclWarning, stacklevel=5)
