"""Products of a step in fewer bits: autocast around forward passes, and for float16 a scale on the loss.

    L' = s L,  g = g' / s;  2,000 good steps in a row: s <- 2 s
    g not finite: the step is left out, s <- max(s / 2, 2^-14)

Everything but products stays in the type of the weights (docs/design/devices.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from maskcl.view import Outputs

__all__ = ["LossScale", "Precision", "gradient"]

START, GROW_AFTER = 2.0**16, 2000
"""Those of `torch.amp.GradScaler`."""
LEAST = 2.0**-14
"""The smallest number that float16 has all its bits for. Without a floor 166 steps left out make the scale 0, and 0 / 0
is no gradient of any later step: the run would stand still to its end."""


class Precision:
    """The type that a step's forward passes multiply in."""

    def __init__(self, name: str, device: torch.device) -> None:
        self.is_short, self.needs_scale = name != "float32", name == "float16"
        self._device, self._dtype = device.type, getattr(torch, name)

    def __call__(self, forward: Callable[..., Outputs], *arguments: Any, **options: Any) -> Outputs:
        """What a forward pass gives, computed in this type; it comes out as float32 where it was shortened."""
        if not self.is_short:
            return forward(*arguments, **options)
        with torch.autocast(self._device, dtype=self._dtype):
            found = forward(*arguments, **options)
        return Outputs(*(None if t is None else t.float() for t in (found.logits, found.features, found.projected)))  # type: ignore[arg-type]


class LossScale:
    """One scale a member, so that none pays for another's overflow; nothing waits for the device.

    Args:
        state: Scale, and good steps since it last changed, float32 and int64 [...]; changed in place.
    """

    def __init__(self, state: Sequence[Tensor]) -> None:
        self.scale, self.good = state
        self._finite = torch.ones_like(self.good, dtype=torch.bool)

    @staticmethod
    def start(leading: tuple[int, ...]) -> list[Tensor]:
        """The state before the first step."""
        return [torch.full(leading, START), torch.zeros(leading, dtype=torch.int64)]

    def unscaled(self, grads: Sequence[Tensor]) -> list[Tensor]:
        """Gradients of the loss itself; zeros for a member of which any is not finite, whose step is left out."""
        dims, grads = self.scale.ndim, [g / _like(self.scale, g) for g in grads]  # a quotient may be too large, too
        fine = [g.isfinite().flatten(dims).all(-1) if g.ndim > dims else g.isfinite() for g in grads]
        finite = torch.stack(fine).all(0)
        self._finite = self._finite & finite
        return [torch.where(_like(finite, g), g, 0.0) for g in grads]

    def step(self, move: Callable[[], object], tensors: Sequence[Tensor]) -> None:
        """Make a step, on trial: undo it for members with gradients that were not finite, and adapt the scale.

        Args:
            move: Makes the step.
            tensors: All that it changes.
        """
        finite, before = self._finite, [t.detach().clone() for t in tensors]
        move()
        with torch.no_grad():
            for tensor, old in zip(tensors, before, strict=True):
                tensor.copy_(torch.where(_like(finite, tensor), tensor, old))
            good = torch.where(finite, self.good + 1, 0)
            grown = torch.where(good == GROW_AFTER, 2 * self.scale, self.scale)
            self.scale.copy_(torch.where(finite, grown, (self.scale / 2).clamp(min=LEAST)))
            self.good.copy_(torch.where(good == GROW_AFTER, 0, good))
        self._finite = torch.ones_like(finite)


def gradient(
    loss: Tensor,
    params: Sequence[Tensor],
    *,
    keep: bool = False,
    scale: LossScale | None = None,
    joined: Callable[[Sequence[Tensor]], Sequence[Tensor]] | None = None,
) -> Sequence[Tensor]:
    """Gradients of a loss [...], one a parameter: the sum over members is differentiated, so members never mix.

    Args:
        loss: One number, or one a member.
        params: Parameters, without or with a member dimension.
        keep: Whether the graph is needed once more.
        scale: What keeps gradients of float16 from vanishing, if anything.
        joined: What makes gradients of all rows of those of a process's own; None: it has them all.
    """
    scaled = loss if scale is None else loss * scale.scale
    total = scaled.sum() if scaled.ndim else scaled
    own = torch.autograd.grad(total, params, allow_unused=True, materialize_grads=True, retain_graph=keep)
    found = own if joined is None else joined(own)
    return found if scale is None else scale.unscaled(found)


def _like(number: Tensor, like: Tensor) -> Tensor:
    """One number a member with the dimensions of a parameter; one number for all as it is."""
    return number.view(-1, *[1] * (like.ndim - 1)) if number.ndim else number
