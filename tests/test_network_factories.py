from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from maskcl.errors import ConfigError
from maskcl.networks import (
    NETWORKS,
    ConvNet,
    Mlp,
    Network,
    ResNet18,
    as_network,
    build_network,
    find,
    find_classifier,
    fingerprint,
    from_description,
    from_factory,
    is_convolutional,
    num_features,
    register,
    traced_classifier,
)


class TwoHeads(nn.Module):
    """A module of one's own: the layer that is declared last gives no logits."""

    def __init__(self, num_inputs: int, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(5, num_classes)
        self.body = nn.Linear(num_inputs, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).relu())


def two_heads(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """A module whose classifier has to be named."""
    return TwoHeads(*input_shape, num_classes)


def linear(input_shape: tuple[int, ...], num_classes: int, *, width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(input_shape).numel(), width), nn.Linear(width, num_classes))


@pytest.fixture
def _unregistered() -> Iterator[None]:
    before = set(NETWORKS)
    yield
    for key in set(NETWORKS) - before:
        NETWORKS.remove(key)


def test_networks_of_ones_own_are_seeded_like_those_that_come_with_maskcl() -> None:
    network = from_factory(two_heads)
    first, again, other = (build_network(network, (4,), 3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.body.weight, again.body.weight)
    assert not torch.equal(first.body.weight, other.body.weight)
    assert first.training


def test_the_classifier_is_the_layer_that_gives_the_logits_or_the_one_that_is_named() -> None:
    module = build_network(from_factory(two_heads), (4,), 3, seed=0)
    assert find_classifier(module) == "body"
    assert traced_classifier(module, (4,), name=None) == "head"
    assert find_classifier(module, "head") == "head"
    assert (num_features(module, "head"), num_features(module, "body")) == (5, 4)
    assert from_factory(two_heads, classifier="head").classifier_name == "head"
    assert find_classifier(nn.Linear(3, 2)) == ""
    for network, features in ((Mlp(classifier="cosine"), 100), (ConvNet(hidden=(4, 6)), 6), (ResNet18(width=2), 16)):
        module = build_network(network, (3, 8, 8), 5, seed=0)
        classifier = traced_classifier(module, (3, 8, 8), name=network.classifier_name)
        assert classifier == find_classifier(module)
        assert num_features(module, classifier) == features


def test_a_classifier_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"must be the name of a module of TwoHeads, got 'hed'.\nhint: .*'head'"):
        find_classifier(TwoHeads(4, 3), "hed")
    with pytest.raises(ConfigError, match="must be a linear layer, and the network has none, got 'Flatten'"):
        find_classifier(nn.Flatten())
    with pytest.raises(ConfigError, match=r"must have a weight \[classes, features\], got 'ReLU'"):
        num_features(nn.Sequential(nn.ReLU()), "0")


def test_the_fingerprint_tells_structure_and_not_values() -> None:
    first, other = (build_network(Mlp(), (4,), 3, seed=seed) for seed in (0, 1))
    assert fingerprint(first) == fingerprint(other)
    assert len(fingerprint(first)) == 16
    modules = [first, linear((4,), 3), linear((4,), 3, width=4), TwoHeads(4, 3), TwoHeads(4, 3).double()]
    modules += [nn.Sequential(nn.Linear(4, 3), nn.Dropout(p)) for p in (0.1, 0.2)]
    assert len({fingerprint(module) for module in modules}) == len(modules)


def test_networks_of_ones_own_are_described_by_origin_and_fingerprint() -> None:
    network = from_factory(functools.partial(linear, width=7), classifier="2")
    origin = {"name": "custom", "factory": f"{__name__}.linear", "classifier": "2", "arguments": {"width": 7}}
    assert network.describe() == origin
    built = fingerprint(build_network(network, (4,), 3, seed=0))
    assert network.describe((4,), 3) == origin | {"class": "Sequential", "fingerprint": built}
    assert from_factory(linear).describe((4,), 3)["fingerprint"] != built


