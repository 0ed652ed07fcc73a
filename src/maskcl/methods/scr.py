"""Supervised contrastive replay (SCR): rows of a class are drawn together, all others apart; no classifier.

    u = projection of a row's features, scaled to length 1; each row is there in two views
    p_ij = exp(u_i u_j / T) / sum over k not i of exp(u_i u_k / T)
    L = mean over views i of the mean of -log p_ij over the other views j of i's class
    prediction: the class whose mean of memory rows' features, scaled to length 1, is nearest

Stream and memory rows have the same loss; while the memory is empty nothing is learnt. Mai et al., arXiv 2103.13885.

Differs from the paper and its public code:
1. The projection is Linear(D, D), ReLU, Linear(D, projection_size) on the features that go into the network's
   classifier, which is left untrained.
2. Views are those of `training.augment` (crop and flip); without it both are the row itself. Theirs crops and flips
   more strongly, with changes of colour.
3. No "review" pass over the memory at task ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskcl.functional.softmax import per_row
from maskcl.methods.base import Draw, NearestMean, Needs, Step, dial, option

__all__ = ["SupervisedContrastiveReplay"]


@dataclass(frozen=True, kw_only=True)
class SupervisedContrastiveReplay(NearestMean):
    """A contrastive loss on two views of stream and memory rows, nearest mean of memory rows."""

    key: ClassVar[str] = "scr"
    title: ClassVar[str] = "Supervised contrastive replay (SCR)"
    paper: ClassVar[str] = "2103.13885"

    replay_batch: int = option(100, "memory rows a step, 1 or more", least=1)
    temperature: float = dial(0.07, "of the contrast, above 0", above=0)
    projection_size: int = option(128, "outputs of the projection, 1 or more", least=1)

    @property
    def needs(self) -> Needs:
        """One draw, two views of every row, features."""
        return Needs(
            draws=(Draw(self.replay_batch),),
            joint_forward=True,
            features=True,
            views=2,
            label_smoothing=False,
            no_mask="has no softmax over classes",
            no_cfgm="trains no classifier whose gradient could be followed",
        )

    def head(self, num_features: int) -> nn.Module:
        """The projection, dropped at prediction."""
        return nn.Sequential(
            nn.Linear(num_features, num_features), nn.ReLU(), nn.Linear(num_features, self.projection_size)
        )

    def loss(self, step: Step) -> Tensor:
        """Contrast of every view with all others, [...]."""
        assert step.projected is not None
        if not step.replays:
            return 0 * step.projected.sum((-2, -1))
        u, labels = F.normalize(step.projected, dim=-1), torch.cat([step.labels, step.labels], -1)
        itself = torch.eye(labels.shape[-1], dtype=torch.bool, device=labels.device)
        alike = (u @ u.mT / per_row(self.temperature)).masked_fill(itself, -torch.inf)
        log_p = alike - alike.logsumexp(-1, keepdim=True)
        positive = (labels[..., :, None] == labels[..., None, :]) & ~itself
        each = torch.where(positive, log_p, 0.0).sum(-1) / positive.sum(-1)  # the other view is always there
        return -each.mean(-1)
