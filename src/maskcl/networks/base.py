"""What a network is to the rest: frozen settings that build a module from inputs [B, ...] to logits [B, C]."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, ClassVar

import torch
from torch import nn

from maskcl.errors import check
from maskcl.networks.dropout import seed_dropout
from maskcl.networks.modules import fingerprint, same_structure
from maskcl.networks.telling import attributes
from maskcl.networks.trial import tried, tried_in_training
from maskcl.rng import derive

__all__ = ["Network", "build_network", "seeded", "sketch_network"]

_GLOBAL_RANDOM_STATE = Lock()
"""PyTorch initialises layers from one global state, and populations are set up in several threads."""
SMALL = 2 * 10**7
"""Weights up to which a network is built to be looked at. On the meta device it would take no memory, but the first
computation there imports PyTorch's compiler, 2.5 s; building 784-100-100-10 takes 1 ms, ResNet-18 0.2 s."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """Base of all networks: a frozen dataclass with a key, its settings, and `build`."""

    key: ClassVar[str]
    """Its name in experiment files."""
    trial_hint: ClassVar[str | None] = None
    """What may help where it cannot take inputs of a shape."""
    fingerprinted: ClassVar[bool] = False
    """Whether its settings do not say what it builds, so that its description needs a fingerprint."""

    @property
    def classifier_name(self) -> str | None:
        """Qualified name of the module that gives the logits; None: the linear layer whose output they are."""
        return None

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Return a new module from [B, *input_shape] to [B, num_classes]; `build_network` seeds its weights."""
        raise NotImplementedError

    def initialise(self, module: nn.Module, input_shape: tuple[int, ...]) -> None:
        """Change the initial weights of a new module in place, where they do not come from a seed: here they all do."""

    def describe(self, input_shape: tuple[int, ...] | None = None, num_classes: int | None = None) -> dict[str, Any]:
        """Return name and settings as plain values.

        Args:
            input_shape: Shape of one row; with `num_classes` what is built is described too, if `fingerprinted`.
            num_classes: Outputs.
        """
        found: dict[str, Any] = {"name": self.key}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            found[field.name] = list(value) if isinstance(value, tuple) else value
        if self.fingerprinted and input_shape is not None and num_classes is not None:
            module = sketch_network(self, input_shape, num_classes)
            found |= {"class": type(module).__qualname__, "fingerprint": fingerprint(module)}
            again = _untried(self, tuple(input_shape), num_classes, like=module)
            held = attributes(again)
            found |= {"attributes": held} if held else {}
            if not same_structure(module, again):  # a forward may have made what the other one lacks
                again = _tried(again, self, tuple(input_shape), num_classes, 0)
                must = "must be built with the same structure at each call, for each run has its own"
                check(same_structure(module, again), "network", must)
        return found


@contextmanager
def seeded(seed: int, purpose: str, *counters: int) -> Iterator[None]:
    """Let PyTorch draw from a seed, a purpose and counters; the global random state is left as it was."""
    with _GLOBAL_RANDOM_STATE, torch.random.fork_rng(devices=[]):
        # `torch.manual_seed` seeds all devices: the same numbers here, and a GPU's state would stay changed.
        torch.default_generator.manual_seed(derive(seed, purpose, *counters))
        yield


def build_network(network: Network, input_shape: tuple[int, ...], num_classes: int, *, seed: int) -> nn.Module:
    """Build a network with initial weights drawn from `seed` alone, and so what its Dropout layers draw later.

    Args:
        network: Which network.
        input_shape: Shape of one row.
        num_classes: Outputs.
        seed: Seed of the initialisation; the global random state is left as it was.

    Returns:
        A module from [B, *input_shape] to [B, num_classes].

    Raises:
        ConfigError: What is built is no module, has nothing to train, gives no logits of that shape, or draws random
            numbers otherwise than in Dropout layers.
    """
    module = _drawn(network, tuple(input_shape), num_classes, seed)
    network.initialise(module, tuple(input_shape))
    return module


def _drawn(network: Network, shape: tuple[int, ...], num_classes: int, seed: int) -> nn.Module:
    """A module as its seed has it."""
    with seeded(seed, "initialisation"):
        return _tried(network.build(shape, num_classes), network, shape, num_classes, seed)


def sketch_network(network: Network, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Return what a network builds, to be looked at: a large one on the meta device, where weights take no memory."""
    shape = tuple(input_shape)
    try:
        with _GLOBAL_RANDOM_STATE, torch.random.fork_rng(devices=[]), torch.device("meta"):
            module = network.build(shape, num_classes)
            if sum(p.numel() for p in module.parameters()) > SMALL:
                return _tried(module, network, shape, num_classes, 0)
    except Exception as error:  # a factory may read values while it builds, which the meta device has none of
        too_large = "verflow" in str(error)  # and must not be built by way of trial
        check(not too_large, "network", "must be of a size that numbers of 64 bits can tell", type(network).__name__)
    return _drawn(network, shape, num_classes, 0)


def _untried(network: Network, shape: tuple[int, ...], num_classes: int, *, like: nn.Module) -> nn.Module:
    """What a network builds, where a sketch of it lies; no forward has left anything behind in it."""
    place = next((p.device for p in like.parameters()), torch.device("cpu"))
    with seeded(0, "initialisation"), place:
        return network.build(shape, num_classes)


def _tried(module: nn.Module, network: Network, shape: tuple[int, ...], num_classes: int, seed: int) -> nn.Module:
    """What a network built, if it is a classifier that can be trained; its Dropout layers draw from the seed."""
    name, hint = network.classifier_name, network.trial_hint
    module = seed_dropout(tried(module, shape, num_classes, classifier=name, hint=hint), seed)
    if network.fingerprinted or not type(network).__module__.startswith("maskcl."):
        return tried_in_training(module, shape, num_classes)
    return module
