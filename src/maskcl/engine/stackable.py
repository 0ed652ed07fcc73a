"""Whether a network can be stacked, found out by a trial before anything runs: its structure decides, no clock does."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from maskcl.engine.build import build_parts
from maskcl.engine.model import Parts
from maskcl.engine.spec import RunSpec
from maskcl.engine.stack import each_member
from maskcl.engine.state import Weights
from maskcl.errors import raised
from maskcl.networks import trial_rows

__all__ = ["why_not_stacked"]


def why_not_stacked(spec: RunSpec) -> str | None:
    """Return what PyTorch says where a network cannot be trained with a member dimension; None where it can.

    A forward that branches on values (`if x.sum() > 0`) or asks for one (`.item()`) works for one network and not under
    `vmap`, where there is no one value.
    """
    parts = build_parts(spec)
    if parts.is_linear_chain:  # batched products: no vmap
        return None
    params = {name: p.detach()[None].requires_grad_() for name, p in parts.named("parameters").items()}
    buffers = {name: b.detach()[None].clone() for name, b in parts.named("buffers").items()}
    rows = trial_rows(parts.network, spec.scenario.dataset.input_shape, 2)[None]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that an operation is done member by member: said when it runs
            _train_and_judge(parts, Weights(params, buffers), rows)
    except Exception as error:  # whatever PyTorch or a foreign forward raises
        return raised(error)
    return None


def _train_and_judge(parts: Parts, weights: Weights, rows: Tensor) -> None:
    """A training pass with its gradient, and one of evaluation."""
    logits = each_member(parts, weights, rows).logits
    torch.autograd.grad(logits.sum(), list(weights.params.values()), allow_unused=True)
    with torch.no_grad(), parts.evaluating():
        each_member(parts, weights, rows)
