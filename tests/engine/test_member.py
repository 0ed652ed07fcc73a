"""What a method or a memory policy is shown of one member when a task has ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from engine.small import SCENARIO, members, scenario, spec, train
from torch import Tensor, nn

from maskcl.engine import Population, RunSpec
from maskcl.engine.member import held_out, memory_slots
from maskcl.engine.model import MOST_IMAGES, MOST_ROWS, Parts, squared_gradients
from maskcl.engine.state import Weights
from maskcl.memory import MemoryConfig
from maskcl.methods import Draw, Method, Needs, Step
from maskcl.networks import ConvNet
from maskcl.rng import generator


class OneWeight(nn.Module):
    """Logits (w x, 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.w * x, torch.zeros_like(x)], -1)


def test_importance_is_the_mean_of_squares_and_not_the_square_of_the_mean() -> None:
    """At w = 0 the gradient of log p(y) is x/2 for class 0 and -x/2 for class 1: +1 and -1 at x = 2."""
    parts = Parts(OneWeight(), "", None, features=False)
    weights = Weights(parts.named("parameters"), parts.named("buffers"))
    (found,) = squared_gradients(parts, weights, torch.full((2, 1), 2.0, dtype=torch.float64), torch.tensor([0, 1]))
    assert found.tolist() == [1.0]
    assert parts.network.training


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("count", [5, 1000])
def test_importance_of_a_task_is_a_plain_loop_over_its_rows(count: int, stacked: bool) -> None:
    specs = [spec("ewc", seed=k, fisher_rows=count, gamma=0.5) for k in range(2)]
    specs = specs if stacked else specs[1:]
    population = Population(specs, stacked=stacked)
    inputs, labels = torch.from_numpy(SCENARIO.dataset.train_inputs).double(), SCENARIO.dataset.train_labels
    expected = [[torch.zeros_like(p) for p in named(population, k).values()] for k in range(len(specs))]
    for task in range(2):
        population.fit_task(task)
        for k, one in enumerate(specs):
            rows = generator(one.seeds.sampling, "fisher", task).permutation(SCENARIO.train_rows[task])[:count]
            assert len(rows) == min(count, 26)
            weights = {name: p.clone().requires_grad_() for name, p in named(population, k).items()}
            mean = [torch.zeros_like(p) for p in weights.values()]
            for row in rows:
                hidden = inputs[row]
                for layer in ("1", "3", "5"):
                    hidden = hidden if layer == "1" else hidden.relu()
                    hidden = weights[f"{layer}.weight"] @ hidden + weights[f"{layer}.bias"]
                log_p = hidden.log_softmax(0)[labels[row]]
                for total, grad in zip(mean, torch.autograd.grad(log_p, list(weights.values())), strict=True):
                    total += grad.square() / len(rows)
            expected[k] = [0.5 * old + new for old, new in zip(expected[k], mean, strict=True)]
    for k, tensors in enumerate(expected):
        for found, one in zip(population.state.method["importance"], tensors, strict=True):
            torch.testing.assert_close(found[k], one, rtol=0, atol=1e-12)


def named(population: Population, k: int) -> dict[str, Tensor]:
    """One member's weights by their name in the network."""
    found = members(population)[k]
    return {name.split(".", 1)[1]: t.clone() for name, t in found.items() if name.startswith("network.")}


@pytest.mark.parametrize("stacked", [True, False])
def test_a_view_is_of_one_member_at_one_task(stacked: bool) -> None:
    specs = [spec("er", seed=k) for k in range(2 if stacked else 1)]
    population = train(Population(specs, stacked=stacked), range(2))
    for k in range(len(specs)):
        view = population.view(k, 1)
        assert view.task == 1
        assert view.tasks == ((0, 1), (2, 3))
        assert view.task_rows.tolist() == SCENARIO.train_rows[1].tolist()
        memory = population.state.memories[k]
        assert memory is not None
        assert view.memory_rows.tolist() == memory.rows.tolist()
        assert view.held_out_rows.tolist() == []
        rows = np.array([30, 2, 41])
        assert view.labels(rows).tolist() == SCENARIO.dataset.train_labels[rows].tolist()
        for mine, theirs in zip(view.weights, named(population, k).values(), strict=True):
            assert torch.equal(mine, theirs)
            assert not mine.requires_grad
        found, expected = (
            view.outputs(rows),
            population.network(k)(torch.from_numpy(SCENARIO.dataset.train_inputs[rows]).double()),
        )
        torch.testing.assert_close(found.logits, expected, rtol=0, atol=1e-12)
        assert found.features is not None
        assert found.features.shape == (3, 12)
        assert not found.logits.requires_grad


