"""Losses on memory rows: what keeps old answers in place. Reduce over classes, never over rows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from maskcl.errors import ShapeError, check
from maskcl.functional.softmax import at_least_float32, per_row

__all__ = ["distillation", "logit_mse"]


def logit_mse(logits: Tensor, stored: Tensor) -> Tensor:
    """Mean squared difference of logits over classes: the distillation of DER.

    Args:
        logits: The network's present logits, shape [..., B, C].
        stored: What they should be, shape [..., B, C]; no gradient flows to them.

    Returns:
        Losses [..., B], in float32 for half-precision logits: a difference of 300 has no square in float16.

    Source: arXiv 2004.07211, equation 5 (there the squared norm; the code base takes the mean over classes).
    """
    _check_same("stored", stored, logits)
    return (at_least_float32(logits) - at_least_float32(stored.detach())).square().mean(-1)


def distillation(logits: Tensor, target_logits: Tensor, *, temperature: float | Tensor = 1.0) -> Tensor:
    """Kullback-Leibler divergence of softened softmaxes, KL(target || network), without the factor T^2.

    Args:
        logits: The network's logits, shape [..., B, C].
        target_logits: The teacher's logits, shape [..., B, C]; no gradient flows to them; -inf takes a class out.
        temperature: T > 0; both sides are divided by it; shape [...].

    Returns:
        Losses [..., B], 0 where both softmaxes agree, in float32 for half-precision logits. A class that the teacher
        gives no probability adds nothing.
    """
    _check_same("target_logits", target_logits, logits)
    temperature = per_row(temperature)
    log_p = F.log_softmax(at_least_float32(logits) / temperature, -1)
    log_q = F.log_softmax(target_logits.detach().to(log_p.dtype) / temperature, -1)
    q = log_q.exp()
    gap = torch.where(q > 0, log_q - log_p, 0.0)  # 0 * inf is nan: where classes are out of one softmax, or of both
    return (q * gap).sum(-1)


def _check_same(name: str, given: Tensor, logits: Tensor) -> None:
    for each, tensor in (("logits", logits), (name, given)):
        if not isinstance(tensor, Tensor):
            check(False, each, "must be a tensor", type(tensor).__name__, error=ShapeError)
    check(given.shape == logits.shape, name, f"must have shape {tuple(logits.shape)}", tuple(given.shape),
          error=ShapeError)  # fmt: skip
