"""Penalties on weights in training: hand-made steps, and importance against a loop over rows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from engine.small import members, spec, train
from torch import Tensor, nn

from maskcl.engine import Population
from maskcl.engine.dials import stack_settings
from maskcl.engine.loop import LoopModel
from maskcl.engine.regulariser import Regulariser
from maskcl.methods import find
from maskcl.optim import OptimizerConfig
from maskcl.rng import generator


def vector(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


class Descent:
    """Plain SGD on one weight vector, remembering the gradients it was given."""

    def __init__(self, weights: Tensor, lr: float) -> None:
        self.weights, self.lr = weights, lr
        self.given: list[list[float]] = []

    def __call__(self, grads: Sequence[Tensor]) -> None:
        self.given.append(grads[0].tolist())
        self.weights.sub_(self.lr * grads[0])


def test_ewc_adds_its_penalty_to_the_gradient_that_the_optimiser_sees() -> None:
    """3 F (w - w*) with F = (1, 4) and moves of (2, -1) is (6, -12)."""
    weights = vector(2.0, -1.0)
    keeper = Regulariser(find("ewc")(strength=3.0), [torch.zeros(2, dtype=torch.float64)])
    keeper.state["importance"] = [vector(1.0, 4.0)]
    descent = Descent(weights, lr=0.5)
    keeper.step([weights], [vector(1.0, 1.0)], descent)
    assert descent.given == [[7.0, -11.0]]
    assert weights.tolist() == [-1.5, 4.5]


def test_the_anchor_starts_at_the_initial_weights_and_importance_at_0() -> None:
    params = [vector(1.0, 2.0).requires_grad_(), vector(3.0).requires_grad_()]
    for key, names in (("ewc", {"anchor", "importance"}), ("si", {"anchor", "importance", "path"})):
        keeper = Regulariser(find(key)(), params)
        assert set(keeper.state) == names
        assert set(keeper.tensors()) == {f"{name}.{i}" for name in names for i in range(2)}
        assert [t.tolist() for t in keeper.state["anchor"]] == [[1.0, 2.0], [3.0]]
        assert not any(t.requires_grad for tensors in keeper.state.values() for t in tensors)
        assert all(not t.any() for name in names - {"anchor"} for t in keeper.state[name])
    with torch.no_grad():
        params[0].add_(1.0)
    assert keeper.state["anchor"][0].tolist() == [1.0, 2.0]


def test_si_gathers_the_path_of_two_steps_from_the_losss_own_gradient() -> None:
    """c = 1/2, lr = 1/10, w = (1, 0), w* = 0, Omega = (2, 0).

    Step 1: g = (1, 2), penalty 2 c Omega w = (2, 0), moves (-0.3, -0.2), path (0.3, 0.4).
    Step 2: g = (-1, 1), penalty (1.4, 0), moves (-0.04, -0.1), path (0.3 - 0.04, 0.5).
    End: w = (0.66, -0.3); Omega = (2 + 0.26 / (0.66^2 + 0.1), 0.5 / (0.09 + 0.1)).
    """
    weights = vector(1.0, 0.0)
    keeper = Regulariser(find("si")(c=0.5, xi=0.1), [torch.zeros(2, dtype=torch.float64)])
    keeper.state["importance"] = [vector(2.0, 0.0)]
    descent = Descent(weights, lr=0.1)
    keeper.step([weights], [vector(1.0, 2.0)], descent)
    assert keeper.state["path"][0].tolist() == pytest.approx([0.3, 0.4])
    keeper.step([weights], [vector(-1.0, 1.0)], descent)
    assert keeper.state["path"][0].tolist() == pytest.approx([0.26, 0.5])
    assert descent.given == [pytest.approx([3.0, 2.0]), pytest.approx([0.4, 1.0])]
    keeper.end_task([weights], lambda rows: [])
    assert weights.tolist() == pytest.approx([0.66, -0.3])
    assert keeper.state["importance"][0].tolist() == pytest.approx([2 + 0.26 / 0.5356, 0.5 / 0.19])
    assert keeper.state["path"][0].tolist() == [0.0, 0.0]
    assert torch.equal(keeper.state["anchor"][0], weights)


def test_members_have_their_own_strength_and_leave_with_their_state() -> None:
    start = torch.zeros(3, 2, dtype=torch.float64)
    method = stack_settings([find("ewc")(strength=s) for s in (0.0, 1.0, 2.0)], torch.float64)
    keeper = Regulariser(method, [start])
    keeper.state["importance"] = [torch.ones(3, 2, dtype=torch.float64)]
    keeper.state["anchor"][0][2] = 5.0
    (grads,) = method.penalty_gradients(keeper.state, [start + 1])
    assert grads.tolist() == [[0.0, 0.0], [1.0, 1.0], [-8.0, -8.0]]
    keeper.keep(torch.tensor([0, 2]))
    assert keeper.state["anchor"][0].tolist() == [[0.0, 0.0], [5.0, 5.0]]


class OneWeight(nn.Module):
    """Logits (w x, 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.w * x, torch.zeros_like(x)], -1)


