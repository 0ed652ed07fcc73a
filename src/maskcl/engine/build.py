"""From settings to networks, an optimiser and the state that a run begins with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from maskcl.engine.hooks import check_head, checked_start
from maskcl.engine.loop import LoopModel
from maskcl.engine.member import memory_slots
from maskcl.engine.model import Model, Parts
from maskcl.engine.precision import LossScale, Precision
from maskcl.engine.shared import SharedModel
from maskcl.engine.spec import RunSpec
from maskcl.engine.stack import StackModel
from maskcl.engine.state import State, Weights, map_tensors, stack_trees
from maskcl.engine.team import Team
from maskcl.memory import MemoryState
from maskcl.methods import Method
from maskcl.methods.base import overrides
from maskcl.networks import build_network, num_features, seeded, traced_classifier
from maskcl.optim import Optimizer, OptimizerConfig

__all__ = ["build_model", "build_parts", "channels_last", "initial_state"]

NARROW = 16
"""Channels of a block in oneDNN, with the widest vectors of a CPU."""
SCALE = "loss_scale"
"""Slot of the optimiser's state for what float16 needs: it starts afresh, waits and resumes with the others."""


def build_parts(spec: RunSpec, *, classifier: str | None = None) -> Parts:
    """Return a run's network with its initial weights, and the method's head on its features, if it has one.

    On the CPU, for any device: its generator is what the seed is for.

    Args:
        spec: The run.
        classifier: Where the logits come from, if it is known of a network of this structure; None: a forward tells.
    """
    shape, num_classes = spec.scenario.dataset.input_shape, spec.scenario.num_classes
    dtype, seed = getattr(torch, spec.training.dtype), spec.seeds.initialisation
    network = build_network(spec.network, shape, num_classes, seed=seed).to(dtype)
    if classifier is None:
        classifier = traced_classifier(network, shape, name=spec.network.classifier_name)
    if spec.training.channels_last:
        network = channels_last(network)
    head = None
    if overrides(spec.method, "head"):
        with seeded(seed, "head"):
            head = spec.method.head(num_features(network, classifier))
    check_head(spec.method, head)
    head = None if head is None else head.to(dtype)
    return Parts(network, classifier, head, features=spec.method.needs.features, compile=spec.training.compile)


def channels_last(network: nn.Module) -> nn.Module:
    """Lay out weights of convolutions channels last, but of a network with a narrow strided 1 x 1 convolution.

    There, on a CPU, the gradient of the weights is written past its memory (oneDNN, issue 6035; seen with AVX2 and a
    ResNet-18 of up to 6 filters): numbers are wrong or the process dies.
    """
    convolutions = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    if any(c.kernel_size == (1, 1) and max(c.stride) > 1 and c.in_channels // c.groups < NARROW for c in convolutions):
        return network
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def initial_state(
    specs: Sequence[RunSpec], *, stacked: bool, device: torch.device, first: Parts | None = None
) -> State:
    """Return initial weights, an empty memory, an optimiser at its start, for members of one structure.

    Args:
        specs: The members.
        stacked: Whether tensors have a member dimension.
        device: Where its tensors are to lie.
        first: The first member's network, if it has just been built; None: built here.
    """
    first = build_parts(specs[0]) if first is None else first
    built = [first, *(build_parts(spec, classifier=first.classifier) for spec in specs[1:])]
    spec, num_classes = specs[0], specs[0].scenario.num_classes
    members = [Weights(parts.named("parameters"), parts.named("buffers")) for parts in built]
    weights = members[0]
    if stacked:
        weights = Weights(*(stack_trees([vars(m)[name] for m in members]) for name in ("params", "buffers")))
    weights = map_tensors(Tensor.detach, weights)
    leading = (len(specs),) if stacked else ()
    lifted = [p.detach() if stacked else p.detach()[None] for p in weights.params.values()]
    slots, needs, dtype = memory_slots(spec), spec.method.needs, lifted[0].dtype
    optimizer = Optimizer(spec.optimizer, list(weights.params.values()), stacked=stacked)
    if spec.training.precision == "float16":
        optimizer.state[SCALE] = LossScale.start(leading)
    state = State(
        weights=weights,
        optimizer=optimizer.state,
        method=checked_start(spec.method, spec.method.init_state(lifted, num_classes), len(specs)),
        stored=torch.zeros(*leading, slots * needs.stores_logits, num_classes, dtype=dtype),
        frozen=None,
        average=map_tensors(Tensor.clone, weights) if spec.training.average else None,
        memories=[MemoryState.empty(slots, num_classes) if spec.memory is not None else None for _ in specs],
        last_seen=[np.full(num_classes, -1) for _ in specs],
        position=np.zeros(len(specs), np.int64),
        steps=np.zeros(len(specs), np.int64),
        updates=np.zeros(len(specs), np.int64),
        recent=[np.zeros(0, np.int64) for _ in specs],
    )
    return state.to(device)


def build_model(
    parts: Parts,
    state: State,
    config: OptimizerConfig,
    *,
    method: Method,
    stacked: bool,
    precision: str,
    team: Team | None = None,
) -> Model:
    """Return what trains a state's weights, in place.

    Args:
        parts: The network's structure; a loop makes its weights the module's own.
        state: The state.
        config: The optimiser's settings; numbers may be tensors [K].
        method: The method, for the hooks that it has.
        stacked: Whether tensors have a member dimension.
        precision: Type of the products of a step.
        team: The processes that train it together, of one that is not stacked; None: this one alone.
    """
    params = list(state.weights.params.values())
    short, scale = Precision(precision, params[0].device), None
    if short.needs_scale:
        scale = LossScale(state.optimizer[SCALE])
    optimizer = Optimizer(config, params, stacked=stacked, state=state.optimizer, updates=state.updates)
    if team is not None:
        return SharedModel(parts, state.weights, optimizer, short, scale, team)
    if not stacked:
        return LoopModel(parts, state.weights, optimizer, short, scale)
    fuse = not overrides(method, "direction", "after_step")
    return StackModel(parts, state.weights, optimizer, short, scale, fuse=fuse)
