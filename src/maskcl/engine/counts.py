"""How many distinct rows of each class a step can draw on, from its plan: what a mask with `leak = "auto"` goes by.

    n_c = rows of class c in the task (policy "task") + slots with rows of earlier tasks
    n_c = rows of class c among the last `recent_rows`, or slots if that is more (policy "recent")

docs/design/auto-leak.md says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maskcl.engine.spec import RunSpec
from maskcl.functional.prior import log_prior
from maskcl.mask import Mask
from maskcl.memory import MemoryState

__all__ = [
    "newest",
    "occurrences",
    "plan_prior",
    "prior_of",
    "recent_counts",
    "slot_counts",
    "task_counts",
    "with_repeats",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def slot_counts(held: Ints, slots: Ints, labels: Ints, offsets: Ints, num_classes: int) -> Ints:
    """Slots that hold each class when a step draws, int64 [S, C]; one row, repeated, where nothing changes.

    Args:
        held: Class in each slot before the first step, int64 [M]; -1: not counted.
        slots: Slot that each stream row enters, -1 where dropped, int64 [N].
        labels: Class of each stream row, int64 [N]; -1: not counted.
        offsets: Where each step starts in the stream, and its end, int64 [S + 1].
        num_classes: C.
    """
    steps = len(offsets) - 1
    first = np.bincount(held[held >= 0], minlength=num_classes)
    written = np.flatnonzero(slots >= 0)
    written = written[np.argsort(slots[written], kind="stable")]
    into, new = slots[written], labels[written]
    again = np.concatenate([[False], into[1:] == into[:-1]])[: len(into)]
    old = np.where(again, np.roll(new, 1), held[into])
    changes = old != new
    if not changes.any():
        return np.broadcast_to(first, (steps, num_classes))
    moved = np.zeros((steps + 1, num_classes), np.int64)
    since = np.searchsorted(offsets[:-1], written, side="right")  # a step draws before its own rows enter
    for classes, sign in ((new, 1), (old, -1)):
        known = changes & (classes >= 0)
        np.add.at(moved, (since[known], classes[known]), sign)
    return first + np.cumsum(moved[:-1], 0)


def task_counts(
    rows: Ints, labels: Ints, memory: MemoryState | None, slots: Ints, offsets: Ints, num_classes: int
) -> Ints:
    """Rows of each class that the steps of a task can draw on, int64 [S, C].

    Args:
        rows: Row ids of the task, int64 [n]; each counts once, in all epochs, and in the memory too.
        labels: Classes of the whole table.
        memory: What is drawn from, before the first step; None: nothing is.
        slots: Slot that each stream row enters, int64 [N].
        offsets: Where each step starts in the stream of all epochs, and its end, int64 [S + 1].
        num_classes: C.
    """
    of_task = np.bincount(labels[rows], minlength=num_classes)
    if memory is None:
        return np.broadcast_to(of_task, (len(offsets) - 1, num_classes))
    held = np.where((memory.rows >= 0) & ~np.isin(memory.rows, rows), memory.labels, -1)
    return of_task + slot_counts(held, slots, np.full(len(slots), -1), offsets, num_classes)


def recent_counts(recent: Ints, labels: Ints, offsets: Ints, window: int, num_classes: int) -> Ints:
    """Rows of each class among the last `window` stream rows at each step, its own included, int64 [S, C].

    Args:
        recent: Classes of the rows before, at most `window`, the newest last.
        labels: Classes of the stream, int64 [N].
        offsets: Where each step starts in it, and its end, int64 [S + 1].
        window: Rows, as many as a step has or more.
        num_classes: C.
    """
    moved = np.zeros((len(offsets), num_classes), np.int64)
    at = np.arange(-len(recent), len(labels))
    classes = np.concatenate([recent, labels])
    comes = np.searchsorted(offsets[1:], at, side="right")
    goes = np.searchsorted(offsets[1:], at + window, side="right")
    np.add.at(moved, (comes, classes), 1)
    np.add.at(moved, (goes, classes), -1)
    return np.cumsum(moved[:-1], 0)


def newest(mask: Mask | None, recent: Ints, labels: Ints) -> Ints:
    """Classes of the last stream rows once more have come, as far back as a mask counts them; else none."""
    if mask is None or not mask.is_auto or mask.recent_rows is None:
        return recent
    return np.concatenate([recent, labels])[-mask.recent_rows :]


def occurrences(labels: Ints, order: Ints, drawn: Sequence[tuple[Ints, float]], num_classes: int) -> Floats:
    """How often each class comes in the steps of a phase with a loss on its label, repeats included, float64 [C].

    Args:
        labels: Classes of the whole table.
        order: Stream rows of all epochs.
        drawn: Rows of each draw, any shape, and which share of them is replayed.
        num_classes: C.
    """
    found = np.bincount(labels[order], minlength=num_classes).astype(np.float64)
    for rows, share in drawn:
        found += share * np.bincount(labels[rows.ravel()], minlength=num_classes)
    return found


def with_repeats(counts: Ints, times: Floats, count: str) -> NDArray[Any]:
    """Return what rows count with their repeats, [S, C].

        "steps":   the k-th visit to a row counts 1, a class n r
        "visits":  it counts 1 / k, a class n H(r), H(r) = 1 + 1/2 + ... + 1/r

    Args:
        counts: Distinct rows n of each class at each step, int64 [S, C].
        times: How often each class comes in all of them, float64 [C]: r = times / mean of n over steps.
        count: "steps" or "visits".
    """
    if count == "steps":
        return np.broadcast_to(times, counts.shape)
    visits = torch.from_numpy(times / counts.mean(0).clip(min=1))
    return counts * (torch.digamma(visits + 1) + np.euler_gamma).clamp(min=0).numpy()


def prior_of(counts: NDArray[Any], power: float) -> Floats:
    """What each step adds to logits, float64 [S, C]; one row, repeated, where counts are the same in all steps.

    A class counts one row at least: of one that was learnt the network itself is left, and one that never came wants to
    be held as that is, for its output is in the softmax of every row (docs/studies/auto-leak.md).
    """
    counts = np.maximum(counts, 1)
    same = len(counts) > 0 and bool((counts == counts[:1]).all())
    found = log_prior(torch.from_numpy(np.array(counts[:1] if same else counts, np.float64)), power=power).numpy()
    return np.broadcast_to(found, counts.shape)


def plan_prior(
    spec: RunSpec,
    *,
    rows: Ints,
    order: Ints,
    offsets: Ints,
    memory: MemoryState | None,
    slots: Ints,
    drawn: Sequence[Ints],
    recent: Ints,
) -> Floats | None:
    """What the mask adds to logits in each step of a phase, float64 [S, C]; None: it does not go by counts.

    Args:
        spec: The run.
        rows: Row ids of the phase, int64 [n].
        order: Stream rows of all epochs, int64 [N].
        offsets: Where each step starts in it, and its end, int64 [S + 1].
        memory: Before the phase; None without one.
        slots: Slot that each stream row enters, int64 [N].
        drawn: Rows of each draw, of the steps that replay, int64 [S', R] each; none where nothing is drawn.
        recent: Classes of the last stream rows before the phase.
    """
    method, labels, num_classes = spec.method, spec.scenario.dataset.train_labels, spec.scenario.num_classes
    mask = method.mask
    if mask is None or not mask.is_auto:
        return None
    memory = memory if drawn else None
    if mask.recent_rows is None:
        counts = task_counts(rows, labels, memory, slots, offsets, num_classes)
        if mask.count != "rows":
            replayed = [
                (found, draw.size / draw.num_drawn)
                for found, draw in zip(drawn, method.needs.draws, strict=False)
                if not draw.stored_logits
            ]
            counts = with_repeats(counts, occurrences(labels, order, replayed, num_classes), mask.count)
    else:
        counts = recent_counts(recent, labels[order], offsets, mask.recent_rows, num_classes)
        if memory is not None:
            held = np.where(memory.rows >= 0, memory.labels, -1)
            counts = np.maximum(counts, slot_counts(held, slots, labels[order], offsets, num_classes))
    return prior_of(counts, method.prior_power)
