"""Networks of one's own given to `run`: told apart in results, trained by both executors, a function of the seed."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskcl.engine import run_population
from maskcl.errors import ConfigError
from maskcl.experiment import plan, run
from maskcl.networks import Mlp, from_factory
from maskcl.report import render
from maskcl.results import Results

SMALL: dict[str, Any] = {
    "seeds": 2,
    "scenario": {"tasks": [[0, 1], [2, 3]]},
    "memory": {"size": 20},
    "training": {"batch_size": 32, "dtype": "float64"},
    "optimizer": {"lr": 0.2},
    "method": "er",
}


def narrow(input_shape: tuple[int, ...], num_classes: int, width: int = 12) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, num_classes))


def normalised(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    inner = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    return nn.Sequential(inner, nn.Linear(36, num_classes))


def dropping(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    channels = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.Dropout2d(0.2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3))
    return nn.Sequential(channels, nn.Linear(36, num_classes))


class Functional(nn.Module):
    """Dropout that no layer has."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.last = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.last(x.flatten(1)), 0.5, self.training)


class Activated(nn.Module):
    """A module whose structure does not say what it computes."""

    def __init__(self, num_classes: int, activation: Any) -> None:
        super().__init__()
        self.first, self.last, self.activation = nn.Linear(64, 8), nn.Linear(8, num_classes), activation

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.activation(self.first(x.flatten(1))))


def matrices(results: Results) -> np.ndarray:
    return np.nan_to_num(np.stack([run["confidence"] for run in results.runs]))


def test_results_of_different_networks_are_not_taken_for_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counting(specs: Any, **options: Any) -> Any:
        asked.append(len(specs))
        return run_population(specs, **options)

    monkeypatch.setattr("maskcl.experiment.in_process.run_population", counting)
    for network in (narrow, partial(narrow, width=13), normalised, narrow, partial(narrow, width=13)):
        run(SMALL, out=tmp_path, network=network)
    assert asked == [2, 2, 2]
    found = Results.load(tmp_path)
    assert len({setting.name for setting in found.settings}) == len(found.settings) == 3
    table = render(found)
    assert "narrow" in table
    assert "normalised" in table
    tables = [setting.config["network"] for setting in found.settings]
    assert all(set(table) >= {"name", "factory", "class", "fingerprint"} for table in tables)


def test_factories_that_differ_in_an_argument_alone_are_told_apart(tmp_path: Path) -> None:
    def made(activation: Any) -> Any:
        return lambda input_shape, num_classes: Activated(num_classes, activation)

    networks = [made(torch.tanh), made(torch.relu), partial(made(torch.tanh))]
    found = [run(SMALL, out=tmp_path, network=network).runs[0]["config_hash"] for network in networks]
    assert found[0] != found[1]
    assert found[0] == found[2]
    grid = {"grid": {"network": networks[:2]}}
    assert len(set(plan(SMALL | grid).labels)) == 2


def test_a_network_and_a_key_may_be_given() -> None:
    assert plan(SMALL, network=Mlp(hidden=(7,))).runs[0].config["network"]["hidden"] == [7]
    assert plan(SMALL, network="convnet").runs[0].config["network"]["name"] == "convnet"
    assert plan(SMALL, network=from_factory(narrow, classifier="3")).runs[0].spec.network.classifier_name == "3"


@pytest.mark.parametrize(
    "other",
    [
        {"network": {"hidden": [3]}},
        {"network": "mlp"},
        {"grid": {"network": ["mlp", "convnet"]}},
        {"grid": {"network.hidden": [[3], [4]]}},
        {"grid": {"zip": [{"network.hidden": [3]}, {"network.hidden": [4]}]}},
    ],
)
def test_a_network_beside_the_files_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^experiment: \[network\]: must be left out where a network is given") as e:
        plan(SMALL | other, network=narrow)
    assert "\n" not in str(e.value)


def test_a_network_beside_an_override_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\[network\]: must be left out where a network is given, got {'hidden'"):
        plan(SMALL, network=narrow, overrides={"network.hidden": [3]})


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (nn.Linear(2, 2), "network: must be a factory, not a module, got 'Linear'"),
        (3, "network: must be a factory, got 3"),
        ("mlq", "network.name: must be one of mlp, convnet, resnet18, timm/NAME, .*, got 'mlq'. Did you mean 'mlp'"),
        (lambda shape, classes: nn.Linear(3, classes), r"network: must map inputs \[2, 1, 8, 8\] to logits \[2, 10\]"),
        (lambda shape, classes: Functional(classes), "network: must draw random numbers in layers of nn.Dropout"),
    ],
)
def test_what_is_no_network_is_refused_before_anything_runs(network: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        plan(SMALL, network=network)


@pytest.mark.parametrize("network", [narrow, normalised, dropping])
def test_both_executors_train_it_and_agree(network: Any) -> None:
    loop, stack = (run(SMALL, network=network, executor=executor) for executor in ("loop", "stack"))
    assert [result["executor"]["name"] for result in (*loop.runs, *stack.runs)] == ["loop"] * 2 + ["stack"] * 2
    np.testing.assert_allclose(matrices(loop), matrices(stack), rtol=0, atol=1e-8)
    assert (matrices(loop)[:, 0, 0] > 0.3).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_factory_may_build_in_another_type_than_the_run_computes_in(dtype: str) -> None:
    def double(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return narrow(input_shape, num_classes).double()

    training = SMALL["training"] | {"dtype": dtype}
    each = [run(SMALL | {"training": training}, network=factory, seeds=1) for factory in (narrow, double)]
    accuracies = [results.runs[0]["confidence"] for results in each]
    np.testing.assert_array_equal(*accuracies)


class Tempered(nn.Module):
    """A parameter without dimensions."""

    def __init__(self, num_inputs: int, num_classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.out = nn.Linear(num_inputs, num_classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.out(inputs.flatten(1) * self.scale)


@pytest.mark.parametrize("method", ["er", "agem", "ewc"])
def test_a_parameter_may_be_a_scalar(method: str) -> None:
    settings = SMALL | {"method": method, "optimizer": {"lr": 0.1, "clip_norm": 0.5, "momentum": 0.5}, "seeds": 2}
    settings = {name: part for name, part in settings.items() if name != "memory" or method != "ewc"}
    found = [
        run(settings, network=lambda shape, classes: Tempered(math.prod(shape), classes), executor=executor)
        for executor in ("loop", "stack")
    ]
    np.testing.assert_allclose(*map(matrices, found), atol=0.02)


@pytest.mark.parametrize("executor", ["loop", "stack"])
def test_dropout_is_a_function_of_the_seed_and_leaves_the_random_state_alone(executor: str) -> None:
    torch.manual_seed(1)
    first = matrices(run(SMALL, network=dropping, executor=executor))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = matrices(run(SMALL, network=dropping, executor=executor, threads=2))
    assert torch.equal(torch.get_rng_state(), before)
    alone = matrices(run(SMALL, network=dropping, executor=executor, seeds=[1]))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first[1:], alone, rtol=0, atol=1e-12)
    assert not np.allclose(first[0], first[1])
