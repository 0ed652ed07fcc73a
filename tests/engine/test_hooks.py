"""What a method's hooks are handed is theirs to change only where the protocol says so; found in review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from engine.small import spec, train
from torch import Tensor

from maskcl.engine import Population, RunSpec
from maskcl.methods import Method, Outputs, State, Step, View


def run_of(kind: type[Method], **settings: Any) -> RunSpec:
    """Fine-tuning's run with another method."""
    return RunSpec(**vars(spec("finetune", **settings)) | {"method": kind()})


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
