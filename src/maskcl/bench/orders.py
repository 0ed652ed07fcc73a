"""What a population over class orders costs beside one over seeds: members then have their own tasks and rows."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
import torch

from maskcl.bench.step import Line
from maskcl.data import from_arrays
from maskcl.engine import Population, RunSpec, Seeds, TrainingConfig
from maskcl.engine.evaluate import Data
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import find
from maskcl.optim import OptimizerConfig
from maskcl.scenario import class_incremental

__all__ = ["bench_orders"]

MEMBERS, ROUNDS = 20, 5
ROWS = (1480, 1685, 1490, 1533, 1461, 1355, 1480, 1566, 1463, 1487)
"""Rows of each class: a quarter of MNIST's, as unequal as those."""


def bench_orders(*, say: Callable[[str], None]) -> list[Line]:
    """Train 20 members on one class order and on 20, in turn; the ratio is of rows a second."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), ROWS)
    images = rng.random((len(labels), 784), dtype=np.float32)
    dataset = from_arrays(images, labels, images[::50], labels[::50])
    fixed = class_incremental(dataset, num_tasks=5)
    scenarios = {
        "20 seeds": [fixed] * MEMBERS,
        "20 class orders": [class_incremental(dataset, num_tasks=5, seed=k) for k in range(MEMBERS)],
    }
    seconds: dict[str, list[float]] = {name: [] for name in scenarios}
    data: Data | None = None
    for r in range(ROUNDS):
        for name, each in scenarios.items():
            specs = [
                RunSpec(
                    name=f"{name} {k}", scenario=scenario, method=find("er")(mask=Mask(leak=0.1)),
                    memory=MemoryConfig(size=200), optimizer=OptimizerConfig(lr=0.01),
                    training=TrainingConfig(batch_size=10), seeds=Seeds(initialisation=k, sampling=k),
                )
                for k, scenario in enumerate(each)
            ]  # fmt: skip
            data = data or Data(specs[0])
            population = Population(specs, stacked=True, data=data)
            for task in range(5):
                population.fit_task(task)
            seconds[name].append(population.timings["training"] + population.timings["planning"])
        say(f"orders: round {r + 1} of {ROUNDS}")
    base = seconds["20 seeds"]
    lines = []
    for name, own in seconds.items():
        ratios = sorted(mine / other for mine, other in zip(own, base, strict=True))
        aim = "1.2 or less" if name != "20 seeds" else ""
        middle = statistics.median(ratios)
        lines.append(Line(name, len(labels) * MEMBERS / statistics.median(own), middle, (ratios[0], ratios[-1]), aim))
    return lines
