"""How fast training is: ratios to a bare PyTorch loop, beside the arithmetic limit, all measured in one run.

The bare loop does the same arithmetic on tensors that lie ready (forward, loss, backward, `torch.optim.SGD`) and
nothing else: no gathering, no memory, no mask; the faster of one thread and all is what counts. The limit is the
matrix products of the same steps alone. Data are random, of Split MNIST's shape: speed does not depend on their
values. Needs idle cores to mean anything.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskcl.data import from_arrays
from maskcl.engine.evaluate import Data
from maskcl.engine.population import Population
from maskcl.engine.run import run_population
from maskcl.engine.spec import RunSpec, Seeds, TrainingConfig
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import find
from maskcl.networks import Mlp, build_network
from maskcl.optim import OptimizerConfig
from maskcl.scenario import Scenario, class_incremental

__all__ = ["MEMBERS", "ROUNDS", "Line", "bench_flat", "bench_step", "random_scenario"]

MEMBERS, ROUNDS, ROWS_PER_TASK = 32, 5, 3000
NUM_TASKS = 5


@dataclass(frozen=True)
class Line:
    """One line of the printed table."""

    name: str
    samples_per_second: float
    ratio: float
    spread: tuple[float, float]
    aim: str


def random_scenario() -> Scenario:
    """Random images of Split MNIST's shape: 5 tasks of 2 classes."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), ROWS_PER_TASK // 2)
    images = rng.random((len(labels), 1, 28, 28), dtype=np.float32)
    return class_incremental(from_arrays(images, labels, images[::100], labels[::100]), num_tasks=NUM_TASKS)


def population(method: str, tasks: Scenario, members: int) -> list[RunSpec]:
    """The runs to be measured: ER with 10 + 10 rows a step, or DER++ with 10 + 32 + 32."""
    options: dict[str, Any] = {"er": {"replay_batch": 10}, "derpp": {"replay_batch": 32, "alpha": 1.0, "beta": 1.0}}
    return [
        RunSpec(
            name=f"{method} {k}",
            scenario=tasks,
            method=find(method)(mask=Mask(leak=0.1), **options[method]),
            network=Mlp(),
            memory=MemoryConfig(size=200),
            optimizer=OptimizerConfig(lr=0.01),
            training=TrainingConfig(batch_size=10),
            seeds=Seeds(initialisation=k, sampling=k),
        )
        for k in range(members)
    ]


