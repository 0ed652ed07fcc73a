"""Arguments as people give them: lists and arrays made into tensors, and values looked at where that can be done.

Values are not looked at while a graph is compiled, nor inside `torch.func.vmap`, where they cannot be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from maskcl.errors import ConfigError, DataError, MaskclError, ShapeError, check, message
from maskcl.functional.softmax import Dial, check_classes

__all__ = [
    "Classes",
    "Labels",
    "Rule",
    "as_classes",
    "as_dial",
    "as_labels",
    "as_logits",
    "as_tensor",
    "demand",
    "looks_finite",
]

Labels: TypeAlias = "Tensor | Sequence[Any] | np.ndarray"
Classes: TypeAlias = "Tensor | Sequence[Any] | np.ndarray"


@dataclass(frozen=True)
class Rule:
    """What must hold of values.

    Attributes:
        holds: Where it does, bool.
        where: Name of the argument.
        must: What must hold, in words.
        got: What to show where it does not: the same for all, or values of the shape of `holds`.
        error: What to raise.
        hint: What to do.
    """

    holds: Tensor
    where: str
    must: str
    got: Tensor | int
    error: type[MaskclError] = DataError
    hint: str | None = None


def demand(rules: Sequence[Rule]) -> None:
    """Raise for the first rule that does not hold."""
    if torch.compiler.is_compiling():
        return
    for rule in rules:
        try:
            if bool(rule.holds.all()):
                continue
        except RuntimeError:  # inside torch.func.vmap, and for tensors without values
            continue
        given = torch.as_tensor(rule.got).detach().broadcast_to(rule.holds.shape)
        raise rule.error(message(rule.where, rule.must, given[~rule.holds][0].item(), hint=rule.hint))


def looks_finite(losses: Tensor) -> bool:
    """Whether all losses are finite, or cannot be looked at: with wrong labels or masks the loss is infinite or nan."""
    if torch.compiler.is_compiling():
        return True
    try:
        return bool(losses.isfinite().all())
    except RuntimeError:
        return True


def as_logits(logits: Any, name: str = "logits") -> Tensor:
    """Refuse what is no floating-point tensor [..., C]."""
    check(isinstance(logits, Tensor), name, "must be a tensor", type(logits).__name__, error=ShapeError)
    if not logits.is_floating_point():
        raise ShapeError(f"{name}: must be floating point, got {logits.dtype}.")
    check(logits.ndim >= 1, name, "must have classes in its last dimension", (), error=ShapeError)
    return logits


def as_tensor(given: Any, name: str, like: Tensor) -> Tensor:
    """Make a tensor of a list or an array, on the device of `like`; whole numbers are int64, others of its type."""
    if isinstance(given, Tensor):
        return given
    if isinstance(given, (list, tuple, np.ndarray)):
        try:
            made = torch.tensor(np.array(given, order="C"), device=like.device)
        except (TypeError, ValueError, RuntimeError):
            pass  # words, rows of unequal length
        else:
            if made.is_floating_point():
                return made.to(torch.float64 if like.dtype == torch.float64 else torch.float32)
            return made if made.dtype == torch.bool else made.long()
    must = "must be a tensor, or an array or list of numbers"
    raise ShapeError(message(name, must, type(given).__name__))


def as_classes(given: Any, logits: Tensor, name: str = "active") -> Tensor:
    """Return `active` or `visible` as bool, [C] or [..., B, C]."""
    classes = as_tensor(given, name, logits)
    check_classes(logits, classes, name=name)
    must = f"must have shape ({logits.shape[-1]},) or one that fits {tuple(logits.shape)}"
    check(_fits(classes, tuple(logits.shape)), name, must, tuple(classes.shape), error=ShapeError)
    return classes


def as_labels(given: Any, logits: Tensor, name: str = "labels") -> tuple[Tensor, list[Rule]]:
    """Return labels as int64 [..., B], and the rule that they are classes of the logits."""
    labels = as_tensor(given, name, logits)
    shape, top = tuple(logits.shape[:-1]), logits.shape[-1] - 1
    must = f"must have shape {shape}"
    check(labels.dtype == torch.int64, name, "must be int64", labels.dtype, error=ShapeError)
    check(tuple(labels.shape) == shape, name, must, tuple(labels.shape), error=ShapeError)
    if torch.compiler.is_compiling():
        return labels, []
    return labels, [Rule((labels >= 0) & (labels <= top), name, f"must be classes from 0 to {top}", labels)]


_DIALS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "value": ("must be a number below +inf", lambda dial: dial < math.inf),  # nan is not below
    "mass": ("must be finite", lambda dial: (dial > -math.inf) & (dial < math.inf)),
}
_WEIGHT = ("must be a finite number, 0 or more", lambda dial: (dial >= 0) & (dial < math.inf))


def as_dial(given: Any, name: str, lead: Sequence[int]) -> tuple[Dial, list[Rule]]:
    """Return a hyper-parameter as float or tensor, and the rule on the values of a tensor.

    Args:
        given: What was passed.
        name: Its name, which says what must hold: of those not listed above, 0 or more.
        lead: Leading dimensions of the logits, [...], to which a tensor must fit.
    """
    must, holds = _DIALS.get(name.split(": ")[-1], _WEIGHT)
    if isinstance(given, Tensor):
        text = f"must be one number, or one a member of {tuple(lead)}"
        check(_fits(given, tuple(lead)), name, text, tuple(given.shape), error=ShapeError)
        if torch.compiler.is_compiling():
            return given, []
        return given, [Rule(holds(given), name, must, given, error=ConfigError)]
    number = isinstance(given, (int, float, np.integer, np.floating)) and not isinstance(given, bool)
    check(number and bool(holds(given)), name, must, given)
    return float(given), []


def _fits(tensor: Tensor, shape: Sequence[int]) -> bool:
    """Whether a tensor can be repeated to a shape."""
    sizes = zip(reversed(tensor.shape), reversed(shape), strict=False)
    return tensor.ndim <= len(shape) and all(size in (1, whole) for size, whole in sizes)
