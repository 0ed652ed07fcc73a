"""What a method makes of gradients in training: hand-made steps; nothing is called, kept or slowed that it has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import pytest
import torch
from engine.small import spec, train
from methods.by_hand import Ended
from torch import Tensor

from maskcl.engine import Population
from maskcl.engine.dials import stack_settings
from maskcl.engine.model import Model
from maskcl.engine.state import Weights
from maskcl.engine.update import Update
from maskcl.methods import Gradients, Method, State, find
from maskcl.optim import OptimizerConfig


def vector(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


class Descent:
    """Plain SGD on weights of K members, or of one run, remembering the directions it was given."""

    def __init__(self, weights: Tensor, lr: float, *, leading: tuple[int, ...] = ()) -> None:
        self.weights, self.lr, self.leading = Weights({"w": weights.requires_grad_()}, {}), lr, leading
        self.given: list[list[Any]] = []
        self.fused = 0

    @property
    def w(self) -> Tensor:
        return self.weights.params["w"]

    def gradients(self, losses: dict[str, Tensor]) -> Gradients:
        lifted = {}
        for name, loss in losses.items():
            (grad,) = torch.autograd.grad(loss.sum(), [self.w], retain_graph=True)
            lifted[name] = [grad if self.leading else grad[None]]
        return lifted

    def move(self, directions: Sequence[Tensor]) -> None:
        self.given.append(directions[0].tolist())
        with torch.no_grad():
            self.w.sub_(self.lr * (directions[0] if self.leading else directions[0][0]))

    def descend(self, loss: Tensor) -> None:
        self.fused += 1
        self.move(self.gradients({"loss": loss})["loss"])

    def slope(self, *numbers: float) -> Tensor:
        """A loss whose gradient are these numbers."""
        return (self.w * vector(*numbers)).sum(-1)


def updates(method: Method, descent: Descent, state: State) -> Update:
    return Update(method, cast(Model, descent), state)


def test_ewc_adds_its_penalty_to_the_gradient_that_the_optimiser_sees() -> None:
    """3 F (w - w*) with F = (1, 4) and moves of (2, -1) is (6, -12)."""
    descent = Descent(vector(2.0, -1.0), lr=0.5)
    state = {"anchor": [vector(0.0, 0.0)[None]], "importance": [vector(1.0, 4.0)[None]]}
    updates(find("ewc")(strength=3.0), descent, state)(descent.slope(1.0, 1.0))
    assert descent.given == [[[7.0, -11.0]]]
    assert descent.w.tolist() == [-1.5, 4.5]


def test_the_anchor_starts_at_the_initial_weights_and_importance_at_0() -> None:
    params = [vector(1.0, 2.0)[None], vector(3.0)[None]]
    for key, names in (("ewc", {"anchor", "importance"}), ("si", {"anchor", "importance", "path"})):
        state = find(key)().init_state(params, 2)
        assert set(state) == names
        assert all(len(state[name]) == 2 for name in names)
        assert [t.tolist() for t in state["anchor"]] == [[[1.0, 2.0]], [[3.0]]]
        assert not any(t.requires_grad for tensors in state.values() for t in tensors)
        assert all(not t.any() for name in names - {"anchor"} for t in state[name])
        params[0].add_(1.0)
        assert state["anchor"][0].tolist() == [[1.0, 2.0]]
        params[0].sub_(1.0)


@pytest.mark.parametrize("stacked", [True, False])
def test_a_run_starts_with_its_own_weights_as_anchor(stacked: bool) -> None:
    population = Population([spec("ewc", seed=k) for k in range(2 if stacked else 1)], stacked=stacked)
    kept = [anchor.clone() for anchor in population.state.method["anchor"]]
    for anchor, weights in zip(kept, population.model.optimizer.params, strict=True):
        assert torch.equal(anchor, weights if stacked else weights[None])
    train(population, range(1))
    population = Population(population.specs, stacked=stacked)
    for anchor, other in zip(population.state.method["anchor"], kept, strict=True):
        assert torch.equal(anchor, other)


def test_si_gathers_the_path_of_two_steps_from_the_losss_own_gradient() -> None:
    """c = 1/2, lr = 1/10, w = (1, 0), w* = 0, Omega = (2, 0).

    Step 1: g = (1, 2), penalty 2 c Omega w = (2, 0), moves (-0.3, -0.2), path (0.3, 0.4).
    Step 2: g = (-1, 1), penalty (1.4, 0), moves (-0.04, -0.1), path (0.3 - 0.04, 0.5).
    End: w = (0.66, -0.3); Omega = (2 + 0.26 / (0.66^2 + 0.1), 0.5 / (0.09 + 0.1)).
    """
    descent, method = Descent(vector(1.0, 0.0), lr=0.1), find("si")(c=0.5, xi=0.1)
    state = {"anchor": [torch.zeros(1, 2).double()], "importance": [vector(2.0, 0.0)[None]],
             "path": [torch.zeros(1, 2).double()]}  # fmt: skip
    update = updates(method, descent, state)
    update(descent.slope(1.0, 2.0))
    assert state["path"][0].tolist() == [pytest.approx([0.3, 0.4])]
    update(descent.slope(-1.0, 1.0))
    assert state["path"][0].tolist() == [pytest.approx([0.26, 0.5])]
    assert descent.given == [[pytest.approx([3.0, 2.0])], [pytest.approx([0.4, 1.0])]]
    weights = descent.w.detach()
    after = method.end_task({name: [t[0] for t in tensors] for name, tensors in state.items()}, Ended([weights]).view)
    assert weights.tolist() == pytest.approx([0.66, -0.3])
    assert after["importance"][0].tolist() == pytest.approx([2 + 0.26 / 0.5356, 0.5 / 0.19])
    assert after["path"][0].tolist() == [0.0, 0.0]
    assert torch.equal(after["anchor"][0], weights)


def test_members_have_their_own_strength_and_leave_with_their_state() -> None:
    start = torch.zeros(3, 2, dtype=torch.float64)
    method = stack_settings([find("ewc")(strength=s) for s in (0.0, 1.0, 2.0)], torch.float64)
    state = method.init_state([start], 2)
    state["importance"] = [torch.ones(3, 2, dtype=torch.float64)]
    state["anchor"][0][2] = 5.0
    (grads,) = method.direction({"loss": [start]}, [start + 1], state)
    assert grads.tolist() == [[0.0, 0.0], [1.0, 1.0], [-8.0, -8.0]]
    descent = Descent(start + 1, lr=1.0, leading=(3,))
    updates(method, descent, state)(descent.slope(0.0, 0.0))
    assert descent.given == [[[0.0, 0.0], [1.0, 1.0], [-8.0, -8.0]]]
    population = Population([spec("ewc", seed=k, strength=s) for k, s in enumerate((0.0, 1.0, 2.0))], stacked=True)
    train(population, range(1))
    before = [[t.clone() for t in population.state.method[name]] for name in ("anchor", "importance")]
    population.keep([0, 2])
    after = [population.state.method[name] for name in ("anchor", "importance")]
    for old, new in zip(before, after, strict=True):
        assert all(torch.equal(mine, t[[0, 2]]) for mine, t in zip(new, old, strict=True))


@dataclass(frozen=True, kw_only=True)
class Noting(Method):
    """Has any of the hooks, and notes what it is called with."""

    key: ClassVar[str] = "noting"
    title: ClassVar[str] = "Noting"


@dataclass(frozen=True, kw_only=True)
class Directing(Noting):
    """The difference of two losses' gradients."""

    def direction(self, gradients: Gradients, weights: Sequence[Tensor], state: State) -> list[Tensor]:
        state["seen"] = {name: [g.tolist() for g in grads] for name, grads in gradients.items()}
        state["weights"] = [w.tolist() for w in weights]
        return [a - b for a, b in zip(gradients["first"], gradients["second"], strict=True)]


