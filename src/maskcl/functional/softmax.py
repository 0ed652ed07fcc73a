"""The mathematics of the masked softmax family: what stream rows may do to the logits of classes not being learnt.

Everything here works on logits `[..., B, C]` and a bool `active`, `[C]` or `[..., B, C]`, and leaves leading
dimensions alone. Hyper-parameters are floats, or tensors `[...]` with one value a population member. Shapes and
types are checked, values are not: that is done once, where settings enter (`maskcl.Mask`), or by the functions of
`functional/losses.py`, which look at values and then call these.

Rows whose own label is inactive have an infinite loss under m = -inf or leak = 0: such rows are not to be masked.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from maskcl.errors import ShapeError, check

__all__ = [
    "Dial",
    "at_least_float32",
    "check_classes",
    "gradient_factor",
    "is_one",
    "leaked",
    "masked_losses",
    "mass_to_value",
    "on_device",
    "per_row",
    "present_classes",
    "replaced",
    "row_losses",
    "scale_gradient",
    "show",
]

Dial: TypeAlias = "float | Tensor"
"""A hyper-parameter: one value, or a tensor [...] with one value a member."""


def replaced(logits: Tensor, active: Tensor, value: Dial) -> Tensor:
    """`replace_logits` without a look at values."""
    limit = torch.finfo(logits.dtype).max
    if isinstance(value, Tensor):
        level = per_row(value.detach())
        cast = level.to(logits.dtype)
        level = torch.where(level.isinf(), cast, cast.clamp(-limit, limit))
        return torch.where(active, logits, level)
    return torch.where(active, logits, value if math.isinf(value) else max(-limit, min(limit, value)))


def leaked(logits: Tensor, active: Tensor, leak: Dial) -> Tensor:
    """`leaky_logits` without a look at values."""
    if isinstance(leak, Tensor):
        shift = torch.where(active, 0.0, per_row(leak.detach()).log().to(logits.dtype))
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


def gradient_factor(active: Tensor, new_scale: Dial, old_scale: Dial, dtype: torch.dtype) -> Tensor:
    """Return the factor of each logit's gradient, for `scale_gradient`: exact in the logits' own type.

    `torch.where` on two Python floats would make float32 of them, in a float64 run too.

    Args:
        active: True where a class is active, bool, shape [C] or [..., B, C].
        new_scale: Factor on active logits; shape [...].
        old_scale: Factor on inactive logits; shape [...].
        dtype: Type of the logits.

    Returns:
        Factors, shape [C] or [..., B, C].
    """
    new, old = (on_device(per_row(scale), dtype, active.device) for scale in (new_scale, old_scale))
    return torch.where(active, new, old)


def mass_to_value(
    mass: Dial, active: Tensor, visible: Tensor | None = None, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Return the level m at which the n inactive classes together weigh e^mass: m = mass - log n.

    Args:
        mass: Logarithm of the weight of all inactive classes together; shape [...].
        active: bool, shape [C] or [..., B, C].
        visible: Classes that are in the softmax at all, bool, shape [C] or [..., B, C]; None: all.
        dtype: Type in which log n is taken, that of the logits; None: the mass's own if it is a tensor, or float32.

    Returns:
        One level a row, shape [..., B or 1, 1]; meaningless, and not used, where nothing is inactive.

    Source: docs/methods/mask.md, mass form.
    """
    if dtype is None:
        dtype = mass.dtype if isinstance(mass, Tensor) and mass.is_floating_point() else torch.float32
    inactive = ~active if visible is None else ~active & visible
    count = inactive.sum(-1, keepdim=True)
    count = count[None] if count.ndim == 1 else count
    return per_row(mass) - count.clamp(min=1).to(dtype).log()


