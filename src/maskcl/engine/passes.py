"""How many rows pass the network at once: BatchNorm cannot be trained on one row of one pixel.

    jointly (`needs.joint_forward`):  stream + draws (+ samples of a joint CFGM)
    otherwise, where rows mix:        the stream, each draw, the samples: each by itself
    a separate CFGM's second step:    the samples

A stream's batch is `training.batch_size`, or what is left at the end of an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from maskcl.engine.build import build_parts
from maskcl.engine.dials import structure
from maskcl.engine.fits import num_rows
from maskcl.engine.member import memory_slots, train_rows
from maskcl.engine.plan import plan_member
from maskcl.engine.spec import RunSpec
from maskcl.engine.synthesis import makes_samples
from maskcl.errors import ConfigError, message, raised
from maskcl.memory import POLICIES, MemoryState
from maskcl.methods import Phase
from maskcl.methods.base import overrides
from maskcl.networks import trial_rows

__all__ = ["check_passes", "passes", "why_not_single"]


class Pass(NamedTuple):
    """Rows that pass the network together in training.

    Attributes:
        rows: How many.
        source: "stream", "draw" or "made": what they are, or begin with.
        task: 0-based.
        total: Rows of the phase's stream.
    """

    rows: int
    source: str
    task: int
    total: int


def check_passes(specs: Sequence[RunSpec]) -> None:
    """Refuse runs in which one row passes a network that cannot be trained on it.

    Args:
        specs: Any runs; each network is tried once, and rows are counted once for runs that differ in seeds alone.

    Raises:
        ConfigError: The message names the setting that leaves one row.
    """
    tried: dict[Any, str | None] = {}
    counted = set()
    for spec in specs:
        network = _network_key(spec)
        if network not in tried:
            tried[network] = why_not_single(spec)
        why, key = tried[network], (id(spec.scenario), id(spec.method), network, spec.memory, spec.training)
        if why is not None and key not in counted:
            counted.add(key)
            single = next((found for found in passes(spec) if found.rows == 1), None)
            if single is not None:
                raise ConfigError(_refusal(spec, single, why))


def _network_key(spec: RunSpec) -> Any:
    head = structure(spec.method) if overrides(spec.method, "head") else None
    return spec.built, head


def why_not_single(spec: RunSpec) -> str | None:
    """Return what PyTorch says at training on one row, of a network that mixes rows; None: it can, or mixes none."""
    parts = build_parts(spec)
    if not parts.mixes_rows:
        return None
    own = parts.named("parameters") | parts.named("buffers")
    try:
        with torch.no_grad():
            parts(trial_rows(parts.network, spec.scenario.dataset.input_shape, 1), own)
    except Exception as error:  # BatchNorm's ValueError, or what a foreign forward raises
        return raised(error)
    return None


def passes(spec: RunSpec) -> Iterator[Pass]:
    """Yield the kinds of passes that a run's training will make, of a network that mixes rows.

    A memory that is filled as the stream goes has its first rows after the first step; one that is chosen at task ends,
    after the first task.
    """
    method, size, num_tasks = spec.method, spec.training.batch_size, spec.scenario.num_tasks
    needs = method.needs
    at_ends = spec.memory is not None and POLICIES.find(str(spec.memory.policy)).refills
    filled = trained = False
    for task in range(num_tasks):
        phases = method.phases(task, num_tasks)
        filled |= spec.memory is not None and not at_ends and all(phase.rows != "task" for phase in phases)
        makes = makes_samples(method.cfgm, spec.scenario.tasks, task, trained=trained)
        for phase in phases:
            total = _total(spec, task, phase)
            epochs = phase.epochs or spec.training.epochs
            draws = bool(needs.draws) and spec.memory is not None and task >= needs.replay_from_task
            for batch, first in _batches(total, size, epochs):
                grows = phase.rows == "task" and not at_ends and not first
                for rows, source in _parts(spec, batch, replays=draws and (filled or grows), makes=makes):
                    yield Pass(rows, source, task, total)
            filled |= spec.memory is not None and not at_ends and phase.rows == "task"
        filled |= spec.memory is not None and bool(phases)
        trained |= bool(phases)


def _batches(total: int, size: int, epochs: int) -> Iterator[tuple[int, bool]]:
    """Sizes of a phase's steps, each once, and whether it is the first step."""
    if total == 0:
        return
    sizes = {min(size, total)} | ({total % size} if total % size else set())
    yield min(size, total), True
    for batch in sorted(sizes):
        later = (total // size if batch == size else 1) * epochs - (batch == min(size, total))
        if later > 0:
            yield batch, False


def _parts(spec: RunSpec, batch: int, *, replays: bool, makes: bool) -> Iterator[tuple[int, str]]:
    """What passes the network together in one step."""
    needs, cfgm = spec.method.needs, spec.method.cfgm
    chooses = overrides(spec.method, "select")
    drawn = [draw.size if chooses else draw.num_drawn for draw in needs.draws] if replays else []
    made = batch * cfgm.per_row if makes and cfgm is not None else 0
    joins = made > 0 and cfgm is not None and cfgm.update == "joint"
    if needs.joint_forward:
        yield needs.views * (batch + sum(drawn)) + made * joins, "stream"
    elif not drawn and not joins:
        yield needs.views * batch, "stream"
    else:
        yield batch, "stream"
        yield from ((rows, "draw") for rows in drawn)
    if made and not (joins and needs.joint_forward):
        yield made, "made"


def _total(spec: RunSpec, task: int, phase: Phase) -> int:
    """Rows of a phase's stream, one epoch."""
    if phase.rows != "memory":
        return sum(num_rows(spec, t) for t in (range(spec.scenario.num_tasks) if phase.rows == "all" else (task,)))
    memory = MemoryState.empty(memory_slots(spec), spec.scenario.num_classes)
    seen = np.full(spec.scenario.num_classes, -1)
    for t in range(task + 1):  # how many there are hangs on the policy: its own plan says it
        planned = plan_member(
            spec, task=t, rows=train_rows(spec, t), epochs=1, memory=memory, last_seen=seen, position=0
        )
        memory = planned.memory if planned.memory is not None else memory
    return memory.filled


def _refusal(spec: RunSpec, single: Pass, why: str) -> str:
    training, method = spec.training, spec.method
    cause = f"with this network, which cannot be trained on it ({why})"
    if single.source == "draw":
        named = hasattr(method, "replay_batch")
        where, got = ("method.replay_batch", method.replay_batch) if named else ("method", method.key)  # type: ignore[attr-defined]
        must = f"must leave no draw of one row, which {method.key!r} passes by itself, {cause}"
        return message(where, must, got, hint="use 2 or more, or a network without BatchNorm")
    good = [size for size in range(2, 2 * training.batch_size + 8) if _leaves_none(spec, size)]
    nearest = min(good, key=lambda size: abs(size - training.batch_size), default=None)
    hint = "use a network without BatchNorm" if nearest is None else f"{nearest} leaves none"
    must = f"must leave no batch of one row (task {single.task} has {single.total} rows) {cause}"
    return message("training.batch_size", must, training.batch_size, hint=hint)


def _leaves_none(spec: RunSpec, size: int) -> bool:
    """Whether no task's rows leave a single one with batches of a size."""
    totals = {
        _total(spec, task, phase)
        for task in range(spec.scenario.num_tasks)
        for phase in spec.method.phases(task, spec.scenario.num_tasks)
    }
    return size <= min(totals) and all(total % size != 1 for total in totals)
