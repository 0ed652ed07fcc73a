"""A module of one's own as a network whose head can grow."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from maskcl.errors import ConfigError, MaskclError, check, message, raised
from maskcl.experiment.config import blaming
from maskcl.networks import CosineLinear, Network, find_classifier, traced_classifier

__all__ = ["GivenNetwork", "check_module", "head_width", "num_outputs"]


@dataclass(frozen=True, kw_only=True)
class GivenNetwork(Network):
    """A module with the weights that it has; for another number of classes its classifier is drawn anew.

    Args:
        module: The network; it is copied, and stays as it is.
        classifier: Qualified name of the linear layer that gives the logits; None: found by a forward.
    """

    key: ClassVar[str] = "given"
    fingerprinted: ClassVar[bool] = True

    module: nn.Module = field(hash=False, compare=False)
    classifier: str | None = None

    @property
    def classifier_name(self) -> str | None:
        """The layer that was named."""
        return self.classifier

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Return a copy with as many outputs."""
        module = _copied(self.module).requires_grad_(True)
        name = _classifier(module, input_shape) if self.classifier is None else find_classifier(module, self.classifier)
        layer = module.get_submodule(name)
        if head_width(layer) == num_classes:
            return module
        new = _resized(layer, num_classes)
        if name == "":
            return new
        parent, _, own = name.rpartition(".")
        setattr(module.get_submodule(parent), own, new)
        return module


def num_outputs(module: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Return how many classes a module tells apart; raises ConfigError where it is none that could grow."""
    with blaming("Learner"):
        return head_width(module.get_submodule(_classifier(_copied(module), input_shape)))


def check_module(module: nn.Module) -> None:
    """Refuse a module that cannot be trained in copies: compiled to a script, or with weights that have no values."""
    where = "Learner: network"
    script = isinstance(module, torch.jit.ScriptModule)
    check(not script, where, "must be a plain nn.Module, which a ScriptModule is not", type(module).__name__)
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        lazy = isinstance(tensor, (UninitializedBuffer, UninitializedParameter))
        check(not lazy, where, f"must have all its weights, and {name!r} is made by the first forward",
              type(module).__name__, hint="call the network once with some rows")  # fmt: skip
        must = f"must have values, and {name!r} is on the meta device, where there are none"
        check(not tensor.is_meta, where, must, type(module).__name__)


def _copied(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except Exception as error:  # whatever a foreign attribute raises
        must = f"must be a module that can be copied, which raised {raised(error)}"
        raise ConfigError(message("network", must, type(module).__name__)) from error


def _classifier(module: nn.Module, input_shape: tuple[int, ...]) -> str:
    """The layer of a module that gives its logits; a forward of two rows shows it."""
    must = f"must map inputs {[2, *input_shape]} to logits"
    try:
        return traced_classifier(module, input_shape, name=None)
    except MaskclError:
        raise
    except Exception as error:  # whatever a foreign forward raises, or returns
        raise ConfigError(message("network", f"{must}, and raised {raised(error)}")) from error


def head_width(layer: nn.Module) -> int:
    """Outputs of a linear layer.

    Raises:
        ConfigError: It is of another kind, which nobody knows how to widen.
    """
    known = isinstance(layer, (nn.Linear, CosineLinear))
    must = "must end in a linear layer (nn.Linear, or maskcl's CosineLinear), which can grow"
    check(known, "network", must, type(layer).__name__)
    return int(layer.weight.shape[0])  # type: ignore[union-attr, index, arg-type]


def _resized(layer: nn.Module, num_classes: int) -> nn.Module:
    """A layer of the same kind for another number of classes, on the same device, with new weights."""
    weight: Any = layer.weight
    if isinstance(layer, CosineLinear):
        new: nn.Module = CosineLinear(weight.shape[1], num_classes, layer.scale)
    elif type(layer) in (nn.Linear, nn.modules.linear.NonDynamicallyQuantizableLinear):
        new = nn.Linear(weight.shape[1], num_classes, bias=layer.bias is not None)
    else:
        must = "must end in a layer that is exactly an nn.Linear to grow, not one derived from it"
        raise ConfigError(message("network", must, type(layer).__name__))
    return new.to(device=weight.device, dtype=weight.dtype)
