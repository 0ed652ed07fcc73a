"""What runs will take, before they are made: groups as they will train, bytes by `resources`, seconds by a few steps.

    seconds of a group = planning + steps * (seconds a step) + evaluations * (rows * seconds a row)

What is measured is in `maskcl.engine.measuring`; nothing here decides anything.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from maskcl.engine.groups import Group, at_a_time, even_parts, grouped, pieces
from maskcl.engine.measuring import Measured
from maskcl.engine.resources import member_bytes, table_bytes
from maskcl.engine.sketches import Sketches
from maskcl.engine.spec import RunSpec

__all__ = ["Forecast", "GroupForecast", "forecast"]


@dataclass(frozen=True)
class GroupForecast:
    """What a group will take.

    Attributes:
        group: Which runs, on what.
        seconds: From its start to its end; None: not estimated.
        num_bytes: Its networks, rows on their way and plans; not the data.
    """

    group: Group
    seconds: float | None
    num_bytes: int


@dataclass(frozen=True)
class Forecast:
    """What runs will take.

    Attributes:
        crews: Groups that may run at the same time, crew after crew.
        num_bytes: The most that is needed at a time, copies of the data included.
        measured: Seconds that were spent on measuring.
        structures: How many structures there are.
        likened: How many were not measured, and are estimated as others that differ in mask or size of memory alone.
        left_out: How many were not measured for lack of time, and are not estimated.
    """

    crews: tuple[tuple[GroupForecast, ...], ...]
    num_bytes: int
    measured: float
    structures: int = 0
    likened: int = 0
    left_out: int = 0

    @property
    def groups(self) -> tuple[GroupForecast, ...]:
        """All groups."""
        return tuple(group for crew in self.crews for group in crew)

    @property
    def seconds(self) -> float | None:
        """Wall time of all; None where it is not known of a group."""
        return None if any(one.seconds is None for one in self.groups) else self.least_seconds

    @property
    def at_a_time(self) -> int:
        """How many groups run at the same time at most."""
        return max((at_a_time([one.group for one in crew]) for crew in self.crews), default=0)

    @property
    def least_seconds(self) -> float:
        """Wall time of the groups of which it is known."""
        return sum(map(_crew_seconds, self.crews))


def forecast(
    specs: Sequence[RunSpec],
    *,
    executor: str = "auto",
    group_size: int | None = None,
    threads: int | None = None,
    processes: int = 1,
) -> Forecast:
    """Estimate what runs will take; arguments and errors as for `run_population`.

    Args:
        specs: The runs.
        executor: What runs them.
        group_size: Runs in a group at most.
        threads: Cores, or those of each process.
        processes: Among which the runs are shared out, with data of their own.
    """
    began, sketches = time.perf_counter(), Sketches()
    crews = grouped(specs, executor=executor, group_size=group_size, threads=threads) if specs else []
    if processes > 1:
        groups = [group for crew in crews for group in crew]
        crews = [_in_processes(groups, specs, processes, threads or 1, sketches)]
    measured = Measured(specs, [group for crew in crews for group in crew])
    found = []
    for crew in crews:
        own = []
        for group in crew:
            first, one, count = specs[group.indices[0]], measured.seconds.get(id(group.choice)), len(group.indices)
            own.append(
                GroupForecast(group, None if one is None else one * count, count * member_bytes(first, sketches(first)))
            )
        found.append(tuple(own))
    tables = sum(table_bytes(specs).values()) * min(processes, max(1, sum(map(len, found))))
    most = tables + max(map(_crew_bytes, found), default=0)
    seconds = time.perf_counter() - began
    return Forecast(tuple(found), most, seconds, measured.structures, measured.likened, measured.left_out)


def _in_processes(
    groups: Sequence[Group], specs: Sequence[RunSpec], processes: int, threads: int, sketches: Sketches
) -> list[Group]:
    """The same runs in the pieces that processes make, and these in groups as each process trains them."""
    members: dict[int, list[Group]] = {}
    for group in groups:
        members.setdefault(id(group.choice), []).append(group)
    found = []
    for own in members.values():
        first, indices = own[0], [i for group in own for i in group.indices]
        alone, most = sketches(specs[indices[0]]).is_convolutional, max(len(group.indices) for group in own)
        for piece in pieces(indices, processes, threads=threads, alone=alone):
            parts = even_parts(piece, min(most, -(-len(piece) // first.workers)))
            found += [replace(first, indices=tuple(part), workers=processes * first.workers) for part in parts]
    return found


def _crew_seconds(crew: Sequence[GroupForecast]) -> float:
    """Groups side by side: evenly shared work, and no less than the longest of them takes."""
    seconds = [one.seconds or 0.0 for one in crew]
    return max(sum(one / of.group.workers for one, of in zip(seconds, crew, strict=True)), *seconds)


def _crew_bytes(crew: Sequence[GroupForecast]) -> int:
    """The largest groups at the same time."""
    return sum(sorted((one.num_bytes for one in crew), reverse=True)[: at_a_time([one.group for one in crew])])
