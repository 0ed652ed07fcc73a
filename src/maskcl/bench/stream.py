"""What a step of one row costs on a long stream: `Learner.partial_fit` beside a bare PyTorch step with its own memory.

Both take 1 new row and 10 of a memory of 2,000 through a 784-100-100-10 MLP, in turns of 100 steps on one thread, each
on a stream of its own. A turn's time is the mean of its steps in CPU seconds, checks of the input included, so that
other processes disturb through caches alone; a figure is the median of turns at the stream's begin, middle or end.
Begin is where the memory has just become full. Rows are random: speed does not depend on their values.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from rich.table import Table
from torch import Tensor, nn

from maskcl.errors import check
from maskcl.learner import Learner

__all__ = ["LEAST_ROWS", "ROWS", "BareStep", "bench_stream", "check_rows", "measure"]

ROWS, SLOTS, REPLAY, TURN = 20_000, 2000, 10, 100
LEAST_ROWS = 2 * SLOTS
INPUTS, CLASSES = 784, 10
TO_BARE, TO_BEGIN = 1.5, 1.1
"""Limits: of a step's time to the bare one's, and of the last steps' to the first's."""


class BareStep:
    """The same step in plain PyTorch: tensors for the memory, algorithm R, `torch.optim.SGD`; no checks."""

    def __init__(self) -> None:
        hidden = (nn.Linear(INPUTS, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU())
        self.network = nn.Sequential(*hidden, nn.Linear(100, CLASSES))
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.01)
        self.rows, self.labels = torch.zeros(SLOTS, INPUTS), torch.zeros(SLOTS, dtype=torch.int64)
        self.seen = 0

    def __call__(self, row: Tensor, label: Tensor) -> None:
        """Learn from a row [1, D] of a class [1]."""
        inputs, labels = row, label
        if self.seen:
            picks = torch.randint(min(self.seen, SLOTS), (REPLAY,))
            inputs, labels = torch.cat([row, self.rows[picks]]), torch.cat([label, self.labels[picks]])
        loss = F.cross_entropy(self.network(inputs), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        slot = self.seen if self.seen < SLOTS else int(torch.randint(self.seen + 1, (1,)))
        if slot < SLOTS:
            self.rows[slot], self.labels[slot] = row[0], label[0]
        self.seen += 1


def learner() -> Learner:
    """What is measured: ER, with all classes known."""
    network = {"name": "mlp", "hidden": [100, 100]}
    method = {"name": "er", "replay_batch": REPLAY}
    return Learner(network, method=method, memory=SLOTS, lr=0.01, batch_size=1, classes=range(CLASSES))


def measure(num_rows: int, *, say: Callable[[str], None] = lambda text: None) -> dict[str, list[float]]:
    """Return the mean seconds of a step in each turn of 100, of "learner" and "bare".

    Args:
        num_rows: Rows of each stream.
        say: Told how far it is, ten times.
    """
    rng = np.random.default_rng(0)
    inputs = rng.random((TURN, INPUTS), dtype=np.float32)
    labels = rng.integers(0, CLASSES, TURN)
    ours, bare = learner(), BareStep()
    pairs = list(zip(torch.from_numpy(inputs).split(1), torch.from_numpy(labels).split(1), strict=True))
    seconds: dict[str, list[float]] = {"learner": [], "bare": []}
    turns = num_rows // TURN
    for turn in range(turns):
        began = time.process_time()
        for x, y in zip(inputs, labels, strict=True):
            ours.partial_fit(x[None], y[None])
        between = time.process_time()
        for pair in pairs:
            bare(*pair)
        seconds["learner"].append((between - began) / TURN)
        seconds["bare"].append((time.process_time() - between) / TURN)
        if (turn + 1) % max(1, turns // 10) == 0:
            say(f"stream: {(turn + 1) * TURN:,} of {num_rows:,} rows")
    return seconds


def check_rows(num_rows: int) -> None:
    """Refuse a stream on which the memory would be full too late: ConfigError."""
    must = f"must be {LEAST_ROWS:,} or more, twice the memory"
    check(num_rows >= LEAST_ROWS, "maskcl bench: --rows", must, num_rows)


def bench_stream(num_rows: int = ROWS, *, say: Callable[[str], None]) -> Table:
    """Measure; a table with the limits beside the figures."""
    torch.set_num_threads(1)
    found = {name: each[SLOTS // TURN :] for name, each in measure(num_rows, say=say).items()}
    ratios = [a / b for a, b in zip(found["learner"], found["bare"], strict=True)]
    table = Table(title=f"maskcl bench stream: steps of one row, {num_rows:,} rows")
    for column in ("", "learner, µs", "bare step, µs", "ratio to bare", f"limit {TO_BARE}", "to the begin", "limit"):
        table.add_column(column, justify="left" if column == "" else "right")
    first = parts(found["learner"])[0]
    for name, ours, bare, ratio in zip(
        ("begin", "middle", "end"), *map(parts, (found["learner"], found["bare"], ratios)), strict=True
    ):
        holds = "held" if ratio <= TO_BARE else "missed"
        table.add_row(name, f"{1e6 * ours:.0f}", f"{1e6 * bare:.0f}", f"{ratio:.2f}", holds, f"{ours / first:.2f}",
                      "" if name == "begin" else f"{TO_BEGIN}")  # fmt: skip
    return table


def parts(values: list[float]) -> list[float]:
    """Medians of the first, the middle and the last fifth."""
    share, middle = max(1, len(values) // 5), len(values) // 2
    return [
        statistics.median(part) for part in (values[:share], values[middle - share // 2 :][:share], values[-share:])
    ]
