"""Losses on memory rows: what keeps old answers in place. Reduce over classes, never over rows."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from maskcl.errors import ShapeError, check

__all__ = ["distillation", "logit_mse"]


def logit_mse(logits: Tensor, stored: Tensor) -> Tensor:
    """Mean squared difference of logits over classes: the distillation of DER.

    Args:
        logits: The network's present logits, shape [..., B, C].
        stored: What they should be, shape [..., B, C]; no gradient flows to them.

    Returns:
        Losses [..., B].

    Source: arXiv 2004.07211, equation 5 (there the squared norm; the code base takes the mean over classes).
    """
    check(stored.shape == logits.shape, "stored", f"must have shape {tuple(logits.shape)}", tuple(stored.shape),
          error=ShapeError)  # fmt: skip
    return (logits - stored.detach()).square().mean(-1)


def distillation(logits: Tensor, target_logits: Tensor, *, temperature: float | Tensor = 1.0) -> Tensor:
    """Kullback-Leibler divergence of softened softmaxes, KL(target || network), without the factor T^2.

    Args:
        logits: The network's logits, shape [..., B, C].
        target_logits: The teacher's logits, shape [..., B, C]; no gradient flows to them.
        temperature: T > 0; both sides are divided by it; shape [...].

    Returns:
        Losses [..., B], 0 where both softmaxes agree.
    """
    check(target_logits.shape == logits.shape, "target_logits", f"must have shape {tuple(logits.shape)}",
          tuple(target_logits.shape), error=ShapeError)  # fmt: skip
    if isinstance(temperature, Tensor) and temperature.ndim:
        temperature = temperature[..., None, None]
    log_p = F.log_softmax(logits.float() / temperature if logits.dtype.itemsize < 4 else logits / temperature, -1)
    log_q = F.log_softmax(target_logits.detach().to(log_p.dtype) / temperature, -1)
    return (log_q.exp() * (log_q - log_p)).sum(-1)
