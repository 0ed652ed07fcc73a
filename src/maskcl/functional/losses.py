"""The masked softmax family as one calls it: lists and arrays are welcome, values that make no sense are refused.

The mathematics is that of `functional/softmax.py`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from maskcl.errors import ShapeError, check
from maskcl.functional.softmax import (
    Dial,
    at_least_float32,
    leaked,
    masked_losses,
    replaced,
    row_losses,
    show,
    smoothed,
)
from maskcl.functional.values import (
    Classes,
    Labels,
    Rule,
    as_classes,
    as_dial,
    as_labels,
    as_logits,
    as_tensor,
    demand,
    looks_finite,
)

__all__ = ["cross_entropy", "leaky_logits", "masked_cross_entropy", "replace_logits"]


def replace_logits(logits: Tensor, active: Classes, *, value: Dial) -> Tensor:
    """Replace the logits of inactive classes by a constant without gradient: the general masked softmax.

        z_j on active classes, m on inactive ones.

    Args:
        logits: Raw scores, floating, shape [..., B, C].
        active: True where a class is active, bool, shape [C] or [..., B, C].
        value: The level m, below +inf; -inf takes the classes out of the softmax; shape [...].
            A finite m beyond the range of the logits' type is cut to that range.

    Returns:
        Logits of the same shape and type.

    Source: arXiv 2309.14808, section 3; docs/methods/mask.md.

    >>> replace_logits(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([False, True, True]), value=-3.0)
    tensor([[-3.,  1.,  0.]])
    """
    logits = as_logits(logits)
    active = as_classes(active, logits)
    level, rules = as_dial(value, "value", logits.shape[:-2])
    demand(rules)
    return replaced(logits, active, level)


def leaky_logits(logits: Tensor, active: Classes, *, leak: Dial) -> Tensor:
    """Weigh inactive classes by `leak` in the softmax: the controlled masked softmax.

        z_j + log(leak) on inactive classes, z_j on active ones.

    Args:
        logits: Raw scores, floating, shape [..., B, C].
        active: True where a class is active, bool, shape [C] or [..., B, C].
        leak: Weight of inactive classes, 0 or more; 1 changes nothing, 0 masks; shape [...].

    Returns:
        Logits of the same shape and type.

    Source: arXiv 2309.14808, section 3; docs/methods/mask.md.

    >>> leaky_logits(torch.zeros(1, 2), torch.tensor([False, True]), leak=0.1)
    tensor([[-2.3026,  0.0000]])
    """
    logits = as_logits(logits)
    active = as_classes(active, logits)
    weight, rules = as_dial(leak, "leak", logits.shape[:-2])
    demand(rules)
    return leaked(logits, active, weight)


def masked_cross_entropy(
    logits: Tensor,
    labels: Labels,
    active: Classes,
    *,
    value: Dial | None = None,
    mass: Dial | None = None,
    leak: Dial | None = None,
    old_scale: Dial = 1.0,
    new_scale: Dial = 1.0,
    visible: Classes | None = None,
) -> Tensor:
    """Cross-entropy in which inactive classes are replaced, weighed down, or kept out of the gradient.

        value, mass:  -z_y + log(S_active + n_inactive * e^m)      leak:  -z_y + log(S_active + leak * S_inactive)

    Args:
        logits: Raw scores, floating, shape [..., B, C].
        labels: Classes of the rows, int64, shape [..., B].
        active: True where a class is being learnt, bool, shape [C] or [..., B, C]; one class or more in each row.
        value: Replace inactive logits by this level m, below +inf; -inf if none of value, mass and leak is given.
        mass: Replace them by mass - log(number of inactive classes); finite.
        leak: Weigh them by leak instead, 0 or more; 1 with `old_scale=0` is stop-gradient without replacement.
        old_scale: Factor of the gradient on inactive logits, 0 or more; shape [...].
        new_scale: Factor of the gradient on active logits, 0 or more; shape [...].
        visible: Classes that are in the softmax at all, bool, shape [C] or [..., B, C]; None: all.

    Returns:
        Losses [..., B], in float32 for half-precision logits.

    Raises:
        ShapeError: Shapes or types do not fit, or more than one of value, mass and leak is given.
        ConfigError: A number outside its range.
        DataError: Labels that are no classes, not visible, or inactive where inactive classes leave the softmax; or a
            row without an active class.

    Source: arXiv 2309.14808, section 3; docs/methods/mask.md.

    >>> logits, active = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([False, True, True])
    >>> masked_cross_entropy(logits, torch.tensor([1]), active)
    tensor([0.3133])
    >>> masked_cross_entropy(logits, [1], [False, True, True], leak=0.1)
    tensor([0.4945])
    """
    logits = as_logits(logits)
    dials: dict[str, Any] = {"value": value, "mass": mass, "leak": leak}
    dials = {name: dial for name, dial in dials.items() if dial is not None}
    active = as_classes(active, logits)
    labels, rules = as_labels(labels, logits)
    visible, lead = None if visible is None else as_classes(visible, logits, "visible"), logits.shape[:-2]
    for name, dial in {**dials, "old_scale": old_scale, "new_scale": new_scale}.items():
        dials[name], more = as_dial(dial, name, lead)
        rules += more
    demand([*rules, Rule(active.any(-1), "active", "must hold one class or more in each row", 0)])
    losses = masked_losses(logits, labels, active, **dials, visible=visible)
    if not looks_finite(losses):  # a third of the cost of looking at each row's class beforehand
        demand(_rules_of_labels(logits, labels, active, visible, dials))
    return losses


def cross_entropy(
    logits: Tensor, targets: Labels, *, label_smoothing: float = 0.0, visible: Classes | None = None
) -> Tensor:
    """Softmax cross-entropy of each row, with hard or soft targets.

    Args:
        logits: Raw scores, floating, shape [..., B, C]; -inf takes a class out.
        targets: Classes, int64, shape [..., B]; or probabilities, floating, shape [..., B, C].
        label_smoothing: Share of the target spread evenly over the classes in the softmax, 0 to 1.
        visible: Classes that are in the softmax at all, bool, shape [C] or [..., B, C]; None: all.

    Returns:
        Losses [..., B], in float32 for half-precision logits.

    Raises:
        ShapeError: Shapes or types do not fit.
        DataError: Labels that are no classes of the logits, or are not visible.

    >>> cross_entropy(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([1]))
    tensor([1.4076])
    """
    logits = as_logits(logits)
    good = isinstance(label_smoothing, (int, float)) and 0 <= label_smoothing <= 1
    check(good, "cross_entropy: label_smoothing", "must be a number from 0 to 1", label_smoothing)
    visible = None if visible is None else as_classes(visible, logits, "visible")
    targets = as_tensor(targets, "targets", logits)
    if targets.dtype == torch.int64:
        labels, rules = as_labels(targets, logits)
        demand(rules)
        losses = row_losses(logits, labels, label_smoothing=label_smoothing, visible=visible)
        if visible is not None and not looks_finite(losses):
            demand([_visible_rule(logits, labels, visible)])
        return losses
    check(targets.is_floating_point() and targets.shape == logits.shape, "targets",
          f"must be int64 labels {tuple(logits.shape[:-1])} or probabilities {tuple(logits.shape)}",
          (targets.dtype, tuple(targets.shape)), error=ShapeError)  # fmt: skip
    log_p = F.log_softmax(show(at_least_float32(logits), visible), -1)
    hard = -torch.where(targets > 0, targets * _finite(log_p, targets > 0), 0.0).sum(-1)
    return hard if label_smoothing == 0.0 else smoothed(hard, log_p, label_smoothing)


def _rules_of_labels(
    logits: Tensor, labels: Tensor, active: Tensor, visible: Tensor | None, dials: dict[str, Any]
) -> list[Rule]:
    """What must hold of a row's own class: it is in the softmax."""
    rules = [] if visible is None else [_visible_rule(logits, labels, visible)]
    removed: Any = False
    if "leak" in dials:
        removed = dials["leak"] == 0
    elif "mass" not in dials:
        removed = dials.get("value", -math.inf) == -math.inf
    if isinstance(removed, Tensor) or removed:
        learnt = _of_labels(active, logits, labels)
        if isinstance(removed, Tensor):
            learnt = learnt | ~(removed[..., None] if removed.ndim else removed)
        must = "must be active classes where value = -inf or leak = 0 takes the others out of the softmax"
        rules.append(Rule(learnt, "labels", must, labels, hint="mask rows of the active classes alone"))
    return rules


def _visible_rule(logits: Tensor, labels: Tensor, visible: Tensor) -> Rule:
    return Rule(_of_labels(visible, logits, labels), "labels", "must be visible classes", labels)


def _of_labels(classes: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Whether each row's own class is among `classes`, bool [..., B]; labels that are none are for another rule."""
    own = labels.clamp(0, logits.shape[-1] - 1)[..., None]
    return classes.broadcast_to(logits.shape).gather(-1, own)[..., 0]


def _finite(log_p: Tensor, where: Tensor) -> Tensor:
    """Zero outside `where`, so that 0 * -inf never arises, in value or gradient."""
    return torch.where(where, log_p, 0.0)
