"""Processes that make one run together: who takes which rows, and what they tell each other.

    n rows on k processes: share i is rows i s to (i + 1) s, s = ceil(n / k); past the end the last row fills up

Every process computes the loss of the whole step from the same gathered outputs. So the gradient of the gathered is
known to each, and a share's own is a cut of it; only sums over processes are sent (docs/design/several-devices.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

__all__ = ["Span", "Team", "TeamError"]

PATIENCE = 600.0
"""Seconds after which who waits for another process gives up; longer than any of them works alone."""
T = TypeVar("T")


class TeamError(Exception):
    """Another process of the run is gone, does not answer, or has come to other numbers."""


@dataclass(frozen=True)
class Span:
    """A process's share of some rows.

    Attributes:
        total: Rows of all processes.
        first: Its first one.
        size: Rows that it computes, the same for all.
        valid: Those of them that are its own; the others fill up.
    """

    total: int
    first: int
    size: int
    valid: int

    def of(self, rows: Tensor) -> Tensor:
        """Cut the share out of all rows [total, ...]: [size, ...]."""
        if self.valid == self.size:
            return rows.narrow(0, self.first, self.size)
        return rows[torch.arange(self.first, self.first + self.size, device=rows.device).clamp(max=self.total - 1)]


class Team:
    """The processes of a run, as one of them sees them.

    Args:
        rank: Its number, 0-based: the first one writes what there is to write.
        size: How many there are.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    @classmethod
    @contextmanager
    def joined(cls, file: str, rank: int, size: int, *, patience: float = PATIENCE) -> Iterator[Team]:
        """Find the others, and be one of them within a `with`.

        Args:
            file: By which they find each other: a path that all can write, and that is no file yet.
            rank: Number of this process, 0-based.
            size: How many there are.
            patience: Seconds after which who waits for another one gives up.

        Raises:
            TeamError: Another one did not come.
        """
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        with _heard():
            store = dist.FileStore(file, size)  # type: ignore[attr-defined]
            dist.init_process_group(
                backend, store=store, rank=rank, world_size=size, timeout=timedelta(seconds=patience)
            )  # fmt: skip
        try:
            yield cls(rank, size)
        finally:
            dist.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """Whether it is this process that writes."""
        return self.rank == 0

    def span(self, total: int) -> Span:
        """This process's share of some rows, 1 or more.

        >>> Team(1, 2).span(5)
        Span(total=5, first=3, size=3, valid=2)
        """
        size = -(-total // self.size)
        first = self.rank * size
        return Span(total, first, size, min(size, max(0, total - first)))

    def gathered(self, part: Tensor, span: Span) -> Tensor:
        """All rows [total, ...] of shares [size, ...]; a gradient of all flows back into each one's own."""
        return _Gathered.apply(part, self, span)

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum over the processes; a gradient is summed likewise, for each process has a part of it."""
        return _Summed.apply(tensor, self)

    def gather(self, part: Tensor) -> Tensor:
        """Join parts of one shape along their first dimension, without a graph."""
        part = part.contiguous()
        whole = part.new_empty(self.size * len(part), *part.shape[1:])
        with _heard():
            dist.all_gather(list(whole.chunk(self.size)), part)
        return whole

    def add(self, tensor: Tensor) -> Tensor:
        """Sum over the processes, without a graph, in place; the tensor has to be contiguous."""
        with _heard():
            dist.all_reduce(tensor)
        return tensor

    def joined_gradients(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Sum each of some tensors over the processes, in one message for each type."""
        found = [g.contiguous() for g in gradients]
        for kind in dict.fromkeys(g.dtype for g in found):
            places = [i for i, g in enumerate(found) if g.dtype == kind]
            whole = self.add(torch.cat([found[i].reshape(-1) for i in places]))
            for i, part in zip(places, whole.split([found[i].numel() for i in places]), strict=True):
                found[i] = part.view(found[i].shape)
        return found

    def agree(self, what: Any, tensors: Sequence[Tensor]) -> None:
        """Compare with the others; raises TeamError where anything differs, in all processes.

        Args:
            what: Anything whose `repr` says what it is.
            tensors: Compared bit by bit.
        """
        digest = hashlib.blake2b(repr(what).encode(), digest_size=16)
        for tensor in tensors:
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        own = torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)
        if (self.gather(own[None]) != own).any():
            raise TeamError(
                "the processes of the run have come to different weights or memories; a layer other than BatchNorm "
                "that keeps statistics in training makes them do so: such a network must be trained on one device"
            )


@contextmanager
def _heard() -> Iterator[None]:
    """Say in words that another process is gone: what the libraries raise then is a RuntimeError of many kinds."""
    try:
        yield
    except RuntimeError as error:
        raise TeamError("another process of the run is gone, or does not answer") from error


class _Gathered(Function):
    """`Team.gathered`. PyTorch's own sends gradients back as well: here each process has all of them."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, team: Team, span: Span) -> Tensor:
        ctx.first, ctx.size, ctx.valid = span.first, span.size, span.valid
        return team.gather(part).narrow(0, 0, span.total)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = grads
        own = grad.new_zeros(ctx.size, *grad.shape[1:])
        if ctx.valid:
            own[: ctx.valid] = grad.narrow(0, ctx.first, ctx.valid)
        return own, None, None


class _Summed(Function):
    """`Team.summed`."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, team: Team) -> Tensor:
        ctx.team = team
        return team.add(tensor.clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        return ctx.team.add(grad.clone(memory_format=torch.contiguous_format)), None
