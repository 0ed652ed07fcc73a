"""The members' plans side by side: which members step together, and their steps as tensors.

Members with the same number of rows go through a task in step. Where numbers differ (each member has its own tasks),
those with rows left for a step of one size form it together, and the others wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcl.devices import send
from maskcl.engine.plan import MemberPlan
from maskcl.methods import Needs

__all__ = ["Chunk", "StepPlan", "TaskPlan"]

Ints = NDArray[np.int64]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class StepPlan:
    """One step of some members (or of one run, without the leading K).

    Attributes:
        rows: Row ids in the image table, stream rows first, then each draw, int64 [K * n].
        labels: Their classes, int64 [K, n].
        sizes: Rows of each source, adding up to n.
        stored: For each draw, slots to read logits from, int64 [K * R] into [K * M]; None where not wanted.
        written: Slots to write logits to and the stream rows they come from, int64 each, into [K * M] and [K * B].
        active: For mask policies "batch" and "recent", bool [K, 1, C].
        prior: What a mask that goes by counts adds to logits, [K, 1, C].
        made: Old class of each CFGM sample, int64 [K, B * per_row]; None where none are made.
        made_views: How the start of each of them is changed, int64 [K * B * per_row, 3]; None: not.
        views: How each view of each row is changed, int64 [K * n, V, 3]; None: not.
        rate: Factor of the learning rate; one for all, or one a member, float64 [K].
        share: What the weights after the step weigh in their mean; likewise. 0: they do not enter it.
    """

    rows: Tensor
    labels: Tensor
    sizes: tuple[int, ...]
    stored: tuple[Tensor | None, ...] = ()
    written: tuple[Tensor, Tensor] | None = None
    active: Tensor | None = None
    prior: Tensor | None = None
    made: Tensor | None = None
    made_views: Tensor | None = None
    views: Tensor | None = None
    rate: float | Tensor = 1.0
    share: float | Tensor = 0.0


@dataclass(frozen=True)
class Chunk:
    """Consecutive steps of one size that some members make together.

    Attributes:
        members: Their positions in the population; None: all of them.
        starts: Each one's first step, 0-based within the phase.
        steps: The steps.
    """

    members: list[int] | None
    starts: list[int]
    steps: list[StepPlan]


class TaskPlan:
    """The members' plans of one phase, as tensors ready for the training loop."""

    def __init__(
        self,
        members: Sequence[MemberPlan],
        labels: Ints,
        needs: Needs,
        *,
        stacked: bool,
        memory_size: int,
        device: torch.device = CPU,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Lay plans side by side.

        Args:
            members: Their plans.
            labels: Classes of the whole image table.
            needs: The method's.
            stacked: Whether tensors have a member dimension.
            memory_size: Slots, M.
            device: Where steps are to lie.
            dtype: Type of what is added to logits.
        """
        self.members, self._labels, self._needs = list(members), labels, needs
        self._stacked, self._memory_size, self._device, self._dtype = stacked, memory_size, device, dtype

    def chunks(self, first: int = 0) -> Iterator[Chunk]:
        """Yield all steps, in an order in which each member's own come one after the other.

        Args:
            first: The chunk to begin with, 0-based; those before it are not made.
        """
        number = 0
        runs = [_runs(member) for member in self.members]
        at = [0] * len(runs)
        while any(at[k] < len(own) for k, own in enumerate(runs)):
            kinds = {k: own[at[k]][0] for k, own in enumerate(runs) if at[k] < len(own)}
            kind = min(kinds.values())  # epoch by epoch, large steps first: who is done with them waits
            members = [k for k, own in kinds.items() if own == kind]
            count = min(end - start for _, start, end in (runs[k][at[k]] for k in members))
            starts = [runs[k][at[k]][1] for k in members]
            for k in members:
                _, start, end = runs[k][at[k]]
                if start + count == end:
                    at[k] += 1
                else:
                    runs[k][at[k]] = (kind, start + count, end)
            everyone = len(members) == len(self.members)
            if number >= first:
                yield Chunk(None if everyone else members, starts, self.steps(members, starts, count))
            number += 1

    def steps(self, members: Sequence[int], starts: Sequence[int], count: int) -> list[StepPlan]:
        """Return steps of some members, of one size and with the same sources, as views into a few large tensors.

        Those are sent to the device here: within the steps nothing is.
        """
        own = [(self.members[k], start) for k, start in zip(members, starts, strict=True)]
        first, s = own[0]
        size, replaying = int(first.offsets[s + 1] - first.offsets[s]), s >= first.first_replay
        parts = [np.stack([m.order[_span(m, a, count)].reshape(count, size) for m, a in own], 1)]
        stored: list[tuple[Tensor, ...] | None] = []
        draws = self._needs.draws if replaying else ()
        for d, draw in enumerate(draws):
            parts.append(np.stack([m.draw_rows[d][a : a + count] for m, a in own], 1))
            slots = None
            if draw.stored_logits:
                read = [m.draw_slots[d][a : a + count] + j * self._memory_size for j, (m, a) in enumerate(own)]
                slots = self._sent(np.stack(read, 1).reshape(count, -1)).unbind(0)
            stored.append(slots)
        rows = np.concatenate(parts, 2)
        labels = self._sent(self._labels[rows])
        each_rows = self._sent(rows.reshape(count, -1)).unbind(0)
        each_labels = self._without_member(labels).unbind(0)
        writes = self._writes(own, count) if self._needs.stores_logits else [None] * count
        some = (self._active(own, count), self._prior(own, count), self._made(own, count),
                self._made_views(own, count), self._views(own, count, size, len(draws)))  # fmt: skip
        active, prior, made, made_views, views = ([None] * count if part is None else part for part in some)
        rates, shares = (self._factors([getattr(m, name) for m, _ in own], own, count) for name in ("rates", "shares"))
        sizes = tuple(part.shape[2] for part in parts)
        return [
            StepPlan(
                each_rows[i], each_labels[i], sizes, tuple(None if slots is None else slots[i] for slots in stored),
                writes[i], active[i], prior[i], made[i], made_views[i], views[i],
                1.0 if rates is None else rates[i], 0.0 if shares is None else shares[i],
            )
            for i in range(count)
        ]  # fmt: skip

    def _sent(self, array: NDArray[Any]) -> Tensor:
        return send(torch.from_numpy(array), self._device)

    def _without_member(self, tensor: Tensor) -> Tensor:
        return tensor if self._stacked else tensor[:, 0]

    def _active(self, own: Sequence[tuple[MemberPlan, int]], count: int) -> Tensor | None:
        parts = [m.active[a : a + count] for m, a in own if m.active is not None]
        if not parts:
            return None
        active = self._sent(np.stack(parts, 1))
        return active[:, :, None] if self._stacked else active

    def _prior(self, own: Sequence[tuple[MemberPlan, int]], count: int) -> Tensor | None:
        parts = [m.prior[a : a + count] for m, a in own if m.prior is not None]
        if not parts:
            return None
        prior = send(torch.from_numpy(np.stack(parts, 1)).to(self._dtype), self._device)
        return prior[:, :, None] if self._stacked else prior

    def _made(self, own: Sequence[tuple[MemberPlan, int]], count: int) -> Tensor | None:
        parts = [_of_steps(m.made, m, a, count) for m, a in own if m.made is not None]
        return self._without_member(self._sent(np.stack(parts, 1))) if parts else None

    def _made_views(self, own: Sequence[tuple[MemberPlan, int]], count: int) -> Tensor | None:
        parts = [_of_steps(m.made_views, m, a, count) for m, a in own if m.made_views is not None]
        return self._sent(np.stack(parts, 1).reshape(count, -1, 3)) if parts else None

    def _views(self, own: Sequence[tuple[MemberPlan, int]], count: int, size: int, draws: int) -> Tensor | None:
        if not own[0][0].views:
            return None
        parts = [np.stack([m.views[0][_span(m, a, count)].reshape(count, size, -1, 3) for m, a in own], 1)]
        parts += [np.stack([m.views[1 + d][a : a + count] for m, a in own], 1) for d in range(draws)]
        views = np.concatenate(parts, 2)
        return self._sent(views.reshape(count, -1, *views.shape[3:]))

    def _writes(self, own: Sequence[tuple[MemberPlan, int]], count: int) -> list[tuple[Tensor, Tensor] | None]:
        """For each step, the slots whose logits change and the stream rows they come from; a slot's last write wins."""
        steps, slots, sources = [], [], []
        for j, (m, a) in enumerate(own):
            span = _span(m, a, count)
            size = (span.stop - span.start) // count
            at = np.flatnonzero(m.slots[span] >= 0)[::-1]
            step, into = at // size, m.slots[span][at]
            _, last = np.unique(step * self._memory_size + into, return_index=True)
            at, step, into = at[last], step[last], into[last]
            steps.append(step)
            slots.append(into + j * self._memory_size)
            sources.append(at - step * size + j * size)
        step = np.concatenate(steps)
        order = np.argsort(step, kind="stable")
        counts = np.bincount(step, minlength=count).tolist()
        slot_parts = self._sent(np.concatenate(slots)[order]).split(counts)
        source_parts = self._sent(np.concatenate(sources)[order]).split(counts)
        return [(a, b) if len(a) else None for a, b in zip(slot_parts, source_parts, strict=True)]

    def _factors(
        self, planned: Sequence[NDArray[np.float64] | None], own: Sequence[tuple[MemberPlan, int]], count: int
    ) -> list[float | Tensor] | None:
        """Each member's factors at each step: one number where all members have the same."""
        parts = [part[a : a + count] for part, (_, a) in zip(planned, own, strict=True) if part is not None]
        if not parts:
            return None
        factors = np.stack(parts, 1)
        same = (factors == factors[:, :1]).all(1)
        if same.all():
            return factors[:, 0].tolist()
        each = self._sent(factors).unbind(0)
        return [float(row[0]) if alike else part for row, part, alike in zip(factors, each, same, strict=True)]


def _runs(member: MemberPlan) -> list[tuple[tuple[int, int, bool], int, int]]:
    """A member's steps as runs of one kind: (epoch, -size, replays), first step, end."""
    sizes, steps = np.diff(member.offsets), np.arange(member.num_steps)
    replays = steps >= member.first_replay
    changes = (np.diff(member.epochs) != 0) | (np.diff(sizes) != 0) | (np.diff(replays.astype(int)) != 0)
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), member.num_steps]
    merged: list[tuple[tuple[int, int, bool], int, int]] = []
    for a, b in pairwise(edges):
        if a < b:
            merged.append(((int(member.epochs[a]), -int(sizes[a]), bool(replays[a])), a, b))
    return merged


def _of_steps(made: Ints, member: MemberPlan, start: int, count: int) -> Ints:
    """The part of what is planned of samples that some steps have, [count, ...] with all numbers of a step in a row."""
    each, span = len(made) // int(member.offsets[-1]), _span(member, start, count)
    return made[span.start * each : span.stop * each].reshape(count, -1)


def _span(member: MemberPlan, start: int, count: int) -> slice:
    """Where some steps lie in a member's stream."""
    return slice(int(member.offsets[start]), int(member.offsets[start + count]))
