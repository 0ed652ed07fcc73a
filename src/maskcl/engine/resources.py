"""What a run takes, found out before anything is allocated: device, memory, how many members fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from maskcl.devices import check_device, find_device, free_bytes
from maskcl.engine.sketches import Sketch, Sketches
from maskcl.engine.spec import RunSpec
from maskcl.errors import ConfigError, check, message
from maskcl.methods.base import overrides
from maskcl.networks import num_features, traced_classifier

__all__ = ["check_fits", "member_bytes", "table_bytes"]


def member_bytes(spec: RunSpec, sketch: Sketch | None = None) -> int:
    """Estimate what one member of a population needs, in bytes, over and above the shared image table.

    Args:
        spec: The member.
        sketch: Its network; None: built to be looked at.
    """
    return sum(_parts(spec, sketch or Sketches()(spec)).values())


def check_fits(specs: Sequence[RunSpec], sketches: Sketches | None = None) -> None:
    """Refuse runs that this machine cannot make: a device that is not there, or too little memory for even one.

    Args:
        specs: One of each structure.
        sketches: Networks that were looked at before.

    Raises:
        ConfigError: The message names the setting; of memory, the one that is furthest from what is usual.
    """
    sketches, tables = sketches or Sketches(), table_bytes(specs)
    for spec in specs:
        training, sketch = spec.training, sketches(spec)
        check_device(training.device, dtype=training.dtype, precision=training.precision)
        check(not training.channels_last or sketch.is_convolutional, "training.channels_last",
              "must be left out with a network that has no convolutions", True)  # fmt: skip
        device = find_device(training.device)
        free, own, shared = free_bytes(device), sum(_parts(spec, sketch).values()), tables.get(device, 0)
        if own + shared > free:
            must = f"must fit into the {free / 1e9:.3g} GB that are free, and a run needs about {own / 1e9:.3g} GB"
            must += f" beside {shared / 1e9:.3g} GB of rows" if shared > free / 100 else ""
            rows = f"scenario.dataset {spec.scenario.dataset.name!r}"
            raise ConfigError(message(rows if shared > own else _largest(spec, sketch.network), must))


def table_bytes(specs: Sequence[RunSpec]) -> dict[torch.device, int]:
    """Return bytes of rows to be copied, by where they will lie; on the CPU those of the right type lie there."""
    each: dict[tuple[int, tuple[int, ...], str, torch.device], int] = {}
    for spec in specs:
        scenario, device = spec.scenario, find_device(spec.training.device)
        for rows in (scenario.dataset.train_inputs, scenario.eval_inputs):
            kind = str(rows.dtype) if rows.dtype == np.uint8 else spec.training.dtype
            if device.type != "cpu" or kind != str(rows.dtype):
                each[id(scenario.dataset), rows.shape, kind, device] = rows.size * np.dtype(kind).itemsize
    found: dict[torch.device, int] = {}
    for (*_, device), size in each.items():
        found[device] = found.get(device, 0) + size
    return found


def _parts(spec: RunSpec, sketch: Sketch) -> dict[str, int]:
    """Bytes of one member: weights, optimiser and gradients; a step's rows on their way; a task's plan; the memory."""
    training, method, needs = spec.training, spec.method, spec.method.needs
    item = 8 if training.dtype == "float64" else 4
    weights = sum(p.numel() for p in sketch.network.parameters()) + _head_size(spec, sketch.network)
    copies = 1 if spec.optimizer.is_plain_sgd else 2 + {"sgd": 1, "adam": 2}[spec.optimizer.name]
    frozen = 1 if needs.teacher or method.cfgm is not None else 0
    drawn = sum(draw.num_drawn for draw in needs.draws)
    longest = _longest(spec)
    steps = longest // training.batch_size + 1
    slots = 0 if spec.memory is None else spec.memory.size
    return {
        "weights": weights * item * (copies + frozen + bool(training.average)),
        "rows": 3 * (training.batch_size + drawn) * needs.views * sketch.activations * item,
        "plan": 8 * (3 * longest + steps * (6 * drawn + 4 * training.batch_size)),
        "memory": slots * (16 + (spec.scenario.num_classes * item if needs.stores_logits else 0)),
    }  # fmt: skip


def _longest(spec: RunSpec) -> int:
    """Stream rows of the longest phase, all epochs together."""
    rows = {"task": max(map(len, spec.scenario.train_rows)), "all": sum(map(len, spec.scenario.train_rows)),
            "memory": 0 if spec.memory is None else spec.memory.size}  # fmt: skip
    return max((rows[phase.rows] * (phase.epochs or spec.training.epochs) for phase in spec.phases), default=0)


def _head_size(spec: RunSpec, network: nn.Module) -> int:
    """Parameters of the method's own head on the features."""
    if not overrides(spec.method, "head"):
        return 0
    shape, name = spec.scenario.dataset.input_shape, spec.network.classifier_name
    with torch.device("meta"):
        head = spec.method.head(num_features(network, traced_classifier(network, shape, name=name)))
    return 0 if head is None else sum(p.numel() for p in head.parameters())


def _largest(spec: RunSpec, network: nn.Module) -> str:
    """The setting that is furthest above what is usual, with what it says."""
    drawn = sum(draw.num_drawn for draw in spec.method.needs.draws)
    weights = sum(p.numel() for p in network.parameters())
    passes = max((phase.epochs or spec.training.epochs for phase in spec.phases), default=1)
    times = {
        f"network of {weights:,} parameters": weights / 1e7,
        "training.batch_size": spec.training.batch_size / 100,
        "method.replay_batch": drawn / 100,
        "training.epochs" if passes == spec.training.epochs else f"method {spec.method.key!r}": passes / 100,
        "memory.size": (0 if spec.memory is None else spec.memory.size) / 1e4,
    }
    return max(times, key=times.__getitem__)
