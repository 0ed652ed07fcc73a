"""Which executor: decided by a rule, so that neither the machine nor the number of runs changes a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from maskcl.devices import device_name, find_device, free_bytes
from maskcl.engine.resources import member_bytes
from maskcl.engine.sketches import Sketches
from maskcl.engine.spec import RunSpec
from maskcl.engine.stackable import why_not_stacked
from maskcl.errors import check

__all__ = ["Choice", "choose", "describe", "on_devices"]

GROUP_SIZE = 16
"""Members of a population: below 8 launching dominates, beyond 32 memory traffic grows (docs/design/stacking.md)."""
GPU_GROUP_SIZE = 1024
"""The same on a GPU, where launching costs as much for one member as for all."""
BUDGET = 0.5
"""Share of the available memory that populations may take."""


@dataclass(frozen=True)
class Choice:
    """What runs a group of runs, and why.

    Attributes:
        stacked: Whether they run as populations.
        group_size: Members of a population at most.
        reason: One sentence.
        device: Where, as results call it.
    """

    stacked: bool
    group_size: int
    reason: str
    device: str = "cpu"


def choose(
    specs: Sequence[RunSpec],
    *,
    executor: str,
    group_size: int | None,
    workers: int,
    sketches: Sketches | None = None,
) -> Choice:
    """Choose for runs of one structure.

    Args:
        specs: The runs, one or more.
        executor: "auto", "stack" or "loop".
        group_size: Largest population; None: chosen.
        workers: Populations that run at the same time, for the memory they share.
        sketches: Networks that were looked at before.

    Raises:
        ConfigError: Populations are asked for, of a network that cannot be stacked, or with a setting that acts in
            single runs alone.
    """
    training, sketch = specs[0].training, (sketches or Sketches())(specs[0])
    device = find_device(training.device)
    alone = next((f"training.{key}" for key in ("channels_last", "compile") if getattr(training, key)), None)
    check(alone is None or executor != "stack", str(alone), "must be left out with executor 'stack'", True)
    if executor == "loop":
        return Choice(False, 1, "asked for", device_name(device))
    if executor == "auto" and (alone is not None or sketch.is_convolutional):
        reason = "networks with convolutions run one by one" if alone is None else f"{alone} is of single runs"
        return Choice(False, 1, reason, device_name(device))
    why = why_not_stacked(specs[0])
    if why is not None:
        must = f"must be 'loop' with this network, which cannot be stacked ({why})"
        check(executor == "auto", "executor", must, executor, hint='executor = "loop" trains networks one by one')
        return Choice(False, 1, f"the network cannot be stacked ({why})", device_name(device))
    fits = max(1, int(free_bytes(device) * BUDGET / workers / max(1, member_bytes(specs[0], sketch))))
    share = -(-len(specs) // workers)  # no worker is to idle
    largest = GROUP_SIZE if device.type == "cpu" else GPU_GROUP_SIZE
    size = max(1, min(group_size or min(largest, share), len(specs), fits))
    reason = "asked for" if executor == "stack" else "networks without convolutions are stacked"
    reason += f", {fits} members fit in memory" if size == fits < len(specs) else ""
    return Choice(True, size, reason, device_name(device))


def describe(choice: Choice, *, threads: int, workers: int) -> dict[str, Any]:
    """What a result file says of the executor."""
    return {
        "name": "stack" if choice.stacked else "loop",
        "group_size": choice.group_size,
        "threads": threads,
        "workers": workers,
        "reason": choice.reason,
        "device": choice.device,
    }


def on_devices(told: dict[str, Any], devices: int) -> dict[str, Any]:
    """What a result file says of an executor where one run is made by several devices: how many, and that it is so."""
    kept = {name: value for name, value in told.items() if name != "devices"}
    if devices == 1:
        return kept | ({"reason": "asked for"} if "devices" in told else {})
    return kept | {"reason": "each run is shared out among devices", "devices": devices}
