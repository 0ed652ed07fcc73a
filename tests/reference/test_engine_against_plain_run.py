"""The engine's loop executor against a run written row by row; that the stack equals the loop is tests/contract."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from engine.small import logits, scenario, spec, train
from reference.plain_run import METHODS, PlainRun

from maskcl import class_incremental
from maskcl.engine import Population, RunSpec
from maskcl.errors import MaskclWarning
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.networks import Mlp


def assert_plain(one: RunSpec) -> None:
    """Weights, memory and stored logits after all tasks are those of the plain run."""
    plain, ours = PlainRun(one).train(), train(Population([one], stacked=False))
    assert len(ours.model.optimizer.params) > 0
    for mine, theirs in zip(ours.model.optimizer.params, plain.network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-9)
    if ours.state.memories[0] is not None:
        assert ours.state.memories[0].rows.tolist() == plain.slots.rows
        np.testing.assert_array_equal(ours.state.memories[0].rows, plain.state.rows)
    if ours.needs.stores_logits:
        torch.testing.assert_close(logits(ours, 0), plain.logits, rtol=0, atol=1e-9)


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 0.1},
    "momentum": {"lr": 0.02, "momentum": 0.9, "weight_decay": 1e-2, "clip_norm": 0.5},
    "adam": {"name": "adam", "lr": 3e-3},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("key", METHODS)
def test_every_method_and_optimizer(key: str, optimizer: str) -> None:
    assert_plain(spec(key, optimizer=OPTIMIZERS[optimizer]))


MASKS: list[dict[str, Any]] = [
    {"value": -math.inf},
    {"value": -2.0},
    {"mass": 1.0},
    {"leak": 0.1},
    {"leak": 0.3, "old_scale": 0.5, "new_scale": 2.0},
    {"value": -2.0, "policy": "batch"},
    {"leak": 0.2, "policy": "recent", "recent_rows": 9},
    {"leak": 0.2, "policy": "recent", "recent_rows": 40},
    {"value": -1.0, "from_task": 1},
    {"leak": 0.2, "visible": "seen"},
    {"mass": 0.5, "visible": "seen", "policy": "batch"},
    {"leak": 0.2, "visible": "seen", "memory_rows": "own-task"},
    {"value": -2.0, "visible": "seen", "from_task": 1},
    {"value": -2.0, "policy": "batch", "keep_future": True},
    {"value": -2.0, "memory_rows": "own-task"},
]


@pytest.mark.parametrize("settings", MASKS, ids=str)
@pytest.mark.parametrize("key", ["er", "derpp"])
def test_every_mask(key: str, settings: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MaskclWarning)
        mask = Mask(**settings)
    assert_plain(spec(key, mask=mask, seed=1))


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("er", {"reduction": "sum", "replay_batch": 7}),
    ("er", {"replay_from_task": 2}),
    ("er_ace", {"replay_from_task": 0}),
    ("der", {"store": "after", "alpha": 1.0}),
    ("derpp", {"store": "after", "alpha": 0.2, "beta": 1.0, "replay_from_task": 1}),
    ("lwf", {"alpha": 3.0, "temperature": 1.0}),
    ("ewc", {"strength": 5.0, "gamma": 0.5, "fisher_rows": 7}),
    ("si", {"c": 2.0, "xi": 0.1}),
    ("joint", {"mask": Mask(leak=0.3, policy="batch")}),
]


@pytest.mark.parametrize(("key", "options"), OPTIONS, ids=[f"{key} {list(options)}" for key, options in OPTIONS])
def test_options_of_methods(key: str, options: dict[str, Any]) -> None:
    assert_plain(spec(key, seed=2, **options))


@pytest.mark.parametrize("policy", ["reservoir", "ring", "class_balanced"])
def test_memory_policies_epochs_and_partial_batches(policy: str) -> None:
    training = {"epochs": 2, "batch_size": 7}
    assert_plain(spec("derpp", seed=3, memory=MemoryConfig(size=12, policy=policy), training=training))


def test_unequal_tasks_in_another_order_with_more_memory_than_rows() -> None:
    unequal = class_incremental(scenario().dataset, tasks=[[4], [0, 5, 1], [2, 3]])
    network = Mlp(hidden=(6,), classifier="cosine")
    assert_plain(spec("derpp", tasks=unequal, network=network, memory=MemoryConfig(size=300), mask=Mask(leak=0.1)))
