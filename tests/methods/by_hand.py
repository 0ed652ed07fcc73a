"""Steps whose losses can be computed by hand: logits are logarithms of small whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from maskcl.methods import Step, View

LN2, LN3, LN5, LN7 = torch.tensor([2.0, 3.0, 5.0, 7.0]).double().log().tolist()


def logs(*rows: list[float]) -> Tensor:
    """Logits [n, C] whose exponentials are the numbers given."""
    return torch.tensor(rows, dtype=torch.float64).log()


def step(logits: Tensor, labels: list[int], *sizes: int, **rest: Any) -> Step:
    """A step of one run; sizes: stream rows, then the rows of each draw."""
    return Step(logits, torch.tensor(labels), sizes, **rest)


def active(*rows: list[int]) -> Tensor:
    """Active classes of each row, as 0 and 1."""
    return torch.tensor(rows, dtype=torch.bool)


@dataclass
class Ended:
    """What one member shows when a task has ended: weights, and an importance that was made up."""

    weights: list[Tensor]
    importance: Sequence[Tensor] = ()
    asked: list[int] = field(default_factory=list)

    def squared_gradients(self, num_rows: int) -> list[Tensor]:
        self.asked.append(num_rows)
        return list(self.importance)

    @property
    def view(self) -> View:
        return cast(View, self)


def gradient(method: Any, one: Step) -> Tensor:
    """Gradient of the loss to the logits, [n, C]."""
    leaf = one.logits.clone().requires_grad_()
    loss = method.loss(Step(**{**one.__dict__, "logits": leaf}))
    assert loss.shape == ()
    return torch.autograd.grad(loss, leaf)[0]