def test_descriptions_leave_the_random_state_alone_and_need_no_meta_device() -> None:
    def reads_values(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        module = nn.Linear(*input_shape, num_classes)
        module.scale = module.weight.abs().max().item()  # the meta device has no values
        return module

    before = torch.get_rng_state()
    assert from_factory(reads_values).describe((4,), 3)["class"] == "Linear"
    assert from_factory(linear).describe((4,), 3)["class"] == "Sequential"
    assert torch.equal(torch.get_rng_state(), before)


def test_layers_that_learn_their_shape_from_the_first_batch_are_ready_when_built() -> None:
    network = from_factory(lambda shape, classes: nn.Sequential(nn.LazyLinear(3), nn.LazyLinear(classes)))
    module = build_network(network, (4,), 2, seed=0)
    assert [tuple(p.shape) for p in module.parameters()] == [(3, 4), (3,), (2, 3), (2,)]
    assert network.describe((4,), 2)["fingerprint"] == fingerprint(module)


@pytest.mark.parametrize(
    ("factory", "text"),
    [
        (
            lambda shape: nn.Linear(4, 3),
            r"must be built by factory\(\(4,\), 3\), which raised TypeError: .* takes 1 positional argument but",
        ),
        (lambda shape, classes: 3, "network: must be built as an nn.Module, got 'int'"),
        (lambda shape, classes: nn.Linear(4, 5), r"must map inputs \[2, 4\] to logits \[2, 3\], got \[2, 5\]"),
        (
            lambda shape, classes: nn.Linear(7, 3),
            r"must map inputs \[2, 4\] .*, and raised RuntimeError: mat1 and mat2",
        ),
        (lambda shape, classes: nn.LSTM(4, 3), r"must map inputs \[2, 4\] to logits \[2, 3\], got 'tuple'"),
        (
            lambda shape, classes: nn.Linear(4, 3).requires_grad_(False),
            r"network: must have parameters that are all trained .*, got \['weight', 'bias'\]",
        ),
    ],
)
def test_factories_that_build_no_classifier_are_refused(factory: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as error:
        build_network(from_factory(factory), (4,), 3, seed=0)
    assert "\n" not in str(error.value)


def test_factories_of_one_structure_are_told_by_what_they_hold() -> None:
    def made(activation: Any, scale: float = 1.0) -> Any:
        def factory(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
            assert scale > 0
            return linear(input_shape, num_classes) if activation else nn.Identity()

        return factory

    told = [from_factory(made(f, s)).describe() for f, s in ((torch.tanh, 1.0), (torch.relu, 1.0), (torch.relu, 2.0))]
    assert [each["arguments"]["scale"] for each in told] == [1.0, 1.0, 2.0]
    assert len({each["factory"] for each in told}) == 1
    assert told[0]["arguments"]["activation"] != told[1]["arguments"]["activation"]
    assert "tanh" in told[0]["arguments"]["activation"]
    outer = functools.partial(functools.partial(linear, width=5), width=6)
    assert from_factory(outer).describe()["arguments"] == {"width": 6}
    assert from_factory(functools.partial(linear, width=nn.ReLU())).describe()["arguments"] == {"width": "ReLU"}
    assert from_factory(linear).describe()["arguments"] == {"width": 3}
    assert "arguments" not in from_factory(two_heads).describe()


@pytest.mark.parametrize("step", [1, -1])
def test_a_factory_that_builds_another_structure_at_each_call_is_refused(step: int) -> None:
    def depth(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        layers = [nn.Linear(*input_shape, *input_shape) for _ in range(next(depths))]
        return nn.Sequential(*layers, nn.Linear(*input_shape, num_classes))

    def activation(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        between = (nn.ReLU, nn.Tanh)[next(depths) % 2]
        return nn.Sequential(nn.Linear(*input_shape, 3), between(), nn.Linear(3, num_classes))

    for factory in (depth, activation):
        depths = itertools.count(10, step)
        with pytest.raises(
            ConfigError, match=r"^network: must be built with the same structure at each call, for each"
        ):
            from_factory(factory).describe((4,), 2)


def test_parts_that_a_first_forward_makes_are_of_the_same_structure() -> None:
    class Grows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.LazyLinear(2)

        def forward(self, x: Tensor) -> Tensor:
            if not hasattr(self, "scale"):
                self.scale = nn.Parameter(torch.ones(x.shape[1]))
            return self.out(x * self.scale)

    described = from_factory(lambda shape, classes: Grows()).describe((4,), 2)
    assert described["class"].endswith("Grows")


def test_what_is_no_factory_is_refused() -> None:
    with pytest.raises(ConfigError, match="network: must be a factory, got 3"):
        from_factory(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="network: must be a factory, not a module, got 'Linear'"):
        from_factory(nn.Linear(2, 2))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"network.classifier: must be the name of a module, or None, got 3"):
        from_factory(linear, classifier=3)  # type: ignore[arg-type]


@pytest.mark.usefixtures("_unregistered")
def test_a_registered_factory_is_found_by_its_key() -> None:
    assert register(key="mine", classifier="head")(two_heads) is two_heads
    network = as_network("mine")
    assert network.classifier_name == "head"
    assert network.describe() == {"name": "mine"}
    assert set(network.describe((4,), 3)) == {"name", "class", "fingerprint"}
    assert isinstance(build_network(network, (4,), 3, seed=0), TwoHeads)
    assert from_description(network.describe((4,), 3)) == network
    assert find("mine").__doc__ == "A module whose classifier has to be named."
    register(two_heads, key="mine", classifier="head")  # the same again is no error
    with pytest.raises(ConfigError, match="network key: must be new"):
        register(linear, key="mine")


@pytest.mark.usefixtures("_unregistered")
def test_a_registered_class_has_its_own_settings() -> None:
    @register
    @dataclass(frozen=True, kw_only=True)
    class Own(Network):
        key: ClassVar[str] = "own"
        width: int = 4

        def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
            return linear(input_shape, num_classes, width=self.width)

    assert from_description({"name": "own", "width": 6}) == Own(width=6)
    assert num_features(build_network(Own(width=6), (2, 2), 3, seed=0), "2") == 6


@pytest.mark.usefixtures("_unregistered")
def test_keys_that_cannot_be_registered_are_refused() -> None:
    for arguments, text in (
        ({"network": linear}, "network key: must be given with a factory, got None"),
        ({"network": linear, "key": "mlp"}, "network key: must be new"),
        ({"network": linear, "key": "custom"}, "network key: must not be 'custom'"),
        ({"network": linear, "key": "a b"}, "network key: must be a name of letters"),
        ({"network": Mlp, "key": "mlp2"}, "network key: must be the class's own, 'mlp', got 'mlp2'"),
        ({"network": 3, "key": "three"}, "network: must be a factory, got 3"),
    ):
        with pytest.raises(ConfigError, match=text):
            register(**arguments)  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError, match=r"network.name: must be one of mlp, convnet, resnet18, timm/NAME, .*, got 'resnet'. Did you"
    ):
        find("resnet")


def test_what_stands_for_a_network_becomes_one() -> None:
    assert as_network("resnet18") == ResNet18()
    assert as_network(Mlp(hidden=(3,))) == Mlp(hidden=(3,))
    assert as_network(linear) == from_factory(linear)


def test_convolutions_are_seen_at_any_depth() -> None:
    assert is_convolutional(build_network(ResNet18(width=2), (1, 8, 8), 2, seed=0))
    assert not is_convolutional(build_network(Mlp(), (1, 8, 8), 2, seed=0))
