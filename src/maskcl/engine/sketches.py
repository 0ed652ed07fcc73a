"""Networks looked at before anything runs: each is built once for all runs that have it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from maskcl.engine.spec import RunSpec
from maskcl.networks import blank_rows, is_convolutional, sketch_network

__all__ = ["Sketch", "Sketches"]


class Sketch(NamedTuple):
    """What can be told of a network without training it.

    Attributes:
        network: To be looked at; a large one is on the meta device, where weights take no memory.
        activations: Numbers that one row makes on its way through it.
    """

    network: nn.Module
    activations: int

    @property
    def is_convolutional(self) -> bool:
        """Whether one run's operations are large enough to share cores: those of convolutions are."""
        return is_convolutional(self.network)


class Sketches:
    """Networks that were sketched: building a full ResNet-18 takes half a second, and a grid has fifty structures.

    For the settings of one plan; what a factory builds may change from one plan to the next.
    """

    def __init__(self) -> None:
        self._known: dict[Any, Sketch] = {}

    def __call__(self, spec: RunSpec) -> Sketch:
        """The sketch of a run's network."""
        if spec.built not in self._known:
            shape = spec.scenario.dataset.input_shape
            network = sketch_network(spec.network, shape, spec.scenario.num_classes)
            self._known[spec.built] = Sketch(network, _activations(network, shape))
        return self._known[spec.built]


def _activations(network: nn.Module, shape: tuple[int, ...]) -> int:
    made = [torch.Size(shape).numel()]

    def note(_layer: nn.Module, _inputs: object, out: object) -> None:
        if isinstance(out, Tensor):
            made.append(out.numel())

    handles = [m.register_forward_hook(note) for m in network.modules() if not any(m.children())]
    try:
        with torch.no_grad():
            network.eval()(blank_rows(network, shape, 1))
    finally:
        for handle in handles:
            handle.remove()
    return sum(made)