@dataclass(frozen=True, kw_only=True)
class Watching(Noting):
    """Looks at gradients and moves."""

    def after_step(self, gradients: Gradients, moves: Sequence[Tensor], state: State) -> None:
        state["seen"] = {name: [g.tolist() for g in grads] for name, grads in gradients.items()}
        state["moves"] = [m.tolist() for m in moves]


def test_a_direction_sees_every_loss_by_name_with_a_member_dimension() -> None:
    descent, state = Descent(vector(1.0, 2.0), lr=0.5), dict[str, Any]()
    losses = {"first": descent.slope(4.0, 0.0), "second": descent.slope(0.0, 2.0)}
    updates(Directing(), descent, state)(losses)
    assert state == {"seen": {"first": [[[4.0, 0.0]]], "second": [[[0.0, 2.0]]]}, "weights": [[[1.0, 2.0]]]}
    assert descent.given == [[[4.0, -2.0]]]
    assert descent.w.tolist() == [-1.0, 3.0]


def test_in_an_update_of_the_first_loss_alone_the_others_gradients_are_0() -> None:
    descent, state = Descent(vector(1.0, 2.0), lr=0.5), dict[str, Any]()
    losses = {"first": descent.slope(4.0, 0.0), "second": descent.slope(0.0, 2.0)}
    updates(Directing(), descent, state)(losses, alone=True)
    assert state["seen"] == {"first": [[[4.0, 0.0]]], "second": [[[0.0, 0.0]]]}
    assert descent.given == [[[4.0, 0.0]]]


