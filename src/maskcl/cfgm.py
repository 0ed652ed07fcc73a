"""`Cfgm`: how samples of old classes are made and learnt from, in one frozen object that every method takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from maskcl.errors import check, check_choice, is_number, is_whole
from maskcl.settings import dial

__all__ = ["Cfgm"]


@dataclass(frozen=True, kw_only=True)
class Cfgm:
    """Replay without a memory: move each stream row towards an old class, and hold the network to its former answer.

        x_c = x - step * grad_x CE(f(x), c)        loss = mean over rows and classes of (f(x_c) - frozen f(x_c))^2

    The defaults are the authors' variant but for the step, which they tie to the batch; `Cfgm.authors(batch_size)` is
    theirs. In a population the numbers may be tensors [K].

    Args:
        step: Length of a step on the per-row loss, 0 or more, in units of `norm`.
        num_steps: Gradient steps, 1 or more.
        norm: "raw" gradient, "l2" (scaled to length 1) or "sign".
        clamp: Cut the samples to the range of the data after each step.
        draw: Old class of each row: "uniform" over the classes of earlier tasks, or "balanced" (as many rows of each
            as the batch allows).
        per_row: Samples made from each stream row, each towards a class of its own draw, 1 or more.
        generator: Network whose gradient is followed: the "current" one, or the "frozen" one of the last task's end.
        target: What samples are to give: "frozen" logits of the previous network, or the "label" c.
        loss: "mse" of logits or "kl" of softmaxes; for target "frozen" (target "label" takes cross-entropy).
        temperature: Softens both softmaxes of "kl", above 0.
        update: "separate": a second optimiser step, on samples of the network as the first one left it; "joint": one
            step on both losses.
        weight: Factor of the loss, 0 or more. For plain SGD a separate update's learning rate is weight * lr.
        from_task: First task (0-based) in which samples are made, 1 or more.
        crop: Before it is moved, each row is shifted at random by up to so many pixels, 0 or more, with black beyond
            the edge, as by `Augment.crop`; images only.
        flip: Before it is moved, each row is mirrored left and right with probability 1/2; images only.

    Source: arXiv 2309.14808, CFGM; docs/methods/cfgm.md.

    >>> Cfgm(step=2.0).label
    'cfgm step=2'
    """

    step: float = dial()
    num_steps: int = 1
    norm: str = "raw"
    clamp: bool = False
    draw: str = "uniform"
    per_row: int = 1
    generator: str = "current"
    target: str = "frozen"
    loss: str = "mse"
    temperature: float = dial(1.0)
    update: str = "separate"
    weight: float = dial(1.0)
    from_task: int = 1
    crop: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        for name, low in (("step", 0.0), ("weight", 0.0), ("temperature", None)):
            number = getattr(self, name)
            good = is_number(number) and math.isfinite(number)
            good = good and (number > 0 if low is None else number >= low)
            check(good, f"cfgm.{name}", f"must be a finite number, {'above 0' if low is None else '0 or more'}", number)
        for name in ("num_steps", "per_row", "from_task"):
            number = getattr(self, name)
            good = is_whole(number) and number >= 1
            hint = "the first task has no old class, and no network before it" if name == "from_task" else None
            check(good, f"cfgm.{name}", "must be a whole number, 1 or more", number, hint=hint)
        good = is_whole(self.crop) and self.crop >= 0
        check(good, "cfgm.crop", "must be a whole number of pixels, 0 or more", self.crop)
        for name in ("clamp", "flip"):
            check(isinstance(getattr(self, name), bool), f"cfgm.{name}", "must be true or false", getattr(self, name))
        choices = {
            "norm": ("raw", "l2", "sign"), "draw": ("uniform", "balanced"), "generator": ("current", "frozen"),
            "target": ("frozen", "label"), "loss": ("mse", "kl"), "update": ("separate", "joint"),
        }  # fmt: skip
        for name, allowed in choices.items():
            check_choice(getattr(self, name), f"cfgm.{name}", allowed)
        check(self.target == "frozen" or self.loss == "mse", "cfgm.loss",
              "acts only with target 'frozen' (target 'label' takes cross-entropy)", self.loss)  # fmt: skip
        check(
            self.loss == "kl" or self.temperature == 1.0,
            "cfgm.temperature",
            "acts only with loss 'kl'",
            self.temperature,
        )

    @classmethod
    def authors(cls, batch_size: int, **changes: Any) -> Cfgm:
        """The variant of the authors' code: raw gradient of the batch mean with alpha = 20, one step, no clamping.

        >>> Cfgm.authors(10).step
        2.0
        """
        check(batch_size != 0, "Cfgm.authors: batch_size", "must be 1 or more", batch_size)
        return cls(**({"step": 20.0 / batch_size} | changes))

    @property
    def label(self) -> str:
        """A short name for tables: the step first, then what differs from the default."""
        fields = type(self).__dataclass_fields__
        parts = [f"cfgm step={self.step:g}"]
        for name in list(fields)[1:]:
            value = getattr(self, name)
            if value != fields[name].default:
                parts.append(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}")
        return " ".join(parts)
