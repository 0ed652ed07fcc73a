"""Small runs for tests of the engine: random data, few rows, a tiny network, float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from maskcl import class_incremental, from_arrays
from maskcl.engine import Population, RunSpec, Seeds, TrainingConfig
from maskcl.engine.state import named_tensors
from maskcl.memory import MemoryConfig
from maskcl.methods import find
from maskcl.networks import Mlp, Network
from maskcl.optim import OptimizerConfig
from maskcl.scenario import Scenario

torch.set_num_threads(1)  # where another process wants the cores, two threads take ten times as long as one


def scenario(num_tasks: int = 3, *, rows: int = 13, shape: tuple[int, ...] = (7,), classes: int = 6) -> Scenario:
    """`classes` clusters of `rows` rows: tasks end in a partial batch of 4 or so."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), rows)
    centres = rng.random((classes, *shape))
    inputs = (0.6 * centres[labels] + 0.4 * rng.random((len(labels), *shape))).astype(np.float32)
    data = from_arrays(inputs, labels, inputs[::3], labels[::3], input_range=(0.0, 1.0))
    return class_incremental(data, num_tasks=num_tasks)


def spec(
    method: str = "er",
    *,
    seed: int = 0,
    tasks: Scenario | None = None,
    memory: MemoryConfig | None = None,
    optimizer: dict[str, Any] | None = None,
    network: Network | None = None,
    training: dict[str, Any] | None = None,
    **options: Any,
) -> RunSpec:
    """A run of a method on the small scenario."""
    kind = find(method)
    has_memory = kind().needs.uses_memory
    if "replay_batch" in kind.__dataclass_fields__:
        options = {"replay_batch": 3} | options
    if method == "ewc":  # on few rows importance is large, and the default strength unstable
        options = {"strength": 2.0, "fisher_rows": 10} | options
    if method == "gdumb":  # its own number is for memories that are not tiny
        options = {"passes": 4} | options
    return RunSpec(
        name=f"{method} seed {seed}",
        scenario=tasks if tasks is not None else SCENARIO,
        method=kind(**options),
        network=network or Mlp(hidden=(16, 12)),  # narrower ones are half dead
        memory=memory or (MemoryConfig(size=8) if has_memory else None),
        optimizer=OptimizerConfig(**({"lr": 0.1} | (optimizer or {}))),
        training=TrainingConfig(**({"batch_size": 4, "epochs": 1, "dtype": "float64"} | (training or {}))),
        seeds=Seeds(initialisation=seed, sampling=seed),
    )


SCENARIO = scenario()


def train(population: Population, tasks: range | None = None) -> Population:
    """Train some tasks, by default all."""
    for task in tasks if tasks is not None else range(population.num_tasks):
        population.fit_task(task)
    return population


def members(population: Population) -> list[dict[str, torch.Tensor]]:
    """Each member's tensors by name, without the member dimension."""
    state = population.state
    tree = {"network": state.weights.params | state.weights.buffers, "optimizer": state.optimizer}
    found = []
    for k in range(population.num_members):
        own = {n: t.detach()[k] if population.stacked else t.detach() for n, t in named_tensors(tree)}
        found.append(own | {f"method.{n}": t[k] for n, t in named_tensors(state.method)})
    return found


def logits(population: Population, member: int) -> torch.Tensor:
    """One member's stored logits [M, C]."""
    return population.state.stored[member] if population.stacked else population.state.stored
