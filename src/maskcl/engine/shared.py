"""One run on several devices: each process passes its share of the rows, and sees the outputs of all of them.

outputs = gather of f(w, own rows);  gradient of w = sum over processes of what flows back through own rows
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from maskcl.engine.loop import LoopModel
from maskcl.engine.model import Forward, Parts
from maskcl.engine.precision import LossScale, Precision
from maskcl.engine.state import Weights
from maskcl.engine.team import Span, Team
from maskcl.engine.whole_batch import WholeBatch
from maskcl.networks.dropout import seeded_layers
from maskcl.optim import Optimizer
from maskcl.view import Outputs

__all__ = ["SharedModel"]


class SharedModel(LoopModel):
    """A network that several processes train together; arguments as for `LoopModel`, and the team."""

    def __init__(
        self,
        parts: Parts,
        weights: Weights,
        optimizer: Optimizer,
        precision: Precision,
        scale: LossScale | None,
        team: Team,
    ) -> None:
        super().__init__(parts, weights, optimizer, precision, scale)
        self._team = team
        modules = [module for module in (parts.network, parts.head) if module is not None]
        norms = [m for module in modules for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        self._always_mixes = any(norm.running_mean is None for norm in norms)  # in evaluation, too
        self._drops = [layer for module in modules for layer in seeded_layers(module)]

    def forward(self, inputs: Tensor) -> Outputs:
        """Map inputs [B, ...] in training mode, with a graph to the parameters through own rows."""
        return self._shared(super().forward, inputs)

    def at(self, weights: Weights, inputs: Tensor) -> Outputs:
        """Map inputs [B, ...] in evaluation mode; those that ask for a gradient pass here, all of them."""
        if inputs.requires_grad:
            return super().at(weights, inputs)
        return self._shared(lambda own: LoopModel.at(self, weights, own), inputs)

    def one(self, member: int) -> Forward:
        """The network as a function of inputs [N, ...], in evaluation mode."""
        alone = super().one(member)
        return lambda inputs: self._shared(alone, inputs)

    def by_row(self, function: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        """What a function makes of rows, each by itself; every process makes its share, where the network lets it."""
        if self._always_mixes:
            return function(*rows)
        span = self._team.span(len(rows[0]))
        return self._team.gathered(function(*(span.of(part) for part in rows)), span)

    def _shared(self, forward: Forward, inputs: Tensor) -> Outputs:
        if not len(inputs):
            return forward(inputs)
        span = self._team.span(len(inputs))
        with self._passing(span):
            found = forward(span.of(inputs))
        parts = (found.logits, found.features, found.projected)
        return Outputs(*(None if part is None else self._team.gathered(part, span) for part in parts))  # type: ignore[arg-type]

    @contextmanager
    def _passing(self, span: Span) -> Iterator[None]:
        """While a share passes, layers that look at all rows, or at places among them, are told which they are."""
        for layer in self._drops:
            layer.share = (span.first, span.size)
        try:
            with WholeBatch(self._team, span):
                yield
        finally:
            for layer in self._drops:
                layer.share = (0, 1)

    def _joined(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """Gradients of all rows."""
        with torch.no_grad():
            return self._team.joined_gradients(gradients)
