"""How many members fit, and how many cores are free."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

from maskcl.engine.spec import RunSpec
from maskcl.networks import build_network

__all__ = ["available_bytes", "free_cores", "member_bytes"]


def available_bytes() -> int:
    """Return the memory that can still be used, in bytes: the machine's, or the container's where it is less."""
    limits = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
        limits.append(int(fields["MemAvailable"].split()[0]) * 1024)
    cgroup = Path("/sys/fs/cgroup/memory.max")
    if cgroup.exists() and (text := cgroup.read_text().strip()).isdigit():
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        limits.append(int(text) - used)
    return max(0, min(limits)) if limits else 4 * 2**30


def free_cores(seconds: float = 0.1) -> int:
    """Return the cores left for us, 1 or more: those we may use, less what other processes use at this moment.

    Not the load average: that still counts the run that has just ended.

    Args:
        seconds: How long to look.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    before, own = _busy_seconds(), time.process_time()
    if before is None:
        return usable
    time.sleep(seconds)
    after = _busy_seconds()
    assert after is not None
    others = (after - before) - (time.process_time() - own)
    return max(1, usable - round(others / seconds))


def _busy_seconds() -> float | None:
    """CPU seconds that all processes have used since the machine started; None where it does not say."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _idle, _wait, interrupts, soft, steal, *_ = map(
        int, stat.read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + interrupts + soft + steal) / os.sysconf("SC_CLK_TCK")


def member_bytes(spec: RunSpec) -> int:
    """Estimate what one member of a population needs, in bytes, over and above the shared image table.

    Weights, optimiser and gradients; a step's rows and activations with their gradients; the plan of a task.
    """
    item = 8 if spec.training.dtype == "float64" else 4
    network = build_network(
        spec.network, spec.scenario.dataset.train_inputs.shape[1:], spec.scenario.num_classes, seed=0
    )
    weights = sum(p.numel() for p in network.parameters())
    copies = 1 if spec.optimizer.is_plain_sgd else 2 + {"sgd": 1, "adam": 2}[spec.optimizer.name]
    shape = spec.scenario.dataset.train_inputs.shape[1:]
    rows = spec.training.batch_size + sum(draw.size for draw in spec.method.draws)
    activations = _activations(network, shape)
    longest = max(len(r) for r in spec.scenario.train_rows) * spec.training.epochs
    steps = longest // spec.training.batch_size + 1
    plan = 8 * (3 * longest + steps * sum(4 * draw.size for draw in spec.method.draws) + 2 * steps * rows)
    stored = spec.memory.size * spec.scenario.num_classes * item if spec.memory is not None else 0
    return weights * item * copies + 3 * rows * activations * item + plan + stored


def _activations(network: torch.nn.Sequential, shape: tuple[int, ...]) -> int:
    """Numbers that one row makes on its way through the network."""
    total, x = 0, torch.zeros(1, *shape)
    with torch.no_grad():
        for layer in network.eval():
            total += x.numel()
            x = layer(x)
    return total + x.numel()
