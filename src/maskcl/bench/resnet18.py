"""What a step of ResNet-18 costs beside a bare PyTorch loop on ready tensors, and what its time goes into.

Images are random, 8-bit, 3 x 32 x 32, cropped, flipped and normalised as CIFAR-10 is; the bare loop has them ready as
floats, and does forward, loss, backward and `torch.optim.SGD`. Needs idle cores to mean anything.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.table import Table

from maskcl.augment import Augment
from maskcl.data import from_arrays
from maskcl.engine import Population, RunSpec, TrainingConfig
from maskcl.engine.build import channels_last
from maskcl.engine.precision import gradient
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import find
from maskcl.networks import ResNet18, build_network
from maskcl.optim import OptimizerConfig
from maskcl.scenario import class_incremental

__all__ = ["PARTS", "Cost", "bare_steps", "bench_resnet18", "image_run", "measure"]

SIZES = ((20, 10), (20, 32), (64, 10), (64, 32))
"""Width of the network, and stream rows a step, with as many from the memory."""
NUM_TASKS, STEPS = 5, 8
PARTS = ("gather", "augmentation", "memory", "forward", "backward", "optimiser")


@dataclass
class Cost:
    """Seconds a step.

    Attributes:
        bare: Of the bare loop, beside each replaying task.
        ours: Of each replaying task.
        parts: What each part takes by itself.
    """

    bare: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)


def bench_resnet18(*, threads: int, say: Callable[[str], None]) -> Table:
    """Measure every size; a table of ratios, and of shares of a step, one column a size."""
    table = Table(
        title=f"maskcl bench resnet18: ER, one run, {threads} threads",
        caption="limits in brackets; parts in % of a step, each timed by itself",
    )
    names = ["images / s", "bare loop = 1 (0.95)", "of four pairs", "last / first (0.95 to 1.05)"]
    names += [f"{part}, %" + (" (3)" if part == "augmentation" else "") for part in PARTS]
    torch.set_num_threads(threads)
    table.add_column("width, rows")
    columns = []
    for width, batch in SIZES:
        cost = measure(image_run(width, batch))
        ratios = sorted(b / o for b, o in zip(cost.bare, cost.ours, strict=True))
        step = statistics.median(cost.ours)
        table.add_column(f"{width}, {batch} + {batch}", justify="right")
        columns.append([
            f"{2 * batch / step:,.1f}", f"{statistics.median(ratios):.2f}", f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
            f"{cost.ours[-1] / cost.ours[0]:.2f}", *(f"{100 * cost.parts[part] / step:.1f}" for part in PARTS),
        ])  # fmt: skip
        say(f"resnet18: width {width}, {batch} + {batch} rows")
    for row in zip(names, *columns, strict=True):
        table.add_row(*row)
    return table


def image_run(width: int, batch: int, **training: object) -> RunSpec:
    """ER on random pictures, with full batches alone."""
    rng, rows = np.random.default_rng(0), batch * STEPS // 2
    labels = np.repeat(np.arange(2 * NUM_TASKS), rows)
    images = rng.integers(0, 256, (len(labels), 3, 32, 32), np.uint8)
    options: dict[str, Any] = {"replay_batch": batch}
    augment = Augment(crop=4, flip=True, normalise=((0.49, 0.48, 0.45), (0.25, 0.24, 0.26)))
    return RunSpec(
        name=f"resnet18 {width}",
        scenario=class_incremental(from_arrays(images, labels, images[::rows], labels[::rows]), num_tasks=NUM_TASKS),
        method=find("er")(mask=Mask(leak=0.1), **options),
        network=ResNet18(width=width),
        memory=MemoryConfig(size=200),
        optimizer=OptimizerConfig(lr=0.01),
        training=TrainingConfig(batch_size=batch, augment=augment, **training),  # type: ignore[arg-type]
    )


def bare_steps(spec: RunSpec, device: torch.device, num_steps: int) -> Callable[[], None]:
    """The same arithmetic in plain PyTorch on ready tensors, with the same device, type and layout."""
    network = build_network(spec.network, (3, 32, 32), 10, seed=0).to(device)
    network = channels_last(network) if spec.training.channels_last else network
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    rows = 2 * spec.training.batch_size
    inputs = torch.rand(num_steps, rows, 3, 32, 32, device=device)
    labels = torch.randint(10, (num_steps, rows), device=device)
    short = getattr(torch, spec.training.precision)

    def run() -> None:
        for x, y in zip(inputs, labels, strict=True):
            optimizer.zero_grad()
            with torch.autocast(device.type, dtype=short, enabled=short != torch.float32):
                loss = F.cross_entropy(network(x), y)
            loss.backward()
            optimizer.step()

    return run


def measure(spec: RunSpec) -> Cost:
    """Train all tasks beside the bare loop, in turn; then each part of a step by itself."""
    population, cost = Population([spec], stacked=False), Cost()
    bare = bare_steps(spec, population.device, STEPS)
    bare()
    population.fit_task(0)
    for task in range(1, NUM_TASKS):
        cost.bare.append(_seconds(bare, 1) / STEPS)
        before = population.timings["training"]
        population.fit_task(task)
        cost.ours.append((population.timings["training"] - before) / STEPS)
    cost.parts = dict(_parts(population))
    return cost


def _parts(population: Population) -> Iterator[tuple[str, float]]:
    """Seconds that each part of a replaying step takes by itself."""
    before, table, model = population.timings["planning"], population.data.train, population.model
    plan = population.plan(NUM_TASKS - 1)
    planning = (population.timings["planning"] - before) / plan.members[0].num_steps
    step = next(iter(plan.chunks())).steps[0]
    buffers: dict[int, torch.Tensor] = {}
    rows = table.stored.new_empty(len(step.rows), *table.shape)
    gather = _seconds(lambda: torch.index_select(table.stored, 0, step.rows, out=rows), 20)
    inputs = table.batch(step.rows, (), buffers, step.views)
    yield "gather", gather
    yield "augmentation", _seconds(lambda: table.batch(step.rows, (), buffers, step.views), 20) - gather
    yield "memory", planning
    yield "forward", _seconds(lambda: model.forward(inputs))
    loss = F.cross_entropy(model.forward(inputs).logits, step.labels)
    params = list(model.weights.params.values())
    yield "backward", _seconds(lambda: gradient(loss, params, keep=True))
    grads = gradient(loss, params)
    yield "optimiser", _seconds(lambda: model.optimizer.step(grads))


def _seconds(work: Callable[[], object], times: int = 3) -> float:
    """Median time of a call."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return statistics.median(found)
