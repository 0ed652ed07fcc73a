"""Which layer is the classifier: found in a forward, wherever it is declared; named where more comes after it."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskcl.errors import ConfigError
from maskcl.experiment import plan, run
from maskcl.networks import build_network, from_factory, register, sketch_network, traced_classifier

SMALL: dict[str, Any] = {
    "seeds": 1,
    "scenario": {"tasks": [[0, 1], [2, 3]]},
    "memory": {"size": 20},
    "training": {"batch_size": 8, "dtype": "float64"},
    "optimizer": {"lr": 0.2},
}


class Two(nn.Module):
    """An output layer and another linear layer, declared in one order or the other."""

    def __init__(self, shape: Any, num_classes: int, *, last: bool, gate: int = 6, called: bool = True) -> None:
        super().__init__()
        self.body = nn.Linear(torch.Size(shape).numel(), 6)
        layers = {"gate": nn.Linear(6, gate, bias=False), "out": nn.Linear(6, num_classes, bias=False)}
        for name in ("gate", "out") if last else ("out", "gate"):
            torch.manual_seed(len(name))
            self.add_module(name, layers[name])
            nn.init.normal_(layers[name].weight)
        self.called = called

    def forward(self, x: Tensor) -> Tensor:
        features = self.body(x.flatten(1)).relu()
        return self.out(features * self.gate(features).sigmoid() if self.called else features)


class Tempered(nn.Module):
    """Logits made of a layer's output."""

    def __init__(self, num_classes: int, scale: float = 0.5, **called: Any) -> None:
        super().__init__()
        self.body, self.out, self.scale, self.called = nn.Linear(64, 6), nn.Linear(6, num_classes), scale, called

    def forward(self, x: Tensor) -> Tensor:
        features = self.body(x.flatten(1)).relu()
        if self.called.get("twice"):
            return self.out(features) + self.out(-features)
        if self.called.get("by_name"):
            return self.out(input=features)
        return self.out(features) * self.scale


gated = functools.partial(Two, last=True)
not_called = functools.partial(Two, last=True, called=False)


def tempered(shape: Any, num_classes: int) -> nn.Module:
    return Tempered(num_classes)


def twice(shape: Any, num_classes: int) -> nn.Module:
    return Tempered(num_classes, twice=True)


def by_name(shape: Any, num_classes: int) -> nn.Module:
    return Tempered(num_classes, by_name=True)


def convolved(shape: Any, num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, num_classes, 8), nn.Flatten())


def accuracies(network: Any, method: str) -> np.ndarray:
    return np.array(run(SMALL | {"method": method}, network=network).runs[0]["class_incremental"])


@pytest.mark.parametrize("method", ["icarl", "scr"])
@pytest.mark.parametrize("gate", [6, 1])
def test_the_order_of_declaration_does_not_change_what_a_method_computes(method: str, gate: int) -> None:
    first, other = (lambda s, c, last=last: Two(s, c, last=last, gate=gate) for last in (True, False))
    np.testing.assert_array_equal(accuracies(first, method), accuracies(other, method))


def test_a_gate_of_as_many_outputs_as_classes_is_no_classifier() -> None:
    class Gated(Two):
        def forward(self, x: Tensor) -> Tensor:
            features = self.body(x.flatten(1)).relu()
            self.gate(features)
            return self.out(features).clone()  # another tensor of the same values

    module = Gated((1, 8, 8), 10, last=False, gate=10)
    assert traced_classifier(module, (1, 8, 8), name=None) == "out"


@pytest.mark.parametrize("method", ["scr", "icarl", "er"])
def test_a_layer_that_is_never_called_is_not_taken(method: str) -> None:
    network = from_factory(lambda s, c: Two(s, c, last=False, called=False))
    module = build_network(network, (1, 8, 8), 10, seed=0)
    assert traced_classifier(module, (1, 8, 8), name=None) == "out"
    assert np.isfinite(accuracies(network, method)[-1]).all()


@pytest.mark.parametrize(
    ("factory", "name", "text"),
    [
        (not_called, "gate", r"must be called once .* and 'gate' was called 0 times\."),
        (twice, "out", r"must be called once .* and 'out' was called 2 times\."),
        (gated, "gate", r"must give a value a class, \[2, 10\], as 'gate' does not, got \[2, 6\]"),
        (gated, "oot", r"must be the name of a module of Two, got 'oot'"),
        (by_name, "out", r"must have rows as its first argument, as 'out' has not"),
        (by_name, None, r"must have rows as its first argument, as 'out' has not"),
        (tempered, None, r"must be a linear layer, called once, whose output is the logits, and 'Tempered' has none"),
        (twice, None, r"must be a linear layer, called once, whose output is the logits, and 'Tempered' has none"),
        (convolved, None, r"must be a linear layer, and the network has none, got 'Sequential'"),
    ],
)  # fmt: skip
def test_what_is_no_classifier_is_refused_in_one_sentence_before_anything_runs(
    factory: Any, name: str | None, text: str
) -> None:
    with pytest.raises(ConfigError, match=r"^experiment: classifier: " + text) as error:
        plan(SMALL | {"method": "er"}, network=from_factory(factory, classifier=name))
    sentence, *hint = str(error.value).splitlines()
    assert sentence.endswith((".", "?"))
    assert len(hint) <= 1
    if name is None and "rows" not in text:
        assert hint == ["hint: say which module it is: from_factory(..., classifier=NAME)"]


@pytest.mark.parametrize("method", ["er", "icarl", "scr"])
@pytest.mark.parametrize("executor", ["loop", "stack"])
def test_a_named_classifier_may_be_followed_by_a_temperature(method: str, executor: str) -> None:
    network = from_factory(tempered, classifier="out")
    result = run(SMALL | {"method": method}, network=network, executor=executor).runs[0]
    assert result["executor"]["name"] == executor
    assert result["class_incremental"][0][0] > 0.7


def test_features_of_a_named_classifier_are_what_goes_into_it() -> None:
    """A scale of 1 changes nothing, so the network is the one without it."""
    plain = accuracies(lambda s, c: nn.Sequential(nn.Flatten(), *_layers(c)), "icarl")

    class Scaled(nn.Module):
        def __init__(self, num_classes: int) -> None:
            super().__init__()
            self.body, _, self.out = _layers(num_classes)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.body(x.flatten(1)).relu()) * 1.0

    np.testing.assert_array_equal(accuracies(from_factory(lambda s, c: Scaled(c), classifier="out"), "icarl"), plain)


def _layers(num_classes: int) -> tuple[nn.Module, ...]:
    return nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, num_classes)


def test_a_convolution_can_be_the_classifier_if_it_is_named() -> None:
    network = from_factory(convolved, classifier="0")
    assert traced_classifier(build_network(network, (1, 8, 8), 10, seed=0), (1, 8, 8), name="0") == "0"


def test_a_network_too_large_to_be_built_by_way_of_trial_is_looked_at_too() -> None:
    def wide(shape: Any, num_classes: int) -> nn.Module:
        return nn.Sequential(nn.Linear(*shape, 5001), nn.Linear(5001, 5000), nn.Linear(5000, num_classes))

    module = sketch_network(from_factory(wide), (3,), 2)
    assert next(module.parameters()).is_meta
    assert traced_classifier(module, (3,), name=None) == "2"


def test_registered_networks_are_looked_at_as_well() -> None:
    from maskcl.networks import NETWORKS, find

    register(tempered, key="tempered")
    try:
        with pytest.raises(ConfigError, match="whose output is the logits"):
            build_network(find("tempered")(), (1, 8, 8), 10, seed=0)
    finally:
        NETWORKS.remove("tempered")