def masked_losses(
    logits: Tensor,
    labels: Tensor,
    active: Tensor,
    *,
    value: Dial | None = None,
    mass: Dial | None = None,
    leak: Dial | None = None,
    old_scale: Dial = 1.0,
    new_scale: Dial = 1.0,
    label_smoothing: float = 0.0,
    visible: Tensor | None = None,
) -> Tensor:
    """`masked_cross_entropy` without a look at values: for the engine, whose settings have been checked.

    Args:
        logits: Raw scores, floating, shape [..., B, C].
        labels: Classes of the rows, int64, shape [..., B].
        active: True where a class is being learnt, bool, shape [C] or [..., B, C].
        value: Replace inactive logits by this level m; -inf if none of value, mass and leak is given.
        mass: Replace them by mass - log(number of inactive classes).
        leak: Weigh them by leak instead, 0 or more.
        old_scale: Factor of the gradient on inactive logits, 0 or more; shape [...].
        new_scale: Factor of the gradient on active logits, 0 or more; shape [...].
        label_smoothing: Share of each target that is spread evenly over the classes in the softmax.
        visible: Classes that are in the softmax at all, bool, shape [C] or [..., B, C]; None: all.

    Returns:
        Losses [..., B], in float32 for half-precision logits.

    Raises:
        ShapeError: Shapes or types do not fit, or more than one of value, mass and leak is given.
    """
    given = sum(dial is not None for dial in (value, mass, leak))
    check(given <= 1, "masked_cross_entropy", "takes one of value, mass and leak", given, error=ShapeError)
    check_classes(logits, active)
    logits = at_least_float32(logits)
    if not (is_one(old_scale) and is_one(new_scale)):
        logits = scale_gradient(logits, gradient_factor(active, new_scale, old_scale, logits.dtype))
    if leak is not None:
        logits = leaked(logits, active, leak)
    elif mass is not None:
        level = mass_to_value(mass, active, visible, dtype=logits.dtype)
        logits = torch.where(active, logits, level.to(logits.dtype))
    else:
        logits = replaced(logits, active, -math.inf if value is None else value)
    return row_losses(logits, labels, label_smoothing=label_smoothing, visible=visible)


def row_losses(
    logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0, visible: Tensor | None = None
) -> Tensor:
    """Cross-entropy of each row with hard labels, without a look at values: for the engine.

    Args:
        logits: Raw scores, floating, shape [..., B, C]; -inf takes a class out.
        labels: Classes, int64, shape [..., B].
        label_smoothing: Share of each target that is spread evenly over the classes in the softmax.
        visible: Classes that are in the softmax at all, bool, shape [C] or [..., B, C]; None: all.

    Returns:
        Losses [..., B], in float32 for half-precision logits.
    """
    logits = show(at_least_float32(logits), visible)
    if labels.shape != logits.shape[:-1]:
        check(False, "labels", f"must have shape {tuple(logits.shape[:-1])}", tuple(labels.shape), error=ShapeError)
    if label_smoothing:
        log_p = F.log_softmax(logits, -1)
        return smoothed(-log_p.gather(-1, labels[..., None])[..., 0], log_p, label_smoothing)
    if logits.ndim == 2:
        return F.cross_entropy(logits, labels, reduction="none")
    # F.cross_entropy wants the classes in dimension 1: flattening is free, transposing is not.
    flat = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), reduction="none")
    return flat.reshape(labels.shape)


def smoothed(hard: Tensor, log_p: Tensor, share: float) -> Tensor:
    """Spread a share of each target evenly over the classes in the softmax.

    Args:
        hard: Losses of the targets themselves, shape [..., B].
        log_p: Log probabilities, -inf outside the softmax, shape [..., B, C].
        share: 0 to 1.

    Returns:
        Losses [..., B].
    """
    inside = log_p > -math.inf
    spread = -torch.where(inside, log_p, 0.0).sum(-1) / inside.sum(-1)  # 0 * -inf never arises
    return (1 - share) * hard + share * spread


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


def show(logits: Tensor, visible: Tensor | None) -> Tensor:
    """Take the classes that are not visible out of the softmax."""
    if visible is None:
        return logits
    check_classes(logits, visible, name="visible")
    return logits.masked_fill(~visible, -math.inf)


def at_least_float32(logits: Tensor) -> Tensor:
    """Widen half precision, whose sums of exponentials lose classes; the copy is small beside the network."""
    return logits.float() if logits.dtype.itemsize < 4 else logits


def check_classes(logits: Tensor, classes: Tensor, *, name: str = "active") -> None:
    """Refuse `classes` that are not bool [C] or [..., B, C], and logits that are not floating."""
    if not logits.is_floating_point():
        raise ShapeError(f"logits: must be floating point, got {logits.dtype}.")
    if classes.dtype != torch.bool:
        raise ShapeError(f"{name}: must be bool, got {classes.dtype}.")
    if classes.ndim < 1 or classes.shape[-1] != logits.shape[-1]:
        raise ShapeError(
            f"{name}: must have {logits.shape[-1]} classes in its last dimension, got {tuple(classes.shape)}."
        )


def on_device(dial: Dial, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a dial as a tensor; a number is filled in there, for to send it a device would be waited for."""
    if isinstance(dial, Tensor):
        return dial.to(device=device, dtype=dtype)
    return torch.full((), dial, dtype=dtype, device=device)


def per_row(dial: Any) -> Any:
    """Give a dial [...] the two dimensions, rows and classes, that logits [..., B, C] have besides."""
    return dial[..., None, None] if isinstance(dial, Tensor) and dial.ndim else dial


def is_one(dial: Any) -> bool:
    """Whether a dial is exactly 1 for all members, so that nothing need be multiplied."""
    return not isinstance(dial, Tensor) and dial == 1.0