def test_importance_is_the_mean_of_squares_and_not_the_square_of_the_mean() -> None:
    """At w = 0 the gradient of log p(y) is x/2 for class 0 and -x/2 for class 1: +1 and -1 at x = 2."""
    model = LoopModel([OneWeight()], OptimizerConfig())
    (found,) = model.squared_gradients(0, torch.full((2, 1), 2.0, dtype=torch.float64), torch.tensor([0, 1]))
    assert found.tolist() == [1.0]
    assert model.module.training


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("count", [5, 1000])
def test_importance_of_a_task_is_a_plain_loop_over_its_rows(count: int, stacked: bool) -> None:
    specs = [spec("ewc", seed=k, fisher_rows=count, gamma=0.5) for k in range(2)]
    specs = specs if stacked else specs[1:]
    population = Population(specs, stacked=stacked)
    expected = [[torch.zeros_like(p) for p in named(population, k).values()] for k in range(len(specs))]
    for task in range(2):
        population.fit_task(task)
        for k, one in enumerate(specs):
            rows = generator(one.seeds.sampling, "fisher", task).permutation(population.scenario.train_rows[task])[
                :count
            ]
            assert len(rows) == min(count, 26)
            weights = {name: p.clone().requires_grad_() for name, p in named(population, k).items()}
            mean = [torch.zeros_like(p) for p in weights.values()]
            for row in rows:
                hidden = population.inputs[row]
                for layer in ("1", "3", "5"):
                    hidden = hidden if layer == "1" else hidden.relu()
                    hidden = weights[f"{layer}.weight"] @ hidden + weights[f"{layer}.bias"]
                log_p = hidden.log_softmax(0)[population.labels[row]]
                for total, grad in zip(mean, torch.autograd.grad(log_p, list(weights.values())), strict=True):
                    total += grad.square() / len(rows)
            expected[k] = [0.5 * old + new for old, new in zip(expected[k], mean, strict=True)]
    assert population.regulariser is not None
    for k, tensors in enumerate(expected):
        for found, one in zip(population.regulariser.state["importance"], tensors, strict=True):
            torch.testing.assert_close(found[k] if stacked else found, one, rtol=0, atol=1e-12)


def named(population: Population, k: int) -> dict[str, Tensor]:
    """One member's weights by their name in the network."""
    found = members(population)[k]
    return {name.split(".", 1)[1]: t.clone() for name, t in found.items() if name.startswith("network.")}


def test_methods_without_a_penalty_have_no_regulariser() -> None:
    assert Population([spec("lwf")], stacked=False).regulariser is None


def test_anchors_are_the_weights_of_the_last_tasks_end() -> None:
    population = train(Population([spec("si", seed=k) for k in range(2)], stacked=True), range(2))
    assert population.regulariser is not None
    for anchor, weights in zip(population.regulariser.state["anchor"], population.model.optimizer.params, strict=True):
        assert torch.equal(anchor, weights)
