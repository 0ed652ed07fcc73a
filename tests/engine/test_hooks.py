"""What a method's hooks are handed is theirs to change only where the protocol says so; found in review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from engine.small import spec, train
from torch import Tensor

from maskcl.cfgm import Cfgm
from maskcl.engine import Population, RunSpec
from maskcl.memory import MemoryConfig
from maskcl.methods import Draw, Gradients, Method, Needs, Outputs, State, Step, View


def run_of(kind: type[Method], *, size: int = 0, training: dict[str, Any] | None = None, **options: Any) -> RunSpec:
    """Fine-tuning's run with another method, and a memory if it has a size."""
    memory = MemoryConfig(size=size) if size else None
    return RunSpec(**vars(spec("finetune", training=training)) | {"method": kind(**options), "memory": memory})


@dataclass(frozen=True, kw_only=True)
class Scaling(Method):
    """Its state weighs the loss, and is set to 0 for evaluations."""

    key: ClassVar[str] = "scaling"
    title: ClassVar[str] = "Scaling"

    def init_state(self, weights: Sequence[Tensor], num_classes: int) -> State:
        return {"weight": weights[0].new_ones(len(weights[0])), "list": [weights[0].new_ones(len(weights[0]))]}

    def loss(self, step: Step) -> Tensor:
        return step.state["weight"] * step.state["list"][0] * self.losses(step).mean(-1)

    def before_evaluation(self, state: State, view: View) -> State:
        state["weight"].zero_()
        state["list"][0].zero_()
        return state

    def predict(self, outputs: Outputs, state: State) -> Tensor:
        return outputs.logits * state["weight"]


@pytest.mark.parametrize("stacked", [True, False])
def test_what_is_changed_in_place_before_an_evaluation_is_for_that_evaluation_alone(stacked: bool) -> None:
    population = Population([run_of(Scaling)] * (1 + stacked), stacked=stacked)
    (found, *_) = population.evaluate(0)
    assert found.confidence.tolist() == pytest.approx([1 / 6] * 3)  # the weight is 0 in here
    assert population.state.method["weight"].tolist() == [1.0] * (1 + stacked)
    assert population.state.method["list"][0].tolist() == [1.0] * (1 + stacked)
    train(population, range(1))
    often = Population([run_of(Scaling, training={"evaluate_every": 1})] * (1 + stacked), stacked=stacked)
    often.fit_task(0, on_evaluation=lambda *_: None)
    for mine, other in zip(population.model.weights.params.values(), often.model.weights.params.values(), strict=True):
        assert torch.equal(mine, other)


@dataclass(frozen=True, kw_only=True)
class Summed(Method):
    """The sum of two losses."""

    key: ClassVar[str] = "summed"
    title: ClassVar[str] = "Summed"

    @property
    def needs(self) -> Needs:
        return Needs(draws=(Draw(3),))

    def loss(self, step: Step) -> Tensor | dict[str, Tensor]:
        stream, *memory = step.split(self.losses(step))
        return stream.mean(-1) + sum(rows.mean(-1) for rows in memory)


@dataclass(frozen=True, kw_only=True)
class Combined(Summed):
    """The same, in the gradients: both are there in every step."""

    key: ClassVar[str] = "combined"

    def loss(self, step: Step) -> dict[str, Tensor]:
        stream, *memory = step.split(self.losses(step))
        return {"stream": stream.mean(-1), "memory": (memory[0] if memory else 0 * stream).mean(-1)}

    def direction(self, gradients: Gradients, weights: Sequence[Tensor], state: State) -> list[Tensor]:
        return [g + r for g, r in zip(gradients["stream"], gradients["memory"], strict=True)]


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("update", ["joint", "separate"])
def test_gradients_are_combined_with_cfgm_as_the_losses_would_be(update: str, stacked: bool) -> None:
    plain, combined = (
        train(Population([run_of(kind, size=8, cfgm=Cfgm(step=1.0, update=update))] * (1 + stacked), stacked=stacked))
        for kind in (Summed, Combined)
    )
    for name, mine in combined.model.weights.params.items():
        torch.testing.assert_close(mine, plain.model.weights.params[name], rtol=0, atol=1e-9)


@dataclass(frozen=True, kw_only=True)
class Means(Method):
    """Predicts by class means of features, whose number it does not know at the start."""

    key: ClassVar[str] = "means"
    title: ClassVar[str] = "Means"

    def init_state(self, weights: Sequence[Tensor], num_classes: int) -> State:
        return {"means": weights[0].new_zeros(len(weights[0]), num_classes, 0)}

    def loss(self, step: Step) -> Tensor:
        return self.losses(step).mean(-1)

    def end_task(self, state: State, view: View) -> State:
        outputs, labels = view.outputs(view.task_rows), view.labels(view.task_rows)
        assert outputs.features is not None
        means = state["means"]
        if means.shape[-1] == 0:
            means = outputs.features.new_full((len(means), outputs.features.shape[-1]), 1e3)
        for c in view.tasks[-1]:
            means[c] = outputs.features[labels == c].mean(0)
        return {"means": means}

    def predict(self, outputs: Outputs, state: State) -> Tensor:
        if state["means"].shape[-1] == 0 or outputs.features is None:
            return outputs.logits
        return -torch.cdist(outputs.features, state["means"])


@pytest.mark.parametrize("stacked", [True, False])
def test_a_size_that_is_not_known_at_the_start_is_0_there(stacked: bool) -> None:
    population = Population([run_of(Means)] * (1 + stacked), stacked=stacked)
    assert population.state.method["means"].shape == (1 + stacked, 6, 0)
    (before, *_) = population.evaluate(0)
    assert before.confidence[0] < 0.5
    train(population, range(2))
    assert population.state.method["means"].shape == (1 + stacked, 6, 12)
    (after, *_) = population.evaluate(1)
    assert after.class_incremental[1] > 0.8  # two clusters that lie near each other
    resumed = Population(population.specs, stacked=stacked)
    resumed.load_state(population.state)
    assert resumed.evaluate(1)[0].confidence.tolist() == after.confidence.tolist()
