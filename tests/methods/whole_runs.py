"""Whole small runs: stacked against one by one, and as they were planned, to write them anew in plain PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from engine.small import logits, members, train
from torch import Tensor, nn

from maskcl.engine import Population, RunSpec
from maskcl.methods import Outputs, View
from maskcl.networks import build_network


def assert_stack_is_loop(specs: Sequence[RunSpec]) -> Population:
    """After each task: weights, optimiser, method state, memory ids, stored logits and predictions; the stack."""
    stacked = Population(list(specs), stacked=True)
    alone = [Population([one], stacked=False) for one in specs]
    for task in range(stacked.num_tasks):
        train(stacked, range(task, task + 1))
        found = stacked.evaluate(task)
        for k, (one, population) in enumerate(zip(specs, alone, strict=True)):
            train(population, range(task, task + 1))
            theirs, mine = members(population)[0], members(stacked)[k]
            assert set(mine) == set(theirs)
            for name, tensor in theirs.items():
                text = f"{one.name}, task {task}: {name}"
                torch.testing.assert_close(mine[name], tensor, rtol=0, atol=1e-8, msg=text)
            if one.memory is not None:
                rows = [population.state.memories[j].rows for population, j in ((stacked, k), (population, 0))]  # type: ignore[union-attr]
                np.testing.assert_array_equal(*rows)
            torch.testing.assert_close(logits(stacked, k), logits(population, 0), rtol=0, atol=1e-8)
            torch.testing.assert_close(scores(stacked, k, task), scores(population, 0, task), rtol=0, atol=1e-8)
            (expected,) = population.evaluate(task)
            for name in ("class_incremental", "task_incremental", "confidence"):
                np.testing.assert_allclose(getattr(found[k], name), getattr(expected, name), atol=1e-8, err_msg=name)
    return stacked


@torch.no_grad()
def scores(population: Population, member: int, task: int) -> Tensor:
    """What one member predicts by, on all training rows, [N, C]."""
    method, view = population.specs[member].method, population.view(member, task)
    rows = np.arange(len(population.data.labels))
    state = method.before_evaluation(population.own_state(member), view)
    return method.predict(view.outputs(rows), state)


@dataclass
class Planned:
    """One step of a run as it was planned: the factor of the learning rate, row ids of the stream and of each draw."""

    rate: float
    stream: np.ndarray
    drawn: list[np.ndarray]


@dataclass
class Recorded:
    """One run with all its steps, task by task, and what it held when each task had ended."""

    spec: RunSpec
    population: Population
    steps: list[list[Planned]] = field(default_factory=list)
    memories: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        data = self.spec.scenario.dataset
        self.inputs, self.labels = torch.from_numpy(data.train_inputs).double(), torch.from_numpy(data.train_labels)

    @property
    def weights(self) -> list[Tensor]:
        """The network's weights at the end, the head's after the others."""
        return [p.detach() for p in self.population.model.weights.params.values()]

    def network(self) -> nn.Sequential:
        """The network with its initial weights."""
        data, seed = self.spec.scenario.dataset, self.spec.seeds.initialisation
        network = build_network(
            self.spec.network, data.train_inputs.shape[1:], self.spec.scenario.num_classes, seed=seed
        )
        return cast(nn.Sequential, network.double())


def record(spec: RunSpec) -> Recorded:
    """Train a run by itself and note its plans."""
    population = Population([spec], stacked=False)
    found, plan = Recorded(spec, population), population.plan

    def noting(*args: Any, **kwargs: Any) -> Any:
        planned = plan(*args, **kwargs)
        found.steps[-1] += _steps(planned.members[0])
        return planned

    population.plan = noting  # type: ignore[method-assign]
    for task in range(population.num_tasks):
        found.steps.append([])
        population.fit_task(task)
        memory = population.state.memories[0]
        assert memory is not None
        found.memories.append(memory.rows[memory.rows >= 0])
    return found


def _steps(member: Any) -> Iterator[Planned]:
    for s in range(member.num_steps):
        stream = member.order[member.offsets[s] : member.offsets[s + 1]]
        rate = 1.0 if member.rates is None else float(member.rates[s])
        yield Planned(rate, stream, [rows[s] for rows in member.draw_rows] if s >= member.first_replay else [])


@dataclass
class Shown:
    """A view made up: features, logits and labels of every row there is."""

    features: Tensor
    logits: Tensor
    classes: Tensor
    memory_rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    held_out_rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    tasks: tuple[tuple[int, ...], ...] = ((0, 1),)

    @property
    def task(self) -> int:
        return len(self.tasks) - 1

    def labels(self, rows: np.ndarray) -> Tensor:
        return self.classes[torch.from_numpy(rows)]

    def outputs(self, rows: np.ndarray) -> Outputs:
        which = torch.from_numpy(rows)
        return Outputs(self.logits[which], self.features[which])

    @property
    def view(self) -> View:
        return cast(View, self)