def test_outputs_of_many_rows_come_in_pieces_and_in_order() -> None:
    population = Population([spec("er")], stacked=False)
    rows = np.arange(MOST_ROWS + 3) % 78
    found, few = population.view(0, 0).outputs(rows), population.view(0, 0).outputs(np.arange(78))
    assert found.features is not None
    assert few.features is not None
    torch.testing.assert_close(found.logits, few.logits[rows], rtol=0, atol=1e-12)
    torch.testing.assert_close(found.features, few.features[rows], rtol=0, atol=1e-12)


def test_fewer_rows_are_judged_at_once_where_there_are_convolutions() -> None:
    population = Population([spec("er")], stacked=False)
    assert population.parts.rows_at_once == MOST_ROWS
    images = Parts(ConvNet(hidden=(2, 2, 2)).build((1, 8, 8), 3), "classifier", None, features=False)
    assert images.rows_at_once == MOST_IMAGES
    sizes: list[int] = []
    population.parts.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    population.parts.rows_at_once = 30
    population.evaluate(0)
    population.view(0, 0).outputs(np.arange(35))
    rows = len(population.specs[0].scenario.eval_labels)
    assert sizes == [30] * (rows // 30) + [rows % 30] * (rows % 30 > 0) + [30, 5]


@dataclass(frozen=True, kw_only=True)
class Holding(Method):
    """Keeps rows from training."""

    key: ClassVar[str] = "holding"
    title: ClassVar[str] = "Holding"

    share: float = 0.25

    @property
    def needs(self) -> Needs:
        return Needs(draws=(Draw(3),), held_out=self.share)

    def loss(self, step: Step) -> Tensor:
        return self.losses(step).mean(-1)


def holding(**options: Any) -> RunSpec:
    return replace(spec("er", memory=MemoryConfig(size=24), **options), method=Holding())


def test_held_out_rows_are_trained_on_in_no_step_and_never_in_the_memory() -> None:
    """A quarter of 13 rows is 3 of each class; 6 of 24 slots are set aside for them."""
    one = holding(seed=5, training={"epochs": 2})
    assert memory_slots(one) == 18
    population, labels = Population([one], stacked=False), SCENARIO.dataset.train_labels
    for task in range(3):
        out = held_out(one, task)
        assert {c: len(rows) for c, rows in out.items()} == dict.fromkeys(SCENARIO.tasks[task], 3)
        assert all(labels[rows].tolist() == [c] * 3 for c, rows in out.items())
        (phase,) = population.method.phases(task, 3)
        kept = np.concatenate(list(out.values()))
        rows = population.stream_rows(0, phase, task)
        assert sorted([*rows, *kept]) == SCENARIO.train_rows[task].tolist()
        population.fit_task(task)
        memory = population.state.memories[0]
        assert memory is not None
        assert len(memory.rows) == 18
        out_so_far = np.concatenate([own for t in range(task + 1) for own in held_out(one, t).values()])
        assert not set(memory.rows.tolist()) & set(out_so_far.tolist())
        view = population.view(0, task)
        assert view.task_rows.tolist() == rows.tolist()
        quota = 6 // (2 * (task + 1))
        expected = [row for t in range(task + 1) for own in held_out(one, t).values() for row in own[:quota]]
        assert view.held_out_rows.tolist() == expected


def test_held_out_rows_depend_on_the_seed_alone() -> None:
    first, again, other = (held_out(holding(seed=k), 0) for k in (1, 1, 2))
    assert {c: rows.tolist() for c, rows in first.items()} == {c: rows.tolist() for c, rows in again.items()}
    assert {c: rows.tolist() for c, rows in first.items()} != {c: rows.tolist() for c, rows in other.items()}
    assert held_out(spec("er"), 0) == {}
    assert memory_slots(spec("er")) == 8
    assert memory_slots(spec("finetune")) == 0


def test_a_class_of_few_rows_gives_one_and_a_small_memory_a_slot() -> None:
    one = replace(holding(tasks=scenario(rows=4), training={"batch_size": 2}), memory=MemoryConfig(size=2))
    assert {len(rows) for rows in held_out(one, 0).values()} == {1}
    assert memory_slots(one) == 1
