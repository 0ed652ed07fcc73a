"""Which executor: decided by a rule, so that neither the machine nor the number of runs changes a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from maskcl.engine.resources import member_bytes, sketch
from maskcl.engine.spec import RunSpec
from maskcl.engine.stackable import why_not_stacked
from maskcl.errors import check
from maskcl.machine import available_bytes
from maskcl.networks import is_convolutional

__all__ = ["Choice", "choose", "describe", "needs_cores"]

GROUP_SIZE = 16
"""Members of a population: below 8 launching dominates, beyond 32 memory traffic grows (docs/design/stacking.md)."""
BUDGET = 0.5
"""Share of the available memory that populations may take."""


@dataclass(frozen=True)
class Choice:
    """What runs a group of runs, and why.

    Attributes:
        stacked: Whether they run as populations.
        group_size: Members of a population at most.
        reason: One sentence.
    """

    stacked: bool
    group_size: int
    reason: str


def choose(specs: Sequence[RunSpec], *, executor: str, group_size: int | None, workers: int) -> Choice:
    """Choose for runs of one structure.

    Args:
        specs: The runs, one or more.
        executor: "auto", "stack" or "loop".
        group_size: Largest population; None: chosen.
        workers: Populations that run at the same time, for the memory they share.

    Raises:
        ConfigError: Populations are asked for, of a network that cannot be stacked.
    """
    if executor == "loop":
        return Choice(False, 1, "asked for")
    if executor == "auto" and needs_cores(specs[0]):
        return Choice(False, 1, "networks with convolutions run one by one")
    why = why_not_stacked(specs[0])
    if why is not None:
        must = f"must be 'loop' with this network, which cannot be stacked ({why})"
        check(executor == "auto", "executor", must, executor, hint='executor = "loop" trains networks one by one')
        return Choice(False, 1, f"the network cannot be stacked ({why})")
    fits = max(1, int(available_bytes() * BUDGET / workers / max(1, member_bytes(specs[0]))))
    share = -(-len(specs) // workers)  # no worker is to idle
    size = max(1, min(group_size or min(GROUP_SIZE, share), len(specs), fits))
    reason = "asked for" if executor == "stack" else "networks without convolutions are stacked"
    return Choice(True, size, reason + (f", {fits} members fit in memory" if size == fits < len(specs) else ""))


def needs_cores(spec: RunSpec) -> bool:
    """Whether one run's operations are large enough to share cores: those of convolutions are."""
    module: nn.Module = sketch(spec)
    return is_convolutional(module)


def describe(choice: Choice, *, threads: int, workers: int) -> dict[str, Any]:
    """What a result file says of the executor."""
    return {
        "name": "stack" if choice.stacked else "loop",
        "group_size": choice.group_size,
        "threads": threads,
        "workers": workers,
        "reason": choice.reason,
    }
