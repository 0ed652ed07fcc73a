"""`training.average`: a task ends with the mean of the weights of its last steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from engine.small import members, scenario, spec, train
from torch import Tensor

from maskcl.cfgm import Cfgm
from maskcl.data import from_arrays
from maskcl.engine import Population, RunSpec
from maskcl.engine.plan import _plan_shares
from maskcl.engine.state import Weights, map_tensors
from maskcl.errors import ConfigError
from maskcl.methods import Method, Phase, Step
from maskcl.networks import ConvNet
from maskcl.scenario import class_incremental


@pytest.mark.parametrize(("average", "shares"), [
    (0.5, [0, 0, 1, 1 / 2]), (1.0, [1, 1 / 2, 1 / 3, 1 / 4]), (0.01, [0, 0, 0, 1]),
])  # fmt: skip
def test_the_last_steps_have_shares_of_a_mean(average: float, shares: list[float]) -> None:
    found = _plan_shares(average, 4)
    assert found is not None
    assert found.tolist() == shares
    assert _plan_shares(0.0, 4) is None


def each_steps_weights(spec: RunSpec) -> list[Weights]:
    """Weights after each step of the first task, without a mean."""
    population = Population([spec], stacked=False)
    trainer = population.trainer(0, population.method.phases(0, population.num_tasks)[0])
    found = []
    for chunk in population.plan(0).chunks():
        for step in chunk.steps:
            trainer.run_one(step)
            found.append(map_tensors(lambda t: t.detach().clone(), population.state.weights))
    return found


def farthest(one: Weights, other: Weights) -> float:
    """The largest difference of two networks' parameters."""
    return max((one.params[name] - other.params[name]).abs().max().item() for name in one.params)


@pytest.mark.parametrize("network", [None, ConvNet()])
def test_a_task_ends_with_the_mean_of_its_last_steps(network: ConvNet | None) -> None:
    """By hand over the first task's steps; BatchNorm's means are averaged as the weights are, its counts are not."""
    tasks = None if network is None else scenario(shape=(1, 8, 8))
    weights = each_steps_weights(spec("er", network=network, tasks=tasks))
    population = Population([spec("er", network=network, tasks=tasks, training={"average": 0.4})], stacked=False)
    population.fit_task(0)
    last = weights[len(weights) - round(0.4 * len(weights)) :]
    assert 1 < len(last) < len(weights)
    ended = population.state.weights
    for kind in ("params", "buffers"):
        for name, tensor in getattr(ended, kind).items():
            own = [getattr(each, kind)[name] for each in last]
            expected = torch.stack(own).mean(0) if tensor.is_floating_point() else own[-1]
            torch.testing.assert_close(tensor.detach(), expected, rtol=0, atol=1e-12)
    moved = max(
        (a - b).abs().max().item() for a, b in zip(ended.params.values(), last[-1].params.values(), strict=True)
    )
    assert moved > 1e-3


def test_the_next_task_goes_on_from_the_mean_and_so_does_the_frozen_copy() -> None:
    cfgm = Cfgm(step=1.0)
    population = Population([spec("finetune", cfgm=cfgm, training={"average": 0.5})], stacked=False)
    population.fit_task(0)
    assert population.state.frozen is not None
    for name, tensor in population.state.weights.params.items():
        assert torch.equal(tensor, population.state.frozen.params[name])
    before = map_tensors(torch.clone, population.state.weights)
    (phase,) = population.method.phases(1, population.num_tasks)
    step = next(iter(population.plan(1).chunks())).steps[0]
    population.trainer(1, phase).run_one(step)
    assert 0 < farthest(population.state.weights, before) < 0.5  # one step away


def test_members_with_tasks_of_several_lengths_have_the_weights_of_each_alone() -> None:
    """Populations, and members that wait for each other: to the last bit."""
    labels = np.repeat(np.arange(6), (9, 13, 17, 9, 13, 17))
    rows = np.random.default_rng(0).random((len(labels), 7)).astype(np.float32)
    data = from_arrays(rows, labels, rows, labels)
    orders = [[[0, 1], [2, 3], [4, 5]], [[4, 3], [0, 2], [1, 5]], [[5, 2], [3, 4], [0, 1]]]
    specs = [
        spec("er", seed=k, tasks=class_incremental(data, tasks=tasks), training={"average": 0.3, "dtype": "float32"})
        for k, tasks in enumerate(orders)
    ]
    together = members(train(Population(specs, stacked=True)))
    for k, one in enumerate(specs):
        (alone,) = members(train(Population([one], stacked=True)))
        for name, tensor in alone.items():
            assert torch.equal(tensor, together[k][name]), (k, name)


@dataclass(frozen=True, kw_only=True)
class Twice(Method):
    """Two phases a task."""

    key: ClassVar[str] = "twice"
    title: ClassVar[str] = "Twice"

    def phases(self, task: int, num_tasks: int) -> tuple[Phase, ...]:
        return (Phase(), Phase())

    def loss(self, step: Step) -> Tensor:
        return self.losses(step).mean(-1)


def test_bad_settings_are_refused() -> None:
    one = spec("finetune", training={"average": 0.3})
    with pytest.raises(ConfigError, match=r"training\.average: must be 0 with method 'twice', whose tasks"):
        RunSpec(**{**vars(one), "method": Twice()})
    with pytest.raises(ConfigError, match=r"training\.average: must be a share of a task's steps, 0 to 1, got 1\.5\."):
        spec("er", training={"average": 1.5})
