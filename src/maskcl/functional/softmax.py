"""The masked softmax family: what stream rows may do to the logits of classes that are not being learnt.

Everything here works on logits `[..., B, C]` and a bool `active`, `[C]` or `[..., B, C]`, and leaves leading
dimensions alone. Hyper-parameters are floats, or tensors `[...]` with one value a population member. Shapes and
types are checked, values are not: that is done once, where settings enter (`maskcl.Mask`).

Rows whose own label is inactive have an infinite loss under m = -inf or leak = 0: such rows are not to be masked.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from maskcl.errors import ShapeError, check

__all__ = [
    "cross_entropy",
    "leaky_logits",
    "masked_cross_entropy",
    "mass_to_value",
    "present_classes",
    "replace_logits",
    "scale_gradient",
]

Dial: TypeAlias = "float | Tensor"
"""A hyper-parameter: one value, or a tensor [...] with one value a member."""


def replace_logits(logits: Tensor, active: Tensor, *, value: Dial) -> Tensor:
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
    _check_active(logits, active)
    limit = torch.finfo(logits.dtype).max
    if isinstance(value, Tensor):
        level = value.detach()[..., None, None] if value.ndim else value.detach()
        cast = level.to(logits.dtype)
        level = torch.where(level.isinf(), cast, cast.clamp(-limit, limit))
        return torch.where(active, logits, level)
    return torch.where(active, logits, value if math.isinf(value) else max(-limit, min(limit, value)))


def leaky_logits(logits: Tensor, active: Tensor, *, leak: Dial) -> Tensor:
    """Weigh inactive classes by `leak` in the softmax: the controlled masked softmax.

        z_j + log(leak) on inactive classes, z_j on active ones.

    Args:
        logits: Raw scores, floating, shape [..., B, C].
        active: True where a class is active, bool, shape [C] or [..., B, C].
        leak: Weight of inactive classes, 0 <= leak <= 1; 1 changes nothing, 0 masks; shape [...].

    Returns:
        Logits of the same shape and type.

    Source: arXiv 2309.14808, section 3; docs/methods/mask.md.

    >>> leaky_logits(torch.zeros(1, 2), torch.tensor([False, True]), leak=0.1)
    tensor([[-2.3026,  0.0000]])
    """
    _check_active(logits, active)
    if isinstance(leak, Tensor):
        weight = leak.detach()[..., None, None] if leak.ndim else leak.detach()
        shift = torch.where(active, 0.0, weight.log().to(logits.dtype))
    else:
        shift = torch.where(active, logits.new_zeros(()), math.log(leak) if leak > 0 else -math.inf)
    return logits + shift


def scale_gradient(logits: Tensor, scale: Dial) -> Tensor:
    """Return the logits unchanged, with their gradient multiplied by `scale`.

        sg(z) + scale * (z - sg(z))

    Args:
        logits: Raw scores, finite, any shape.
        scale: Factor of the gradient; 0 stops it; any shape that broadcasts to the logits'.

    Returns:
        The same values.

    Source: docs/methods/mask.md, gradient scales.
    """
    stopped = logits.detach()
    return stopped + scale * (logits - stopped)


def mass_to_value(mass: Dial, active: Tensor, visible: Tensor | None = None) -> Tensor:
    """Return the level m at which the n inactive classes together weigh e^mass: m = mass - log n.

    Args:
        mass: Logarithm of the weight of all inactive classes together; shape [...].
        active: bool, shape [C] or [..., B, C].
        visible: Classes that are in the softmax at all, bool, shape [C] or [..., B, C]; None: all.

    Returns:
        One level a row, shape [..., B or 1, 1]; meaningless, and not used, where nothing is inactive.

    Source: docs/methods/mask.md, mass form.
    """
    inactive = ~active if visible is None else ~active & visible
    count = inactive.sum(-1, keepdim=True)
    count = count[None] if count.ndim == 1 else count
    total = mass[..., None, None] if isinstance(mass, Tensor) and mass.ndim else mass
    return total - count.clamp(min=1).to(torch.float32).log()


def masked_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    active: Tensor,
    *,
    value: Dial | None = None,
    mass: Dial | None = None,
    leak: Dial | None = None,
    old_scale: Dial = 1.0,
    new_scale: Dial = 1.0,
    visible: Tensor | None = None,
) -> Tensor:
    """Cross-entropy in which inactive classes are replaced, weighed down, or kept out of the gradient.

        value, mass:  -z_y + log(S_active + n_inactive * e^m)      leak:  -z_y + log(S_active + leak * S_inactive)

    Args:
        logits: Raw scores, floating, shape [..., B, C].
        labels: Classes of the rows, int64, shape [..., B].
        active: True where a class is being learnt, bool, shape [C] or [..., B, C].
        value: Replace inactive logits by this level m; -inf if none of value, mass and leak is given.
        mass: Replace them by mass - log(number of inactive classes).
        leak: Weigh them by leak instead, 0 to 1; 1 with `old_scale=0` is stop-gradient without replacement.
        old_scale: Factor of the gradient on inactive logits, 0 or more; shape [...].
        new_scale: Factor of the gradient on active logits, 0 or more; shape [...].
        visible: Classes that are in the softmax at all, bool, shape [C] or [..., B, C]; None: all.

    Returns:
        Losses [..., B], in float32 for half-precision logits.

    Raises:
        ShapeError: Shapes or types do not fit, or more than one of value, mass and leak is given.

    Source: arXiv 2309.14808, section 3; docs/methods/mask.md.

    >>> logits, active = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([False, True, True])
    >>> masked_cross_entropy(logits, torch.tensor([1]), active)
    tensor([0.3133])
    >>> masked_cross_entropy(logits, torch.tensor([1]), active, leak=0.1)
    tensor([0.4945])
    """
    given = sum(dial is not None for dial in (value, mass, leak))
    check(given <= 1, "masked_cross_entropy", "takes one of value, mass and leak", given, error=ShapeError)
    _check_active(logits, active)
    logits = _at_least_float32(logits)
    if not (_is_one(old_scale) and _is_one(new_scale)):
        logits = scale_gradient(logits, torch.where(active, _per_row(new_scale), _per_row(old_scale)))
    if leak is not None:
        logits = leaky_logits(logits, active, leak=leak)
    elif mass is not None:
        logits = torch.where(active, logits, mass_to_value(mass, active, visible).to(logits.dtype))
    else:
        logits = replace_logits(logits, active, value=-math.inf if value is None else value)
    return cross_entropy(logits, labels, visible=visible)


def cross_entropy(
    logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, visible: Tensor | None = None
) -> Tensor:
    """Softmax cross-entropy of each row, with hard or soft targets.

    Args:
        logits: Raw scores, floating, shape [..., B, C]; -inf takes a class out.
        targets: Classes, int64, shape [..., B]; or probabilities, floating, shape [..., B, C].
        label_smoothing: Share of the target spread evenly over the classes in the softmax, 0 to 1.
        visible: Classes that are in the softmax at all, bool, shape [C] or [..., B, C]; None: all.

    Returns:
        Losses [..., B], in float32 for half-precision logits.

    >>> cross_entropy(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([1]))
    tensor([1.4076])
    """
    logits = _at_least_float32(logits)
    if visible is not None:
        _check_active(logits, visible, name="visible")
        logits = logits.masked_fill(~visible, -math.inf)
    if targets.dtype == torch.int64:
        check(targets.shape == logits.shape[:-1], "labels", f"must have shape {tuple(logits.shape[:-1])}",
              tuple(targets.shape), error=ShapeError)  # fmt: skip
        if label_smoothing == 0.0:
            if logits.ndim == 2:
                return F.cross_entropy(logits, targets, reduction="none")
            # F.cross_entropy wants the classes in dimension 1: flattening is free, transposing is not.
            flat = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), reduction="none")
            return flat.reshape(targets.shape)
        log_p = F.log_softmax(logits, -1)
        hard = -log_p.gather(-1, targets[..., None])[..., 0]
    else:
        check(targets.is_floating_point() and targets.shape == logits.shape, "targets",
              f"must be int64 labels {tuple(logits.shape[:-1])} or probabilities {tuple(logits.shape)}",
              (targets.dtype, tuple(targets.shape)), error=ShapeError)  # fmt: skip
        log_p = F.log_softmax(logits, -1)
        hard = -torch.where(targets > 0, targets * _finite(log_p, targets > 0), 0.0).sum(-1)
        if label_smoothing == 0.0:
            return hard
    inside = logits > -math.inf
    spread = -_finite(log_p, inside).sum(-1) / inside.sum(-1)
    return (1 - label_smoothing) * hard + label_smoothing * spread


def present_classes(labels: Tensor, num_classes: int) -> Tensor:
    """Return which classes occur among the rows: the mask policy "batch".

    Args:
        labels: int64, shape [..., B].
        num_classes: C.

    Returns:
        bool, shape [..., 1, C].

    >>> present_classes(torch.tensor([0, 2, 2]), 4)
    tensor([[ True, False,  True, False]])
    """
    # F.one_hot looks at the largest label, which vmap does not allow.
    return (labels[..., None] == torch.arange(num_classes, device=labels.device)).any(-2, keepdim=True)


def _finite(log_p: Tensor, where: Tensor) -> Tensor:
    """Zero outside `where`, so that 0 * -inf never arises, in value or gradient."""
    return torch.where(where, log_p, 0.0)


def _per_row(dial: Dial) -> Dial:
    return dial[..., None, None] if isinstance(dial, Tensor) and dial.ndim else dial


def _is_one(dial: Dial) -> bool:
    return not isinstance(dial, Tensor) and dial == 1.0


def _at_least_float32(logits: Tensor) -> Tensor:
    # Sums of exponentials lose classes in half precision; the copy is small beside the network's arithmetic.
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _check_active(logits: Tensor, active: Tensor, *, name: str = "active") -> None:
    if not logits.is_floating_point():
        raise ShapeError(f"logits: must be floating point, got {logits.dtype}.")
    if active.dtype != torch.bool:
        raise ShapeError(f"{name}: must be bool, got {active.dtype}.")
    if active.ndim < 1 or active.shape[-1] != logits.shape[-1]:
        raise ShapeError(
            f"{name}: must have {logits.shape[-1]} classes in its last dimension, got {tuple(active.shape)}."
        )
