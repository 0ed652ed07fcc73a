"""Which runs train together, on how many threads, beside how many others: settled before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskcl.data.base import content_digest
from maskcl.devices import find_device
from maskcl.engine.auto import GROUP_SIZE, Choice, choose
from maskcl.engine.checkpoint_file import Saved
from maskcl.engine.evaluate import Data
from maskcl.engine.passes import check_passes
from maskcl.engine.resources import check_fits
from maskcl.engine.sketches import Sketches
from maskcl.engine.spec import RunSpec
from maskcl.engine.table import Stores
from maskcl.machine import free_cores, usable_cores

__all__ = ["MOST_THREADS", "Group", "at_a_time", "by_structure", "data_keys", "even_parts", "grouped", "pieces"]

MOST_THREADS = 8
"""Threads of one convolutional run at most. With a full ResNet-18 on 2 cores two are 1.98 times one; more than these
were not measured, and runs side by side use cores at no loss."""


@dataclass(frozen=True)
class Group:
    """Runs that train together.

    Attributes:
        indices: Their places among all runs.
        choice: What runs them.
        data: Their tables.
        threads: That work on their operations. They may change last bits, so nothing that varies enters: neither the
            load of the machine nor what else is to be run.
        workers: Groups of as many threads that run at the same time.
    """

    indices: tuple[int, ...]
    choice: Choice
    data: Data
    threads: int
    workers: int
    saved: Saved | None = None


def grouped(
    specs: Sequence[RunSpec],
    *,
    executor: str,
    group_size: int | None,
    threads: int | None,
    saved: Sequence[tuple[Saved, Sequence[int]]] = (),
    devices: int = 1,
) -> list[list[Group]]:
    """Group runs, and put their data on their devices.

    Arguments as for `run_population`. `saved` are checkpoints, and the places of their runs among `specs`: these stay
    together, on what they were on; the threads are as many where the `devices` are, on each of which a run has them.

    Returns:
        Crews, one after the other: groups of as many threads each, which may run at the same time.

    Raises:
        ConfigError: Runs that cannot be made here.
    """
    keys, sketches = data_keys(specs), Sketches()
    begun = {i for _, indices in saved for i in indices}
    structures = by_structure(specs, keys)
    check_fits([specs[indices[0]] for indices in structures], sketches)
    check_passes(specs)
    cores = threads or free_cores()
    shared = all(find_device(spec.training.device).type == "cpu" for spec in specs)  # other devices are one
    tables, stores = dict[Any, Data](), Stores()
    crews: dict[int, list[Group]] = {}

    def data_of(index: int) -> Data:
        key = keys[index]
        tables[key] = tables[key] if key in tables else Data(specs[index], stores=stores)
        return tables[key]

    def threads_of(spec: RunSpec) -> int:
        return _threads(threads) if sketches(spec).is_convolutional else 1

    def side_by_side(own: int) -> int:
        return max(1, cores // own) if shared else 1

    for found, indices in saved:  # first: they are nearest to their end
        choice, own = found.choice, found.threads if found.devices == devices else threads_of(specs[indices[0]])
        group = Group(tuple(indices), choice, data_of(indices[0]), own, side_by_side(own), found)
        crews.setdefault(own, []).append(group)
    for indices in ([i for i in each if i not in begun] for each in structures):
        if not indices:
            continue
        members = [specs[i] for i in indices]
        own = threads_of(members[0])
        workers = side_by_side(own)
        choice = choose(members, executor=executor, group_size=group_size, workers=workers, sketches=sketches)
        for part in even_parts(indices, choice.group_size):
            crews.setdefault(own, []).append(Group(tuple(part), choice, data_of(indices[0]), own, workers))
    return list(crews.values())


def at_a_time(crew: Sequence[Group]) -> int:
    """How many groups of a crew run at the same time at most."""
    return min(max(group.workers for group in crew), len(crew))


def _threads(asked: int | None) -> int:
    """Threads of a run whose operations are large enough to share cores: those asked for, or the machine's."""
    return min(asked or usable_cores(), MOST_THREADS)


def by_structure(specs: Sequence[RunSpec], keys: Sequence[Any]) -> list[list[int]]:
    """Indices of runs that can be stacked: the same but for numbers, seeds, names, and which classes come when."""
    groups: dict[Any, list[int]] = {}
    for i, spec in enumerate(specs):
        groups.setdefault((keys[i], spec.scenario.num_tasks, spec.structure), []).append(i)
    return list(groups.values())


def data_keys(specs: Sequence[RunSpec]) -> list[Any]:
    """What is equal for runs that can share their tables; each scenario's held-out rows are read once."""
    judged: dict[int, str] = {}
    for scenario in (spec.scenario for spec in specs):
        if id(scenario) not in judged:
            test = scenario.eval_inputs is scenario.dataset.test_inputs
            judged[id(scenario)] = "test" if test else content_digest([scenario.eval_inputs, scenario.eval_labels])
    return [
        (
            id(spec.scenario.dataset),
            judged[id(spec.scenario)],
            spec.training.dtype,
            spec.training.augment,
            spec.training.device,
        )
        for spec in specs
    ]


def even_parts(indices: list[int], size: int) -> list[list[int]]:
    """Cut into parts of at most `size`, as equal as possible."""
    count = -(-len(indices) // size)
    return [part.tolist() for part in np.array_split(np.array(indices), count)]


def pieces(indices: list[int], processes: int, *, threads: int, alone: bool) -> list[list[int]]:
    """Cut runs of one structure into what one of some processes makes at a time: a piece for each of them at least.

    Args:
        indices: The runs.
        processes: How many there are.
        threads: Of each process: so many populations it trains side by side.
        alone: Whether runs come one by one, as those with convolutions do.
    """
    return even_parts(indices, 1 if alone else min(GROUP_SIZE * threads, -(-len(indices) // processes)))
