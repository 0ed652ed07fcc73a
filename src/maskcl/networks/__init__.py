"""Networks by key. A new one is a file beside these and a line here, or a call of `register`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

from maskcl.errors import check
from maskcl.networks.base import Network, build_network, seeded, sketch_network
from maskcl.networks.convnet import ConvNet
from maskcl.networks.factory import Factory, FactoryNetwork, from_factory, network_class
from maskcl.networks.layers import CosineLinear
from maskcl.networks.libraries import import_torchvision
from maskcl.networks.mlp import Mlp
from maskcl.networks.modules import find_classifier, fingerprint, is_convolutional, num_features
from maskcl.networks.resnet18 import ResNet18
from maskcl.networks.timm_networks import TimmNetwork, timm_network
from maskcl.networks.torchvision_networks import TorchvisionNetwork, torchvision_network
from maskcl.networks.trial import blank_rows, traced_classifier, trial_rows
from maskcl.registry import Family, Registry

__all__ = [
    "NETWORKS",
    "ConvNet",
    "CosineLinear",
    "Factory",
    "FactoryNetwork",
    "Mlp",
    "Network",
    "ResNet18",
    "TimmNetwork",
    "TorchvisionNetwork",
    "as_network",
    "blank_rows",
    "build_network",
    "find",
    "find_classifier",
    "fingerprint",
    "from_description",
    "from_factory",
    "import_torchvision",
    "is_convolutional",
    "num_features",
    "register",
    "seeded",
    "sketch_network",
    "traced_classifier",
    "trial_rows",
]


def register(network: Any = None, *, key: str | None = None, classifier: str | None = None) -> Any:
    """Make a network known by key to experiment files and to `find`; also a decorator.

    Args:
        network: A subclass of `Network`, or `factory(input_shape, num_classes)` that returns an `nn.Module`.
        key: Its name in experiment files; a class may have its own.
        classifier: Factories only: qualified name of the module that gives the logits; None: the linear layer
            whose output they are.

    Returns:
        What was given.

    >>> @register(key="two_layers")
    ... def two_layers(input_shape, num_classes):
    ...     return torch.nn.Sequential(torch.nn.Linear(*input_shape, 8), torch.nn.Linear(8, num_classes))
    >>> find("two_layers")().describe()
    {'name': 'two_layers'}
    >>> NETWORKS.remove("two_layers")
    """
    if network is None:
        return partial(register, key=key, classifier=classifier)
    if isinstance(network, type) and issubclass(network, Network):
        own = getattr(network, "key", key)
        check(isinstance(own, str), "network key", "must be given, or be the class's own", own)
        check(key in (None, own), "network key", f"must be the class's own, {own!r}", key)
        check(classifier is None, "classifier", "must be the class's own classifier_name", classifier)
        network.key, made = str(own), network
    else:
        check(isinstance(key, str), "network key", "must be given with a factory", key)
        made = network_class(network, key=str(key), classifier=classifier)
    reserved = FactoryNetwork.key
    check(made.key != reserved, "network key", f"must not be {reserved!r}, as networks without a key are called")
    NETWORKS.add(made.key, made)
    return network


NETWORKS: Registry[type[Network]] = Registry(
    "network", where="network.name", group="maskcl.networks", add=lambda name, thing: register(thing, key=name)
)

for _network in (Mlp, ConvNet, ResNet18):
    register(_network)
NETWORKS.families["timm"] = Family(TimmNetwork, timm_network)
NETWORKS.families["torchvision"] = Family(TorchvisionNetwork, torchvision_network)


def find(name: str) -> type[Network]:
    """Return the network registered under a key, or the one of a library: "timm/NAME" or "torchvision/NAME".

    >>> find("mlp")(hidden=(50,)).describe()
    {'name': 'mlp', 'hidden': [50], 'classifier': 'linear', 'initialisation': 'default'}
    """
    return NETWORKS.find(name)


def as_network(network: Any) -> Network:
    """Return a network from what stands for one: itself, a key, or a factory."""
    if isinstance(network, Network):
        return network
    return find(network)() if isinstance(network, str) else from_factory(network)


def from_description(description: Mapping[str, Any]) -> Network:
    """Return the network of a description, as `Network.describe` gives it; those without a key have none.

    >>> from_description(Mlp(hidden=(50,)).describe()) == Mlp(hidden=(50,))
    True
    """
    kind = find(description["name"])
    fields = [f.name for f in dataclasses.fields(kind) if f.metadata.get("rebuilt", True)]  # not: files of weights
    return kind(**{name: description[name] for name in fields if name in description})
