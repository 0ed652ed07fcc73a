"""Optimisers for one run or a population: each member has its own learning rate, and members never mix.

PyTorch's optimisers take one learning rate a parameter tensor; here a parameter of a population is a tensor
[K, ...], so the rate is one number a row of it. The updates are PyTorch's, held against `torch.optim` in tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcl.devices import send
from maskcl.errors import check, check_choice, is_number
from maskcl.settings import dial

__all__ = ["Optimizer", "OptimizerConfig", "per_member"]

BETAS = (0.9, 0.999)
"""Adam's, as in PyTorch."""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How parameters move. In a population the numbers may be tensors [K].

    Args:
        name: "sgd" or "adam".
        lr: Learning rate, above 0.
        momentum: SGD only, 0 to 1 (exclusive).
        weight_decay: L2 penalty added to the gradient, 0 or more. It moves masked classifier rows too, as momentum
            does: "untouched" is true of plain SGD only.
        clip_norm: Largest norm of the whole gradient of a member, above 0; None for no clipping.
    """

    name: str = "sgd"
    lr: float = dial(0.1)
    momentum: float = dial(0.0)
    weight_decay: float = dial(0.0)
    clip_norm: float | None = dial(None)

    def __post_init__(self) -> None:
        check_choice(self.name, "optimizer.name", ("sgd", "adam"))
        check(is_number(self.lr) and 0 < self.lr < math.inf, "optimizer.lr", "must be a number above 0", self.lr)
        good = is_number(self.momentum) and 0 <= self.momentum < 1
        check(good, "optimizer.momentum", "must be in [0, 1)", self.momentum)
        check(
            self.name == "sgd" or self.momentum == 0, "optimizer.momentum", "acts only with name 'sgd'", self.momentum
        )
        check(is_number(self.weight_decay) and 0 <= self.weight_decay < math.inf, "optimizer.weight_decay",
              "must be 0 or more", self.weight_decay)  # fmt: skip
        check(self.clip_norm is None or (is_number(self.clip_norm) and self.clip_norm > 0), "optimizer.clip_norm",
              "must be above 0, or left out", self.clip_norm)  # fmt: skip

    @property
    def is_plain_sgd(self) -> bool:
        """Whether the update is lr times the gradient and nothing else, so that it can be fused into backward."""
        still = all(not isinstance(number, Tensor) and number == 0 for number in (self.momentum, self.weight_decay))
        return self.name == "sgd" and still and self.clip_norm is None


class Optimizer:
    """An optimiser over parameters with or without a leading member dimension, and its state.

    Args:
        config: Its settings; numbers may be tensors [K].
        params: What it moves, in place.
        stacked: Whether parameters have a member dimension.
        state: Its tensors by slot, one a parameter; None: at the start.
        updates: Updates so far of each member, int64 [K]; counted here.
    """

    def __init__(
        self,
        config: OptimizerConfig,
        params: Sequence[Tensor],
        *,
        stacked: bool,
        state: dict[str, list[Tensor]] | None = None,
        updates: NDArray[np.int64] | None = None,
    ) -> None:
        self.config, self.params, self.stacked = config, list(params), stacked
        self._is_plain = config.is_plain_sgd
        self.updates = np.zeros(len(self.params[0]) if stacked else 1, np.int64) if updates is None else updates
        momentum = ("momentum",) if not _is_zero(config.momentum) else ()
        self._slots = {"adam": ("mean", "square"), "sgd": momentum}[config.name]
        if state is None:
            state = {slot: [torch.zeros_like(p, requires_grad=False) for p in self.params] for slot in self._slots}
        self.state = state

    def step(self, grads: Sequence[Tensor], rate: float | Tensor = 1.0) -> None:
        """Move the parameters in place.

        Args:
            grads: One gradient a parameter, of its shape; not kept, but may be overwritten.
            rate: Factor of the learning rate; one value, or one a member [K].
        """
        lr = self.pace(rate, self.params[0])
        with torch.no_grad():  # as a decorator it costs 3 µs more, which single rows feel
            if self._is_plain and not isinstance(lr, Tensor):
                torch._foreach_add_(self.params, list(grads), alpha=-lr)
            else:
                self._step(grads, rate)

    def _step(self, grads: Sequence[Tensor], rate: float | Tensor) -> None:
        config = self.config
        self.updates += 1
        grads = self._clipped(grads)
        biases = [self._bias(beta) for beta in BETAS] if config.name == "adam" else []
        for i, (param, grad) in enumerate(zip(self.params, grads, strict=True)):
            if not _is_zero(config.weight_decay):
                grad = grad + per_member(config.weight_decay, param) * param
            if config.name == "adam":
                grad = self._adam_direction(i, grad, biases)
            elif "momentum" in self.state:
                grad = self.state["momentum"][i].mul_(per_member(config.momentum, param)).add_(grad)
            param.sub_(self.pace(rate, param) * grad)

    def tensors(self) -> list[Tensor]:
        """All that a step changes: parameters, and the slots that have one for each of them."""
        return [*self.params, *(tensor for slot in self._slots for tensor in self.state[slot])]

    def pace(self, rate: float | Tensor, like: Tensor) -> Any:
        """The learning rate of a step: a number, or one a member, of the type and with the dimensions of a parameter.

        The product is exact before it is rounded, so that it is the same for a member alone and among others.
        """
        lr = self.config.lr
        if isinstance(rate, float) and rate == 1.0:
            return per_member(lr, like)
        exact = torch.as_tensor(lr, dtype=like.dtype).double() * rate
        return per_member(exact, like) if exact.ndim else float(exact)

    def _adam_direction(self, i: int, grad: Tensor, biases: Sequence[Any]) -> Tensor:
        beta1, beta2 = BETAS
        mean = self.state["mean"][i].lerp_(grad, 1 - beta1)
        square = self.state["square"][i].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        bias, scale = (per_member(bias, grad) for bias in biases)
        scale = scale.sqrt() if isinstance(scale, Tensor) else math.sqrt(scale)
        return (mean / bias) / (square.sqrt() / scale + 1e-8)

    def _bias(self, beta: float) -> Any:
        """1 - beta^updates: one number, or one a member [K] where members have made different numbers of updates."""
        if (self.updates == self.updates[0]).all():
            return 1 - beta ** int(self.updates[0])
        like = self.params[0]
        return send(torch.tensor([1 - beta ** int(n) for n in self.updates], dtype=like.dtype), like.device)

    def _clipped(self, grads: Sequence[Tensor]) -> Sequence[Tensor]:
        limit = self.config.clip_norm
        if limit is None:
            return grads
        flat = [g.reshape(len(g), -1) if self.stacked else g.flatten() for g in grads]  # a scalar's has one dimension
        norm = sum(g.square().sum(-1) for g in flat)
        factor = (limit / (torch.as_tensor(norm).sqrt() + 1e-6)).clamp(max=1.0)
        return [per_member(factor, g) * g for g in grads]


def per_member(number: Any, like: Tensor) -> Any:
    """Give a dial, [K] in a population, the type and as many trailing dimensions as a parameter [K, ...] has.

    Args:
        number: A float, or a tensor [K]; one without dimensions stays as it is.
        like: The parameter, or anything else with a leading member dimension.
    """
    if isinstance(number, Tensor) and number.ndim:
        return number.to(like.dtype).view(-1, *[1] * (like.ndim - 1))
    return number


def _is_zero(dial: Any) -> bool:
    return not isinstance(dial, Tensor) and dial == 0
