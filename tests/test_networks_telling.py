"""What tells networks of one structure apart: all that a factory and its module hold besides code."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskcl.experiment import plan
from maskcl.networks import ConvNet, Mlp, from_factory
from maskcl.networks.telling import LONG, MOST, attributes, told
from maskcl.results import config_hash


class Net(nn.Module):
    """Its structure does not say what it computes."""

    def __init__(self, act: Any, **held: Any) -> None:
        super().__init__()
        self.first, self.last, self.act = nn.Linear(4, 5), nn.Linear(5, 3), act
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Tensor:
        self.seen = self.first(x)  # what a forward leaves behind is no setting
        return self.last(self.act(self.seen))


class Called:
    """A factory that is an object."""

    def __init__(self, act: Any) -> None:
        self.act, self.calls = act, 0

    def __call__(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        self.calls += 1
        return Quiet(self.act)

    def method(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return Quiet(self.act)


class Quiet(nn.Module):
    """A module that hides its activation from a look at its attributes."""

    def __init__(self, act: Any) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)
        self.first.register_forward_hook(lambda module, inputs, out: act(out))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x))


@dataclass
class Options:
    """What factories are often given."""

    act: Any = torch.relu
    table: Any = None


def by_default(act: Any) -> Any:
    return lambda shape, num_classes, act=act: Quiet(act)


def by_keyword_default(act: Any) -> Any:
    def factory(shape: tuple[int, ...], num_classes: int, *, act: Any = act) -> nn.Module:
        return Quiet(act)

    return factory


@pytest.mark.parametrize(
    "make",
    [
        by_default,
        by_keyword_default,
        Called,
        lambda act: Called(act).method,
        lambda act: functools.partial(Called(act)),
        lambda act: functools.partial(by_default(act)),
        lambda act: lambda shape, num_classes, options=Options(act): Quiet(options.act),  # noqa: B008
        lambda act: lambda shape, num_classes, made=functools.partial(Quiet, act): made(),  # noqa: B008
        lambda act: lambda shape, num_classes, made=lambda: Quiet(act): made(),
    ],
)
def test_factories_that_differ_in_what_they_hold_are_told_apart(make: Callable[[Any], Any]) -> None:
    first, again, other = (from_factory(make(act)).describe((4,), 3) for act in (torch.tanh, torch.tanh, torch.relu))
    assert first == again
    assert first["fingerprint"] == other["fingerprint"]
    assert first != other
    assert json.loads(json.dumps(first)) == first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0])),
        (np.array([1.0, 2.0]), np.array([1.0, 3.0])),
        (np.array([1, 2]), np.array([[1, 2]])),
        ({"a": torch.zeros(2)}, {"a": torch.ones(2)}),
        (torch.zeros(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16)),
        (nn.LeakyReLU(0.1), nn.LeakyReLU(0.2)),
        (float("nan"), float("inf")),
        (np.float32(1.5), np.float32(2.5)),
        (b"a", b"b"),
        ({1, 2}, {1, 3}),
        (Options(table=np.ones(2)), Options(table=np.zeros(2))),
        (list(range(LONG + 1)), list(range(1, LONG + 2))),
        (torch.float32, torch.float64),
        (Path("a"), Path("b")),
    ],
)
def test_what_is_held_is_told_by_value_or_content(one: Any, other: Any) -> None:
    made = lambda value: from_factory(lambda shape, num_classes, held=value: Quiet(torch.tanh))  # noqa: E731
    assert made(one).describe() == made(one).describe() != made(other).describe()
    json.dumps(made(one).describe(), allow_nan=False)


def test_two_modules_of_one_structure_are_told_apart_by_their_weights() -> None:
    torch.manual_seed(0)
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    assert told(first) != told(second)
    assert str(told(first)).startswith("Linear(in_features=2")


def test_what_cannot_be_told_is_told_by_its_type_and_stays_the_same() -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    assert json.loads(json.dumps(told(circle))) == told(circle)
    assert told(logging.getLogger("maskcl.test")) == "Logger"
    assert told(logging) == "module"
    assert told(Net) == f"{__name__}.Net"


def test_plain_attributes_of_a_module_are_told() -> None:
    networks = [
        from_factory(lambda shape, num_classes, own=own: Net(*own)).describe((4,), 3)
        for own in ((torch.tanh,), (torch.relu,))
    ]
    assert networks[0]["attributes"] == {"act": "torch._VariableFunctionsClass.tanh"}
    assert networks[1]["attributes"] != networks[0]["attributes"]
    plain = from_factory(lambda shape, num_classes: nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.2)))
    assert "attributes" not in plain.describe((4,), 3)


def test_many_attributes_are_told_by_a_digest() -> None:
    many = [attributes(Net(torch.tanh, **{f"a{i}": i + extra for i in range(MOST)})) for extra in (0, 0, 1)]
    assert many[0] == many[1] != many[2]
    assert list(many[0]) == ["all"]


def test_tensors_that_a_module_keeps_as_attributes_are_told_by_content() -> None:
    found = [
        from_factory(lambda shape, num_classes, mean=mean: Net(torch.tanh, mean=torch.tensor(mean))).describe((4,), 3)
        for mean in (0.5, 0.25)
    ]
    assert found[0]["attributes"]["mean"].startswith("Tensor [] torch.float32 ")
    assert found[0]["attributes"] != found[1]["attributes"]


def test_results_of_modules_that_differ_in_an_attribute_have_other_hashes() -> None:
    def hashed(network: Any) -> str:
        return config_hash(plan({"method": "finetune", "seeds": 1}, network=network).runs[0].config)

    # Two functions of one name, without arguments.
    tanh, relu = lambda s, c: Wide(torch.tanh), lambda s, c: Wide(torch.relu)
    assert hashed(tanh) == hashed(tanh) != hashed(relu)


class Wide(nn.Module):
    """For the digits."""

    def __init__(self, act: Any) -> None:
        super().__init__()
        self.first, self.last, self.act = nn.Linear(64, 5), nn.Linear(5, 10), act

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.act(self.first(x.flatten(1))))


def test_networks_that_hold_nothing_are_described_as_before() -> None:
    """As the release before this one had them: results that are there are found again."""

    def bare(shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(4, num_classes))

    assert set(from_factory(bare).describe((4,), 3)) == {"name", "factory", "classifier", "class", "fingerprint"}
    assert from_factory(bare).describe((4,), 3)["fingerprint"] == "f9ff3ec08cc35649"
    assert Mlp(hidden=(5,)).describe((4,), 3) == {
        "name": "mlp", "hidden": [5], "classifier": "linear", "initialisation": "default"}  # fmt: skip
    assert set(ConvNet().describe((1, 8, 8), 3)) == {"name", "hidden", "classifier", "initialisation"}
