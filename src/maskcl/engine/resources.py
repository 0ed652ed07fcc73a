"""What a run takes, estimated before anything is allocated: how many members fit, and what cannot fit at all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maskcl.engine.spec import RunSpec
from maskcl.errors import ConfigError, message
from maskcl.machine import available_bytes
from maskcl.networks import sketch_network

__all__ = ["check_fits", "member_bytes", "sketch"]


def sketch(spec: RunSpec) -> nn.Module:
    """The run's network on the meta device, where weights take no memory."""
    return sketch_network(spec.network, spec.scenario.dataset.input_shape, spec.scenario.num_classes)


def member_bytes(spec: RunSpec) -> int:
    """Estimate what one member of a population needs, in bytes, over and above the shared image table."""
    return sum(_parts(spec).values())


def check_fits(specs: Sequence[RunSpec]) -> None:
    """Refuse runs of which not even one fits into memory.

    Args:
        specs: One of each structure.

    Raises:
        ConfigError: The message names what takes most.
    """
    free = available_bytes()
    for spec in specs:
        parts = _parts(spec)
        total, largest = sum(parts.values()), max(parts, key=parts.__getitem__)
        if total > free:
            must = f"must fit into the {free / 1e9:.3g} GB that are free, and a run needs about {total / 1e9:.3g} GB"
            raise ConfigError(message(largest, must))


def _parts(spec: RunSpec) -> dict[str, int]:
    """Bytes of one member, by the setting that decides them.

    Weights, optimiser and gradients; a step's rows and activations with their gradients; a task's plan; the memory.
    """
    training, method, needs = spec.training, spec.method, spec.method.needs
    item = 8 if training.dtype == "float64" else 4
    network = sketch(spec)
    weights = sum(p.numel() for p in network.parameters())
    copies = 1 if spec.optimizer.is_plain_sgd else 2 + {"sgd": 1, "adam": 2}[spec.optimizer.name]
    frozen = 1 if needs.teacher or method.cfgm is not None else 0
    drawn = sum(draw.num_drawn for draw in needs.draws)
    activations = _activations(network, spec.scenario.dataset.input_shape)
    longest = max(len(r) for r in spec.scenario.train_rows) * training.epochs
    steps = longest // training.batch_size + 1
    slots = 0 if spec.memory is None else spec.memory.size
    rows = max(training.batch_size, drawn)
    return {
        f"network of {weights:,} parameters": weights * item * (copies + frozen),
        "training.batch_size" if rows == training.batch_size else "method.replay_batch":
            3 * (training.batch_size + drawn) * needs.views * activations * item
            + 8 * steps * (6 * drawn + 2 * training.batch_size) * (drawn > 0),
        "training.epochs": 8 * (3 * longest + 2 * steps * training.batch_size),
        "memory.size": slots * (16 + (spec.scenario.num_classes * item if needs.stores_logits else 0)),
    }  # fmt: skip


def _activations(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Numbers that one row makes on its way through the network."""
    made = [torch.Size(shape).numel()]

    def note(_layer: nn.Module, _inputs: object, out: object) -> None:
        if isinstance(out, Tensor):
            made.append(out.numel())

    handles = [m.register_forward_hook(note) for m in network.modules() if not any(m.children())]
    try:
        like = next(network.parameters())
        with torch.no_grad():
            network.eval()(torch.zeros(1, *shape, device=like.device))
    finally:
        for handle in handles:
            handle.remove()
    return sum(made)