def test_several_losses_without_a_direction_descend_the_first() -> None:
    descent = Descent(vector(1.0, 2.0), lr=0.5)
    updates(Noting(), descent, {})({"first": descent.slope(4.0, 0.0), "second": descent.slope(0.0, 2.0)})
    assert descent.given == [[[4.0, 0.0]]]


def test_what_comes_after_a_step_sees_gradients_and_moves() -> None:
    descent, state = Descent(vector(1.0, 2.0), lr=0.5), dict[str, Any]()
    updates(Watching(), descent, state)(descent.slope(4.0, -2.0))
    assert state == {"seen": {"loss": [[[4.0, -2.0]]]}, "moves": [[[-2.0, 1.0]]]}
    assert descent.fused == 0


def test_members_of_a_population_are_seen_apart() -> None:
    descent, state = Descent(torch.ones(2, 3, dtype=torch.float64), lr=0.5, leading=(2,)), dict[str, Any]()
    updates(Watching(), descent, state)(descent.slope(1.0, 2.0, 3.0))
    assert state["seen"] == {"loss": [[[1.0, 2.0, 3.0]] * 2]}
    assert state["moves"] == [[[-0.5, -1.0, -1.5]] * 2]


def test_a_method_without_hooks_on_gradients_descends_at_once() -> None:
    descent = Descent(vector(1.0, 2.0), lr=0.5)
    updates(find("lwf")(), descent, {})(descent.slope(4.0, 0.0))
    assert (descent.fused, descent.given) == (1, [[[4.0, 0.0]]])


def test_methods_without_a_penalty_remember_nothing_and_stay_fused() -> None:
    population = Population([spec("lwf")], stacked=True)
    assert population.state.method == {}
    assert cast(Any, population.model).fused
    assert not cast(Any, Population([spec("ewc")], stacked=True).model).fused
    assert not cast(Any, Population([spec("lwf", optimizer={"momentum": 0.5})], stacked=True).model).fused


@pytest.mark.parametrize("stacked", [True, False])
def test_anchors_are_the_weights_of_the_last_tasks_end(stacked: bool) -> None:
    specs = [spec("si", seed=k) for k in range(2 if stacked else 1)]
    population = train(Population(specs, stacked=stacked), range(2))
    for anchor, weights in zip(population.state.method["anchor"], population.model.optimizer.params, strict=True):
        assert torch.equal(anchor, weights if stacked else weights[None])
    kept = [anchor.clone() for anchor in population.state.method["anchor"]]
    train(population, range(2, 3))
    assert not any(torch.equal(a, b) for a, b in zip(population.state.method["anchor"], kept, strict=True))


def test_the_optimiser_takes_what_a_direction_gives_for_the_gradient() -> None:
    """With momentum 1/2 two directions of g make moves of g and 3/2 g."""
    population = Population([spec("ewc", optimizer={"lr": 0.1, "momentum": 0.5})], stacked=False)
    model, params = population.model, population.model.optimizer.params
    assert model.optimizer.config == OptimizerConfig(lr=0.1, momentum=0.5)
    before = [p.detach().clone() for p in params]
    for _ in range(2):
        model.move([torch.ones_like(p)[None] for p in before])
    for p, b in zip(params, before, strict=True):
        torch.testing.assert_close(p.detach(), b - 0.25)
