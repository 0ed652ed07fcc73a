"""BatchNorm over all rows of a pass, of which each process has a share.

    m = sum over processes of sum x / N,  v = sum over processes of sum (x - m)^2 / N
    y = (x - m) / sqrt(v + eps) * weight + bias

N counts all rows, without those that fill up a share. It takes the place of `F.batch_norm` while a share passes, for
layers of any library come to that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from maskcl.engine.team import Span, Team
from maskcl.errors import check

__all__ = ["WholeBatch"]


class WholeBatch(TorchFunctionMode):
    """Within a `with`, batch statistics are those of the rows of all processes.

    Args:
        team: The processes.
        span: The share that passes.
    """

    def __init__(self, team: Team, span: Span) -> None:
        super().__init__()
        self._team, self._span = team, span

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of PyTorch, or what stands in for it."""
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return self._batch_norm(*args, **kwargs)
        if func is F.instance_norm:
            _refuse_statistics(*args, **kwargs)
        return func(*args, **kwargs)

    def _batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """As `F.batch_norm` has it."""
        if not training:
            return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
        each = len(input) // self._span.size  # a network may have folded another dimension into its rows
        valid, dims = self._span.valid * each, [0, *range(2, input.ndim)]
        count = self._span.total * each * input[:1, :1].numel()
        x = input if weight is None else input.to(weight.dtype)  # autocast may have shortened it
        mean = self._team.summed(x[:valid].sum(dims)) / count
        centred = x - _by_channel(mean, x)
        var = self._team.summed(centred[:valid].square().sum(dims)) / count
        with torch.no_grad():
            if running_mean is not None:
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            if running_var is not None:
                running_var.lerp_((var * (count / (count - 1))).to(running_var.dtype), momentum)
        found = centred * _by_channel((var + eps).rsqrt(), x)
        if weight is not None:
            found = found * _by_channel(weight, x)
        if bias is not None:
            found = found + _by_channel(bias, x)
        return found.to(input.dtype)


def _by_channel(values: Tensor, like: Tensor) -> Tensor:
    """Values [C] as they broadcast to [B, C, ...]."""
    return values.view(-1, *[1] * (like.ndim - 2))


def _refuse_statistics(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None, *args: Any, **kwargs: Any
) -> None:
    """Refuse InstanceNorm that keeps statistics: they would be of a share of the rows."""
    must = "must not keep running statistics in InstanceNorm layers with --devices"
    check(running_mean is None and running_var is None, "network", must, hint="track_running_stats=False")
