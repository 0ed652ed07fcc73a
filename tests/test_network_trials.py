"""Networks with a forward of their own: tried in training, and with a member dimension, before anything runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskcl.errors import ConfigError
from maskcl.experiment import plan, run
from maskcl.networks import build_network, from_factory, sketch_network

SMALL: dict[str, Any] = {
    "seeds": 2,
    "scenario": {"tasks": [[0, 1], [2, 3]]},
    "training": {"batch_size": 32, "dtype": "float64"},
    "optimizer": {"lr": 0.2},
    "method": "finetune",
}


class Own(nn.Module):
    """A forward of one's own."""

    def __init__(self, num_classes: int, width: int = 6) -> None:
        super().__init__()
        self.body, self.out = nn.Linear(64, width), nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Any:
        return self.out(self.body(x.flatten(1)).relu())


class Branching(Own):
    """Looks at values."""

    def forward(self, x: Tensor) -> Any:
        features = self.body(x.flatten(1)).relu()
        return self.out(features if features.sum() > 0 else -features)


class Asking(Own):
    """Asks for a value."""

    def forward(self, x: Tensor) -> Any:
        features = self.body(x.flatten(1)).relu()
        return self.out(features / max(1.0, features.detach().max().item()))


class Pair(Own):
    """Gives logits and something else in training."""

    def forward(self, x: Tensor) -> Any:
        features = self.body(x.flatten(1)).relu()
        return (self.out(features), features) if self.training else self.out(features)


class Raising(Own):
    """Cannot be trained."""

    def forward(self, x: Tensor) -> Any:
        if self.training:
            raise KeyError("aux")
        return super().forward(x)


def made(kind: type[Own], **options: Any) -> Any:
    return lambda shape, num_classes: kind(num_classes, **options)


def accuracies(results: Any) -> np.ndarray:
    return np.array([result["class_incremental"] for result in results.runs], dtype=float)


@pytest.mark.parametrize("kind", [Branching, Asking])
def test_a_network_that_cannot_be_stacked_is_looped_by_auto_which_says_why(kind: type[Own]) -> None:
    auto, loop = (run(SMALL, network=made(kind), executor=executor) for executor in ("auto", "loop"))
    for result in auto.runs:
        assert result["executor"]["name"] == "loop"
        assert result["executor"]["reason"].startswith("the network cannot be stacked (RuntimeError: vmap: ")
        assert "\n" not in result["executor"]["reason"]
    np.testing.assert_array_equal(accuracies(auto), accuracies(loop))
    assert accuracies(loop)[:, 0, 0].max() > 0.9


@pytest.mark.parametrize("kind", [Branching, Asking])
def test_where_a_stack_was_asked_for_it_is_refused_in_one_sentence(kind: type[Own]) -> None:
    with pytest.raises(ConfigError, match=r"^executor: must be 'loop' with this network, which cannot be stacked") as e:
        run(SMALL, network=made(kind), executor="stack")
    sentence, hint = str(e.value).splitlines()
    assert sentence.endswith("got 'stack'.")
    assert hint == 'hint: executor = "loop" trains networks one by one'


def test_networks_that_can_be_stacked_still_are() -> None:
    (result, *_) = run(SMALL, network=made(Own)).runs
    assert result["executor"]["name"] == "stack"
    assert result["executor"]["reason"] == "networks without convolutions are stacked"


@pytest.mark.parametrize("kind", [Branching, Asking])
def test_importance_of_weights_is_found_row_by_row_where_rows_cannot_be_batched(kind: type[Own]) -> None:
    method = {"name": "ewc", "strength": 1.0, "fisher_rows": 20}
    found = run(SMALL | {"method": method, "seeds": 1}, network=made(kind))
    assert np.isfinite(accuracies(found)[0, 1]).all()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Pair, r"must give logits \[2, 10\] in training as in evaluation, got 'tuple'\.$"),
        (Raising, r"must give logits \[2, 10\] in training as in evaluation, and raised KeyError: 'aux'\.$"),
    ],
)
@pytest.mark.parametrize("executor", ["loop", "stack", "auto"])
def test_a_network_that_cannot_be_trained_is_refused_in_one_sentence(kind: type[Own], text: str, executor: str) -> None:
    with pytest.raises(ConfigError, match="^experiment: network: " + text):
        run(SMALL, network=made(kind), executor=executor)
    with pytest.raises(ConfigError, match="^experiment: network: " + text):
        plan(SMALL, network=made(kind))


def test_a_large_network_is_tried_in_training_too() -> None:
    with pytest.raises(ConfigError, match="in training as in evaluation, got 'tuple'"):
        sketch_network(from_factory(made(Pair, width=300_000)), (1, 8, 8), 10)


def test_a_trial_leaves_statistics_and_random_state_as_they_were() -> None:
    def normed(shape: Any, num_classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6), nn.Linear(6, num_classes))

    torch.manual_seed(1)
    before = torch.get_rng_state()
    module = build_network(from_factory(normed), (1, 8, 8), 10, seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(module[2].running_mean, torch.zeros(6))
    assert module[2].num_batches_tracked == 0
