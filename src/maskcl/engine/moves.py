"""How far a network's weights have moved, told from a few of them, so that no second network has to be kept.

shift = |w - v| / |v|    v: the weights when the task began (before the first one: the initial weights)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["EACH", "shift", "sketch_weights"]

EACH = 1024
"""Numbers that are kept of a tensor: of larger ones every n-th, weighed up so that they stand for all."""


@torch.no_grad()
def sketch_weights(params: Mapping[str, Tensor]) -> NDArray[np.float32]:
    """Return evenly spaced weights of each tensor, scaled so that the norm of all estimates that of all weights.

    Args:
        params: One network's parameters by name, any shapes.

    Returns:
        Numbers [S]; up to EACH a tensor.
    """
    parts = []
    for tensor in params.values():
        flat = tensor.reshape(-1)
        some = flat[:: max(1, -(-len(flat) // EACH))].float()
        parts.append(some * (len(flat) / max(1, len(some))) ** 0.5)
    return np.zeros(0, np.float32) if not parts else torch.cat(parts).cpu().numpy()


def shift(before: NDArray[np.float32] | None, now: NDArray[np.float32] | None) -> float:
    """Return |now - before| / |before|; NaN where that is unknown, or beyond all measure."""
    if before is None or now is None or before.shape != now.shape:
        return float("nan")
    old, new = before.astype(np.float64), now.astype(np.float64)
    with np.errstate(all="ignore"):  # of runs that diverge
        far = np.linalg.norm(new - old) / np.linalg.norm(old)
    return float(far) if far < 1e30 else float("nan")
