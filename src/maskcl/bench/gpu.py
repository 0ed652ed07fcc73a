"""What a GPU makes of it: one convolutional run beside a bare loop, and a population of small networks beside one.

Nothing is measured without a GPU, and none was had when this was written (docs/performance.md).
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from rich.table import Table

from maskcl.bench.resnet18 import bare_steps, image_run
from maskcl.bench.step import population, random_scenario
from maskcl.engine import Population, RunSpec
from maskcl.errors import ConfigError, message

__all__ = ["bench_gpu", "check_gpu"]

MEMBERS, ROUNDS = (1, 256, 1024), 5


def check_gpu() -> None:
    """Refuse to measure a GPU where there is none: ConfigError."""
    if not torch.cuda.is_available():
        raise ConfigError(message("maskcl bench gpu", "must be run on a machine with a CUDA device, and there is none"))


def bench_gpu(*, say: Callable[[str], None]) -> Table:
    """Measure both; a table with the limits beside the figures."""
    check_gpu()
    table = Table(title=f"maskcl bench gpu: {torch.cuda.get_device_name()}")
    for column in ("", "rows / s", "ratio", "limit", "peak memory, MB"):
        table.add_column(column, justify="left" if column == "" else "right")
    spec = image_run(64, 32, precision="bfloat16", channels_last=True, device="cuda")
    base = _bare_rate(spec)
    table.add_row("ResNet-18, bfloat16, 32 + 32: bare loop", f"{base:,.0f}", "1.00", "", _peak())
    ours = _rate([spec], 64)
    table.add_row("ResNet-18, bfloat16, 32 + 32: one run", f"{ours:,.0f}", f"{ours / base:.2f}", "1.0", _peak())
    say("gpu: one run of ResNet-18")
    tasks, one = random_scenario(), 0.0
    for members in MEMBERS:
        specs = [_on_gpu(each) for each in population("er", tasks, members)]
        rate = _rate(specs, 10)
        one = one or rate
        limit = "50" if members == 1024 else ""
        table.add_row(f"Split MNIST, ER, {members} members", f"{rate:,.0f}", f"{rate / one:.1f}", limit, _peak())
        say(f"gpu: {members} members")
    return table


def _bare_rate(spec: RunSpec) -> float:
    """Rows a second of the bare loop; its tensors are gone when this returns, and in no later row's peak."""
    _forget_peak()
    bare = bare_steps(spec, torch.device("cuda"), steps := len(spec.scenario.train_rows[0]) // 32)
    bare()
    return 64 * steps / statistics.median(_seconds(bare) for _ in range(ROUNDS))


def _on_gpu(spec: RunSpec) -> RunSpec:
    return replace(spec, training=replace(spec.training, device="cuda"))


def _rate(specs: Sequence[RunSpec], rows: int) -> float:
    """Rows a second of all members in tasks that replay; `rows` is what counts of each step of a member."""
    _forget_peak()
    trained = Population(specs, stacked=len(specs) > 1)
    trained.fit_task(0)
    found = []
    for task in range(1, trained.num_tasks):
        before, steps = trained.timings["training"], int(trained.state.steps[0])
        trained.fit_task(task)  # its training time ends where the sum of losses has come back
        made = (int(trained.state.steps[0]) - steps) * len(specs)
        found.append(made * rows / (trained.timings["training"] - before))
    return statistics.median(found)


def _seconds(work: Callable[[], None]) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def _forget_peak() -> None:
    gc.collect()  # what lies in circles of references still holds memory
    torch.cuda.reset_peak_memory_stats()


def _peak() -> str:
    """Largest memory of tensors since `_forget_peak`."""
    return f"{torch.cuda.max_memory_allocated() / 2**20:,.0f}"
