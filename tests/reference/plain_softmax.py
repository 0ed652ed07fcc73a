"""The masked softmax family as slow plain loops over classes, in Python's float64: losses and gradients of one row."""

from __future__ import annotations

import math
from collections.abc import Sequence

Row = Sequence[float]


def log_sum_exp(terms: Row) -> float:
    top = max(terms)
    return top if top == -math.inf else top + math.log(sum(math.exp(term - top) for term in terms))


def masked_row(
    z: Row,
    y: int,
    active: Sequence[bool],
    *,
    value: float | None = None,
    mass: float | None = None,
    leak: float | None = None,
    old_scale: float = 1.0,
    new_scale: float = 1.0,
    visible: Sequence[bool] | None = None,
) -> tuple[float, list[float]]:
    """Loss and gradient of one row; none of value, mass and leak: value = -inf."""
    shown = [True] * len(z) if visible is None else list(visible)
    hidden = [c for c in range(len(z)) if shown[c] and not active[c]]
    terms = []
    for c, logit in enumerate(z):
        if not shown[c]:
            terms.append(-math.inf)
        elif active[c]:
            terms.append(logit)
        elif leak is not None:
            terms.append(logit + math.log(leak) if leak > 0 else -math.inf)
        elif mass is not None:
            terms.append(mass - math.log(len(hidden)))
        else:
            terms.append(-math.inf if value is None else value)
    total = log_sum_exp(terms)
    gradient = []
    for c in range(len(z)):
        share = math.exp(terms[c] - total) - (1.0 if c == y else 0.0)
        replaced = not active[c] and leak is None
        gradient.append(0.0 if replaced or not shown[c] else share * (new_scale if active[c] else old_scale))
    return total - terms[y], gradient


def cross_entropy_row(z: Row, target: Row, *, label_smoothing: float = 0.0) -> float:
    """Cross-entropy of one row with a soft target, label smoothing over all classes."""
    total, loss = log_sum_exp(z), 0.0
    for logit, share in zip(z, target, strict=True):
        loss -= ((1 - label_smoothing) * share + label_smoothing / len(z)) * (logit - total)
    return loss


def distillation_row(z: Row, target: Row, *, temperature: float) -> float:
    """KL(softmax(target / T) || softmax(z / T)) of one row."""
    cool, warm = ([logit / temperature for logit in row] for row in (z, target))
    log_p = [logit - log_sum_exp(cool) for logit in cool]
    log_q = [logit - log_sum_exp(warm) for logit in warm]
    return sum(math.exp(q) * (q - p) for p, q in zip(log_p, log_q, strict=True))