def bare_loop(spec: RunSpec, num_steps: int) -> Callable[[], int]:
    """The same arithmetic in plain PyTorch, on ready tensors; returns what runs it and says how many steps it did."""
    sizes = [spec.training.batch_size, *(draw.size for draw in spec.method.needs.draws)]
    if spec.method.needs.joint_forward:
        sizes = [sum(sizes)]
    network = build_network(spec.network, (784,), 10, seed=0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    inputs = [torch.rand(num_steps, n, 784) for n in sizes]
    labels = [torch.randint(10, (num_steps, n)) for n in sizes]
    stored = torch.rand(num_steps, sizes[-1], 10)

    def loss(step: int) -> Tensor:
        outputs = [network(x[step]) for x in inputs]
        total = F.cross_entropy(outputs[0], labels[0][step])
        if len(outputs) == 3:
            total = total + F.mse_loss(outputs[1], stored[step]) + F.cross_entropy(outputs[2], labels[2][step])
        return total

    def run() -> int:
        for step in range(num_steps):
            optimizer.zero_grad()
            loss(step).backward()
            optimizer.step()
        return num_steps

    return run


def products(spec: RunSpec, members: int, num_steps: int) -> Callable[[], int]:
    """The matrix products of a population's steps, and nothing else."""
    rows = spec.training.batch_size + sum(draw.size for draw in spec.method.needs.draws)
    network = build_network(spec.network, (784,), 10, seed=0)
    weights = [
        layer.weight.detach().expand(members, -1, -1).contiguous()
        for layer in network.children()
        if isinstance(layer, nn.Linear)
    ]
    inputs = [torch.rand(members, rows, weight.shape[2]) for weight in weights]
    grads = [torch.zeros(members, rows, weight.shape[1]) for weight in weights]

    def run() -> int:
        for _ in range(num_steps):
            for x, weight in zip(inputs, weights, strict=True):
                torch.bmm(x, weight.mT)
            for i in reversed(range(len(weights))):
                if i:
                    torch.bmm(grads[i], weights[i])
                weights[i].baddbmm_(grads[i].mT, inputs[i], alpha=-1e-9)
        return num_steps

    return run


def bench_step(method: str, *, threads: int, say: Callable[[str], None]) -> list[Line]:
    """Measure one method: bare loop, loop executor, stack executor, limit; in turn, several rounds."""
    tasks = random_scenario()
    specs = population(method, tasks, MEMBERS)
    data = Data(specs[0])
    num_steps = ROWS_PER_TASK // specs[0].training.batch_size
    bare, limit = bare_loop(specs[0], num_steps), products(specs[0], MEMBERS // threads, num_steps // 4)
    loop = Population(specs[:1], stacked=False, data=data)
    seconds: dict[str, list[float]] = {"bare": [], "loop": [], "stack": [], "limit": []}
    bare(), limit()
    torch.set_num_threads(1)
    loop.fit_task(0)
    for r in range(ROUNDS):
        on_one = _time(bare)
        torch.set_num_threads(threads)
        seconds["bare"].append(min(on_one, _time(bare)) / num_steps)
        torch.set_num_threads(1)
        began = loop.timings["training"]
        loop.fit_task(1 + r % (NUM_TASKS - 1))
        seconds["loop"].append((loop.timings["training"] - began) / num_steps)
        seconds["limit"].append(_side_by_side(limit, threads) / (num_steps // 4) / MEMBERS)
        outcomes = run_population(specs, executor="stack", threads=threads)
        # Populations run side by side: what counts is when the last one has trained all its members.
        training = max(outcome.timings["training"] * outcome.executor["group_size"] for outcome in outcomes)
        seconds["stack"].append(training / (num_steps * NUM_TASKS) / MEMBERS)
        say(f"{method}: round {r + 1} of {ROUNDS}")
    aims = {"er": ("0.80, aim 0.95", "3.5, aim 5"), "derpp": ("0.80, aim 0.95", "2, aim 2.5")}[method]
    rows = specs[0].training.batch_size
    return [
        _line(f"{method} {name}", rows, seconds["bare"], seconds[key], aim)
        for name, key, aim in (
            ("bare loop", "bare", ""),
            ("loop", "loop", aims[0]),
            (f"stack of {MEMBERS}", "stack", aims[1]),
            ("limit: products alone", "limit", ""),
        )
    ]


def _side_by_side(work: Callable[[], int], threads: int) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(lambda _: work(), range(threads)))
    return time.perf_counter() - began


def _time(work: Callable[[], int]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _line(name: str, rows: int, bare: Sequence[float], seconds: Sequence[float], aim: str) -> Line:
    ratios = sorted(b / s for b, s in zip(bare, seconds, strict=True))
    middle = statistics.median(seconds)
    return Line(name, rows / middle, statistics.median(ratios), (ratios[0], ratios[-1]), aim)


def bench_flat(*, say: Callable[[str], None]) -> list[Line]:
    """Time of a step in each replaying task, as a ratio to the first's: it must not grow."""
    torch.set_num_threads(1)
    specs = population("er", random_scenario(), MEMBERS // 2)
    data = Data(specs[0])
    per_task: list[list[float]] = [[] for _ in range(NUM_TASKS)]
    for r in range(ROUNDS):
        members = Population(specs, stacked=True, data=data)
        for task, times in enumerate(per_task):
            began = members.timings["training"]
            members.fit_task(task)
            times.append(members.timings["training"] - began)
        say(f"flat: round {r + 1} of {ROUNDS}")
    samples = ROWS_PER_TASK * len(specs)
    return [
        Line(f"task {t}", samples / statistics.median(times), statistics.median(per_task[1]) / statistics.median(times),
             (min(per_task[1]) / max(times), max(per_task[1]) / min(times)), "0.95 to 1.05")
        for t, times in enumerate(per_task) if t >= 1
    ]  # fmt: skip
