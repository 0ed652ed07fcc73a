"""Classes that come: the head grows, and nothing that was there changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from maskcl import Learner
from maskcl.errors import ConfigError, DataError
from maskcl.learner.grow import grown

MLP = {"name": "mlp", "hidden": [16]}


def rows(*classes: int, count: int = 30, shape: tuple[int, ...] = (8,)) -> tuple[Any, Any]:
    labels = np.repeat(classes, count)
    inputs = np.random.default_rng(sum(classes)).random((len(labels), *shape), np.float32)
    inputs.reshape(len(labels), -1)[np.arange(len(labels)), labels] += 2
    return inputs, labels


def module(outputs: int, *, head: type[nn.Module] = nn.Linear) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), head(16, outputs))


METHODS = ("er", "derpp", "icarl", "ewc", "si", "lwf", "agem", "mir", "gdumb", "scr", "er_ace")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("optimizer", [{"lr": 0.1}, {"name": "adam", "lr": 0.02}])
def test_every_method_learns_classes_that_nobody_knew_of(method: str, optimizer: dict[str, Any]) -> None:
    memory: Any = 0 if method in ("ewc", "si", "lwf") else 30
    memory = {"size": 30, "policy": "reservoir"} if method == "agem" else memory
    learner = Learner(MLP, method=method, memory=memory, optimizer=optimizer, batch_size=5)
    for task in ((0, 1), (2, 6), (3, 4, 5)):
        learner.fit(*rows(*task), epochs=1 if method == "gdumb" else 10)
    assert learner.classes_.tolist() == [0, 1, 2, 6, 3, 4, 5]
    assert learner.network_[-1].weight.shape == (7, 16)  # type: ignore[index]
    assert learner.score(*rows(3, 4, 5)) > 0.6


def widened(learner: Learner, width: int) -> Any:
    """A learner's population as a fit with more classes makes it, before its first step."""
    core = learner._core
    core.tasks = [*core.tasks, tuple(range(core.num_classes, width))]
    return core._population(core._spec(core.rows, np.zeros(len(core.rows), np.int64), width), width)


@pytest.mark.parametrize(("before", "after"), [(3, 5), (5, 8), (12, 13), (12, 60)])
def test_old_outputs_stay_when_classes_come(before: int, after: int) -> None:
    learner = Learner({"name": "mlp", "hidden": [64]}, method="er", memory=20, batch_size=4)
    learner.fit(*rows(*range(before), shape=(20,)), epochs=2)
    inputs, _ = rows(*range(min(after, 20)), shape=(20,))
    old = torch.from_numpy(learner._scores(inputs, ""))
    with torch.no_grad():
        new = widened(learner, after).model.one(0)(torch.from_numpy(inputs)).logits.double()
    assert new.shape == (len(inputs), after)
    # The same products, and from 12 outputs on the same kernel of the library that computes them: to the bit.
    # Below, it takes another one at 4 and at 12 outputs, which adds in another order.
    if before >= 12:
        assert torch.equal(new[:, :before], old)
    assert torch.allclose(new[:, :before], old, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("width", [2, 3, 7, 10])
def test_weights_of_old_classes_are_the_front_of_the_wider_head(width: int) -> None:
    learner = Learner(MLP, method="finetune", memory=0, optimizer={"lr": 0.1, "momentum": 0.9}).fit(*rows(0, 1))
    old = learner._core.state.copy()
    new = widened(learner, width).state
    for name in ("3.weight", "3.bias"):
        assert torch.equal(new.weights.params[name][:2], old.weights.params[name])
    moved = new.optimizer["momentum"][2]
    assert torch.equal(moved[:2], old.optimizer["momentum"][2])
    assert not moved[2:].any()


def test_stored_logits_of_a_new_class_are_what_the_network_now_gives() -> None:
    learner = Learner(MLP, method="der", memory=20, batch_size=4).fit(*rows(0, 1), epochs=2)
    core = learner._core
    before = core.state.stored.clone()
    wider = widened(learner, 3)
    assert torch.equal(wider.state.stored[:, :2], before)
    with torch.no_grad():
        now = wider.model.one(0)(torch.from_numpy(core.slots)).logits
    assert torch.equal(wider.state.stored[:, 2], now[:, 2])


def test_a_tree_grows_by_the_front() -> None:
    old = {"means": torch.ones(2, 3), "same": torch.arange(2.0), "list": [torch.ones(1)]}
    new = {"means": torch.zeros(4, 0), "same": torch.zeros(2), "list": [torch.full((2,), 7.0)]}
    found = grown(old, new)
    assert found["means"].tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]]
    assert found["same"].tolist() == [0, 1]
    assert found["list"][0].tolist() == [1, 7]


