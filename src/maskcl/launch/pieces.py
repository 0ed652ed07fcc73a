"""Runs cut into pieces that one worker makes at a time."""

from __future__ import annotations

from collections.abc import Sequence

from maskcl.engine import Checkpoints, groups
from maskcl.engine.checkpoints import shared_out
from maskcl.engine.sketches import Sketches
from maskcl.experiment import Planned

__all__ = ["pieces"]


def pieces(
    runs: Sequence[Planned], workers: int, *, threads: int, checkpoints: Checkpoints | None = None
) -> list[list[Planned]]:
    """Cut runs into pieces, as `maskcl.engine.groups.pieces` has it for runs of one structure.

    Args:
        runs: What is to be made.
        workers: How many there are.
        threads: Of each worker.
        checkpoints: Runs that one of them has together stay together, and come first.
    """
    keys = [run.key for run in runs]
    saved = [] if checkpoints is None else checkpoints.newest(set(keys))
    found = [places for _, places in shared_out(saved, keys)]
    begun = {place for places in found for place in places}
    new = [i for i in range(len(runs)) if i not in begun]
    specs, sketches = [runs[i].spec for i in new], Sketches()
    for places in groups.by_structure(specs, groups.data_keys(specs)):
        indices = [new[place] for place in places]
        alone = sketches(runs[indices[0]].spec).is_convolutional
        found += groups.pieces(indices, workers, threads=threads, alone=alone)
    return [[runs[i] for i in part] for part in found]
