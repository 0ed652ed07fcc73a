"""What can be asked of any module: its classifier, its structure."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from maskcl.errors import check, nearest
from maskcl.networks.dropout import SeededRows
from maskcl.networks.layers import CosineLinear

__all__ = ["find_classifier", "fingerprint", "is_convolutional", "num_features", "same_structure"]

SAY_WHICH = "say which module it is: from_factory(..., classifier=NAME)"
DROPOUT = (nn.modules.dropout._DropoutNd, SeededRows)


def find_classifier(module: nn.Module, name: str | None = None) -> str:
    """Return the qualified name of the module that gives the logits, without a look at a forward.

    Args:
        module: A network.
        name: The one that is meant; None: the last linear layer, in the order in which modules are declared. It may be
            another one that gives the logits: `traced_classifier` sees that.

    >>> find_classifier(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    '2'
    """
    modules = dict(module.named_modules())
    if name is not None:
        close = nearest(name, (found for found in modules if found))
        hint = f"did you mean {close!r}?" if close else None
        check(
            name in modules, "classifier", f"must be the name of a module of {type(module).__name__}", name, hint=hint
        )
        return name
    return linear_layers(module)[-1]


def linear_layers(module: nn.Module) -> list[str]:
    """Return the qualified names of a network's linear layers, one or more, in the order in which they are declared."""
    linear = [found for found, layer in module.named_modules() if isinstance(layer, (nn.Linear, CosineLinear))]
    must = "must be a linear layer, and the network has none"
    check(bool(linear), "classifier", must, type(module).__name__, hint=SAY_WHICH)
    return linear


def num_features(module: nn.Module, classifier: str) -> int:
    """Return how many features go into a classifier, found by its qualified name.

    >>> num_features(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), "1")
    4
    """
    layer = module.get_submodule(find_classifier(module, classifier))
    weight = getattr(layer, "weight", None)
    good = isinstance(weight, torch.Tensor) and weight.ndim >= 2
    check(good, "classifier", "must have a weight [classes, features]", type(layer).__name__)
    return int(layer.weight.shape[1])  # type: ignore[union-attr, index]


def class_name(part: nn.Module) -> str:
    """The class of a module; layers of Dropout have the same name before and after they draw from a seed."""
    return type(part).__qualname__.removeprefix("Seeded") if isinstance(part, DROPOUT) else type(part).__qualname__


def fingerprint(module: nn.Module) -> str:
    """Return 16 hex digits of a module's structure: names, classes, settings, shapes and types, but no values."""
    lines = [f"{name} {class_name(part)} {part.extra_repr()}" for name, part in module.named_modules()]
    for name, tensor in module.state_dict().items():  # without what is not saved: the counters of seeded dropout
        lines.append(f"{name} {tuple(tensor.shape)} {tensor.dtype}")
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()


def same_structure(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules have one fingerprint; those with shapes that only a forward tells have none yet."""
    tensors = (tensor for module in (one, other) for tensor in (*module.parameters(), *module.buffers()))
    return not any(map(nn.parameter.is_lazy, tensors)) and fingerprint(one) == fingerprint(other)


def is_convolutional(module: nn.Module) -> bool:
    """Whether any layer is a convolution."""
    return any(isinstance(part, nn.modules.conv._ConvNd) for part in module.modules())
