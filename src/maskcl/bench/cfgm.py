"""What CFGM costs against replay: time of a task and peak memory, each setting in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from maskcl.bench.step import random_scenario
from maskcl.cfgm import Cfgm
from maskcl.data import from_arrays
from maskcl.engine import Population, RunSpec, Seeds, TrainingConfig
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import find
from maskcl.networks import ConvNet, Mlp
from maskcl.optim import OptimizerConfig
from maskcl.scenario import Scenario, class_incremental

__all__ = ["bench_cfgm"]

ROUNDS = 5
SETTINGS: dict[str, tuple[Cfgm | None, int]] = {
    "mask alone": (None, 0),
    "CFGM, separate update": (Cfgm(step=2.0), 0),
    "CFGM, joint update": (Cfgm(step=2.0, update="joint"), 0),
    "CFGM, joint, 2 steps": (Cfgm(step=2.0, update="joint", num_steps=2), 0),
    "CFGM, joint, 5 steps": (Cfgm(step=2.0, update="joint", num_steps=5), 0),
    "ER, 200 slots": (None, 200),
    "ER, 500 slots": (None, 500),
    "ER, 5120 slots": (None, 5120),
}
NETWORKS = {"MLP, stack of 32": ("mlp", 32), "convnet on 3x32x32, loop": ("convnet", 1)}
LIMITS = {"CFGM, separate update": "2.5 (products: 3.5)", "CFGM, joint update": "2.5 (products: 3.0)"}
"""What is asked for, and what products with the largest layer allow: a plain step has two (forward, update); a separate
one seven (forward, update; forward and input gradient on x; frozen forward, forward and update on x_c); a joint one has
six, of the size of a plain step's, since its update takes twice the rows."""


@dataclass(frozen=True)
class Cost:
    """What one setting costs: seconds a 1000 stream rows in each round, bytes of the process at its largest."""

    seconds: list[float]
    num_bytes: int


def bench_cfgm(*, say: Callable[[str], None]) -> Table:
    """Measure every network and setting; a table of ratios to the masked step without CFGM."""
    table = Table(title="maskcl bench cfgm: batch 10, replay batch 10, one thread")
    for column in ("network", "setting", "ms / 1000 stream rows", "ratio to mask alone", "limit", "peak memory, MB"):
        table.add_column(column, justify="left" if column in ("network", "setting") else "right")
    for network in NETWORKS:
        plain: list[float] = []
        for setting in SETTINGS:
            # A process each, for its peak memory is its own; spawned, since threads of torch do not survive a fork.
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                cost = pool.apply(_measure, (network, setting))
            plain = plain or cost.seconds
            ratios = sorted(s / p for s, p in zip(cost.seconds, plain, strict=True))
            ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            time = f"{1e3 * statistics.median(cost.seconds):.1f}"
            limit = LIMITS.get(setting, "") if "stack" in network else ""
            table.add_row(network, setting, time, ratio, limit, f"{cost.num_bytes / 2**20:.0f}")
            say(f"{network}: {setting}")
    return table


def _measure(network: str, setting: str) -> Cost:
    """Train one task without and then tasks with CFGM or replay; seconds are for 1000 stream rows of a member."""
    torch.set_num_threads(1)
    (name, members), (cfgm, slots) = NETWORKS[network], SETTINGS[setting]
    tasks = random_scenario() if name == "mlp" else _images()
    specs = [
        RunSpec(
            name=f"{setting} {k}",
            scenario=tasks,
            method=find("er" if slots else "finetune")(mask=Mask(leak=0.1), cfgm=cfgm),
            network=Mlp() if name == "mlp" else ConvNet(hidden=(16, 32)),
            memory=MemoryConfig(size=slots) if slots else None,
            optimizer=OptimizerConfig(lr=0.01),
            training=TrainingConfig(batch_size=10),
            seeds=Seeds(initialisation=k, sampling=k),
        )
        for k in range(members)
    ]
    population = Population(specs, stacked=members > 1)
    population.fit_task(0)
    seconds = []
    for r in range(ROUNDS):
        before = population.timings["training"]
        population.fit_task(1 + r % (tasks.num_tasks - 1))
        rows = len(tasks.train_rows[1]) * members
        seconds.append((population.timings["training"] - before) * 1000 / rows)
    return Cost(seconds, _peak_bytes())


def _peak_bytes() -> int:
    """This process's own peak: on Linux `ru_maxrss` of a spawned process starts at its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _images() -> Scenario:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 100)
    images = rng.random((len(labels), 3, 32, 32), dtype=np.float32)
    return class_incremental(from_arrays(images, labels, images[::50], labels[::50]), num_tasks=5)
