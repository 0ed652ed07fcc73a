"""A learner that is told the classes beforehand ends with the weights of a run, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from maskcl import Learner, class_incremental, from_arrays
from maskcl.engine import run_population
from maskcl.engine.spec import RunSpec, Seeds

torch.set_num_threads(1)  # as `run_population` does: sums of several threads have other last bits

CLASSES, TASKS, SLOTS = 6, 3, 24


def data(shape: tuple[int, ...] = (12,)) -> Any:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(CLASSES), 17))
    inputs = rng.random((len(labels), *shape), np.float32)
    inputs.reshape(len(labels), -1)[np.arange(len(labels)), labels] += 1
    if len(shape) == 3:
        return from_arrays((inputs * 100).astype(np.uint8), labels, (inputs * 100).astype(np.uint8), labels)
    return from_arrays(inputs, labels, inputs, labels)


SETTINGS: dict[str, dict[str, Any]] = {
    "finetune": {"method": "finetune", "memory": 0},
    "er": {"method": {"name": "er", "replay_batch": 7}, "mask": {"leak": 0.1}},
    "er recent": {"method": "er", "mask": {"value": 0.0, "policy": "recent", "recent_rows": 9}},
    "er auto": {"method": "er", "mask": {"leak": "auto"}},
    "derpp auto": {"method": "derpp", "mask": {"leak": "auto", "count": "visits", "memory_rows": "plain"}},
    "er auto recent": {"method": "er", "mask": {"leak": "auto", "policy": "recent", "recent_rows": 25}},
    "er_ace": {"method": "er_ace"},
    "der": {"method": {"name": "der", "store": "after"}},
    "derpp": {
        "method": "derpp",
        "mask": {"value": -float("inf")},
        "memory": {"size": SLOTS, "policy": "class_balanced"},
    },
    "ring": {"method": "er", "memory": {"size": SLOTS, "policy": "ring"}},
    "mir": {"method": {"name": "mir", "replay_batch": 4, "candidates": 9}},
    "agem": {"method": "agem"},
    "icarl": {"method": "icarl"},
    "gdumb": {"method": {"name": "gdumb", "passes": 3}},
    "scr": {"method": "scr"},
    "ewc": {"method": "ewc", "memory": 0},
    "si": {"method": "si", "memory": 0, "optimizer": {"lr": 0.03, "momentum": 0.5}},
    "lwf": {"method": "lwf", "memory": 0},
    "zero memory": {
        "method": "finetune",
        "memory": 0,
        "mask": {"leak": 0.1},
        "cfgm": {"step": 0.1},
        "input_range": (0.0, 2.0),
    },
    "adam": {"method": "er", "optimizer": {"name": "adam", "lr": 0.01}, "training": {"label_smoothing": 0.1}},
    "float64": {"method": "er", "training": {"dtype": "float64", "schedule": {"name": "cosine"}}},
}
IMAGES: dict[str, dict[str, Any]] = {
    "augmented": {"method": "derpp", "training": {"augment": {"crop": 1, "flip": True}}},
    "batch norm": {"method": "er", "network": {"name": "resnet18", "width": 4}},
}


def both(settings: dict[str, Any], dataset: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights of a run, and of a learner that got the same rows task by task."""
    given = {"network": {"name": "mlp", "hidden": [9]}, "memory": SLOTS, "batch_size": 5, "seed": 3} | settings
    epochs = 1 if "gdumb" in str(settings) else 2
    learner = Learner(**given, classes=range(CLASSES))
    config = learner._settings()
    scenario = class_incremental(dataset, num_tasks=TASKS)
    training = config.training
    spec = RunSpec(
        name="run", scenario=scenario, method=config.method, network=config.network, memory=config.memory,
        optimizer=config.optimizer, seeds=Seeds(initialisation=3, sampling=3),
        training=type(training)(**vars(training) | {"epochs": epochs, "save_weights": True}),
    )  # fmt: skip
    if "input_range" in settings:
        object.__setattr__(dataset, "input_range", settings["input_range"])
    (outcome,) = run_population([spec], executor="loop", threads=1)
    assert outcome.network is not None
    for rows in scenario.train_rows:
        learner.fit(dataset.train_inputs[rows], dataset.train_labels[rows], epochs=epochs)
    return outcome.network.state_dict(), learner.network_.state_dict()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_learner_ends_with_the_weights_of_a_run(name: str) -> None:
    run, learnt = both(SETTINGS[name], data())
    assert run.keys() == learnt.keys()
    for key in run:
        assert torch.equal(run[key], learnt[key]), key


@pytest.mark.parametrize("name", IMAGES)
def test_a_learner_of_images_ends_with_the_weights_of_a_run(name: str) -> None:
    run, learnt = both(IMAGES[name], data((3, 8, 8)))
    for key in run:
        assert torch.equal(run[key], learnt[key]), key
