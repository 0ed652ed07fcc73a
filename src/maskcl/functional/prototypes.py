"""Nearest class means: what iCaRL and SCR predict by."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["class_means", "nearest_mean"]

UNKNOWN = -1e9
"""Score of a class without rows: below all others, and finite, so that a softmax of scores is one."""


def class_means(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Return the mean of each class's rows, features and means scaled to length 1.

    Args:
        features: Floating, shape [n, D].
        labels: Their classes, int64, shape [n].
        num_classes: C.

    Returns:
        Means [C, D]; zeros for a class without rows.

    Source: arXiv 1611.07725, algorithm 1.

    >>> class_means(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([1, 1]), 2)
    tensor([[0.0000, 0.0000],
            [0.7071, 0.7071]])
    """
    scaled = F.normalize(features, dim=-1)
    if features.device.type == "cpu":
        sums = scaled.new_zeros(num_classes, features.shape[-1]).index_add_(0, labels, scaled)
    else:  # there `index_add_` adds in the order in which threads come: other last bits each time
        sums = (labels == torch.arange(num_classes, device=labels.device)[:, None]).to(scaled.dtype) @ scaled
    return F.normalize(sums, dim=-1)


def nearest_mean(features: Tensor, means: Tensor) -> Tensor:
    """Return scores whose argmax is the nearest class mean: minus the squared distance of the scaled features.

    Args:
        features: Floating, shape [..., n, D].
        means: From `class_means`, shape [..., C, D]; a class of zeros has no rows, and a score below all others.

    Returns:
        Scores [..., n, C].

    >>> nearest_mean(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    tensor([[ 0., -2.]])
    """
    known = means.square().sum(-1) > 0
    scores = 2 * F.normalize(features, dim=-1) @ means.mT - 2  # both of length 1: -(1 - 2 u m + 1)
    return torch.where(known[..., None, :], scores, UNKNOWN)
