"""Small runs for the contract: a scenario of some seconds, and what two runs have to agree in."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskcl.data import from_arrays
from maskcl.engine import Population, RunSpec, Seeds, TrainingConfig
from maskcl.engine.evaluate import Evaluation
from maskcl.engine.state import named_tensors
from maskcl.errors import MaskclWarning
from maskcl.memory import MemoryConfig
from maskcl.methods import Method
from maskcl.networks import Mlp, Network
from maskcl.optim import OptimizerConfig
from maskcl.scenario import Scenario, class_incremental
from maskcl.settings import is_dial

__all__ = ["SIZE", "Trial", "assert_same", "difference", "evaluations", "scenario", "tensors", "train"]

SIZE = 12
"""Slots of the memory."""


@cache
def scenario(shape: tuple[int, ...] = (7,), order: tuple[int, ...] | None = None) -> Scenario:
    """Six clusters in three tasks; classes have 11 to 15 rows, so that tasks end in partial batches of 4."""
    rng = np.random.default_rng(0)
    counts = (13, 13, 11, 15, 14, 12)
    labels = np.repeat(np.arange(6), counts)
    centres = rng.random((6, *shape))
    inputs = (0.6 * centres[labels] + 0.4 * rng.random((len(labels), *shape))).astype(np.float32)
    data = from_arrays(inputs, labels, inputs[::3], labels[::3], input_range=(0.0, 1.0))
    return class_incremental(data, num_tasks=3) if order is None else _ordered(shape, order)


@cache
def _ordered(shape: tuple[int, ...], order: tuple[int, ...]) -> Scenario:
    return class_incremental(scenario(shape).dataset, num_tasks=3, class_order=order)


@dataclass(frozen=True)
class Trial:
    """A method on the small scenario."""

    method: type[Method]
    options: dict[str, Any]

    @property
    def needs(self) -> Any:
        """What the method needs, with these options."""
        return self.spec().method.needs

    def spec(
        self,
        seed: int = 0,
        *,
        kind: type[Method] | None = None,
        tasks: Scenario | None = None,
        network: Network | None = None,
        optimizer: dict[str, Any] | None = None,
        training: dict[str, Any] | None = None,
        size: int = SIZE,
        **changes: Any,
    ) -> RunSpec:
        """One run; `kind` in place of the method, other settings in place of the trial's."""
        fields = {field.name for field in dataclasses.fields(self.method)}
        options = ({"replay_batch": 3} if "replay_batch" in fields else {}) | self.options | changes
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MaskclWarning)
            method = (kind or self.method)(**options)
        rates: dict[str, Any] = {"lr": 0.1} | (optimizer or {})
        steps: dict[str, Any] = {"batch_size": 4, "epochs": 1, "dtype": "float64"} | (training or {})
        return RunSpec(
            name=f"{method.key} seed {seed}",
            scenario=scenario() if tasks is None else tasks,
            method=method,
            network=network or Mlp(hidden=(16, 12)),
            memory=MemoryConfig(size=size) if method.needs.uses_memory else None,
            optimizer=OptimizerConfig(**rates),
            training=TrainingConfig(**steps),
            seeds=Seeds(initialisation=seed, sampling=seed),
        )

    def specs(self, count: int = 3, **changes: Any) -> list[RunSpec]:
        """Runs that differ in seeds and in every dial of the method."""
        found = []
        for k in range(count):
            dials = {}
            for field in dataclasses.fields(self.method):
                value = changes.get(field.name, self.options.get(field.name, field.default))
                if is_dial(field) and isinstance(value, (int, float)):
                    dials[field.name] = value * (1 - 0.1 * k)
            found.append(self.spec(k, **changes | dials))
        return found


def train(specs: Sequence[RunSpec], *, stacked: bool, tasks: Sequence[int] = (0, 1, 2)) -> Population:
    """Train some tasks."""
    population = Population(specs, stacked=stacked)
    for task in tasks:
        population.fit_task(task)
    return population


def tensors(population: Population, member: int) -> dict[str, Tensor]:
    """Everything that training changes of one member, by name."""
    state = population.state
    found = {}
    parts = {"network": state.weights, "optimizer": state.optimizer, "stored": state.stored, "frozen": state.frozen}
    for name, tensor in named_tensors(parts):
        found[name] = tensor.detach()[member] if population.stacked else tensor.detach()
    for name, tensor in named_tensors(state.method):
        found[f"method.{name}"] = tensor[member]
    memory = state.memories[member]
    if memory is not None:
        found["memory.rows"] = torch.from_numpy(memory.rows)
    return found


def difference(first: Population, second: Population, members: tuple[int, int] = (0, 0)) -> dict[str, float]:
    """Largest difference of each tensor of two members; those that only one has, or of other shapes, are infinite."""
    mine, other = tensors(first, members[0]), tensors(second, members[1])
    found = {}
    for name in mine | other:
        both = name in mine and name in other and mine[name].shape == other[name].shape
        if both and mine[name].numel():
            found[name] = float((mine[name].double() - other[name].double()).abs().max())
        else:
            found[name] = 0.0 if both else float("inf")
    return found


def assert_same(
    first: Population, second: Population, members: tuple[int, int] = (0, 0), *, atol: float, what: str
) -> None:
    """Two members agree in everything that training changes, and in their predictions."""
    for name, far in difference(first, second, members).items():
        assert far <= atol, f"{what}: {name} must agree to {atol:g}, and differs by {far:g}"
    mine, other = evaluations(first)[members[0]], evaluations(second)[members[1]]
    far = float(np.abs(mine.confidence - other.confidence).max())
    assert far <= max(atol, 1e-9), f"{what}: scores must agree to {atol:g}, and differ by {far:g}"
    same = (mine.class_incremental == other.class_incremental).all()
    assert same, f"{what}: predictions must agree, and do not"


def evaluations(population: Population) -> list[Evaluation]:
    """Every member, judged as after the last task."""
    return population.evaluate(population.num_tasks - 1)