def test_a_class_that_comes_back_is_learnt_on() -> None:
    learner = Learner(MLP, method="derpp", memory=30, mask={"leak": 0.1}, batch_size=10)
    for task in ((0, 1), (2, 3), (1, 4)):
        learner.fit(*rows(*task), epochs=4)
    assert learner.classes_.tolist() == [0, 1, 2, 3, 4]
    assert learner._core.tasks == [(0,), (2, 3), (1, 4)]
    assert learner.score(*rows(1, 4)) > 0.9


def test_a_module_is_copied_and_its_head_fits_the_classes() -> None:
    given = module(10)
    weights = {name: value.clone() for name, value in given.state_dict().items()}
    learner = Learner(given, method="er", memory=20).fit(*rows(0, 1))
    assert learner.network_[-1].out_features == 2  # type: ignore[index]
    assert all(torch.equal(value, weights[name]) for name, value in given.state_dict().items())
    kept = Learner(given, method="er", memory=20, lr=1e-9, classes=range(10)).fit(*rows(0, 1)).network_.state_dict()
    assert all(torch.allclose(value, weights[name], atol=1e-6) for name, value in kept.items())


def test_what_a_network_knows_already_is_frozen_and_kept() -> None:
    teacher = Learner(MLP, method="finetune", memory=0, lr=0.1).fit(*rows(0, 1), epochs=30)
    zero = {"method": "finetune", "memory": 0, "lr": 0.1, "mask": {"leak": 0.01}, "cfgm": {"step": 0.5}}
    learner = Learner(teacher.network_, known=["a", "b"], **zero)
    inputs, labels = rows(2, 3)
    learner.fit(inputs, np.array(["c", "d"])[labels - 2], epochs=10)
    assert learner.classes_.tolist() == ["a", "b", "c", "d"]
    assert learner._core.tasks == [(0, 1), (2, 3)]
    old, kind = rows(0, 1)
    assert learner.score(old, np.array(["a", "b"])[kind]) > 0.9
    plain = Learner(teacher.network_, known=["a", "b"], method="finetune", memory=0, lr=0.1)
    plain.fit(inputs, np.array(["c", "d"])[labels - 2], epochs=10)
    assert plain.score(old, np.array(["a", "b"])[kind]) < 0.5


@pytest.mark.parametrize("streams", [False, True])
def test_where_all_classes_came_back_no_samples_are_made(streams: bool) -> None:
    """CFGM has no old class to move rows to: a step is what it is without CFGM, to the last bit."""
    weights = []
    for cfgm in (None, {"step": 0.5}):
        mask = {"leak": 0.1, "policy": "batch" if streams else "task"}
        learner = Learner(MLP, method="finetune", memory=0, lr=0.1, mask=mask, cfgm=cfgm).fit(*rows(0, 1))
        again = learner.partial_fit if streams else learner.fit
        again(*rows(0, 1))
        assert [classes for classes in learner._core.tasks if classes] == [(0, 1)]
        weights.append(learner.network_.state_dict())
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"network": module(3), "known": ["a"]}, "must name the network's 3 outputs, two or more, got 1"),
        ({"network": "mlp", "known": ["a", "b"]}, "must be left out unless network is a trained nn.Module"),
        ({"network": module(2), "known": ["a", "a"]}, "must name each class once, got 'a'"),
        ({"classes": [0, 0, 1]}, "must name each class once, got 0"),
        ({"memory": {"size": 10, "policy": "ring"}}, "must be told beforehand with a memory policy whose slots"),
        ({"mask": {"value": -np.inf}}, "must leave old classes in the softmax"),
    ],
)
def test_what_cannot_grow_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises((ConfigError, DataError)) as caught:
        Learner(**({"network": MLP, "batch_size": 5} | settings)).fit(*rows(0, 1)).fit(*rows(2))
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_a_head_that_is_no_linear_layer_is_refused() -> None:
    class Odd(nn.Linear):
        pass

    with pytest.raises(ConfigError, match=r"exactly an nn\.Linear to grow"):
        Learner(nn.Sequential(nn.Linear(8, 4), Odd(4, 5))).fit(*rows(0, 1))
