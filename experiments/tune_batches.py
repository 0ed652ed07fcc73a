"""What asking for several trials at once costs a search: `maskcl tune`'s sampler on a made-up function of four keys.

    python experiments/tune_batches.py

The function is a hill in two logarithmic keys, one other and a list of three, 80 at its top, with noise of 0.6 points
as seeds leave it. Printed is how far below the top the best found lies, mean of 60 searches with a 95 % interval: the
table of docs/howto/tune.md. Takes about 3 minutes on a busy core.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from maskcl.experiment import Choices, Range
from maskcl.launch.tune.sampler import Sampler
from maskcl.metrics import interval

SPACE = {
    "optimizer.lr": Range(0.003, 0.3, log=True),
    "mask.leak": Range(0.001, 1.0, log=True),
    "method.alpha": Choices((0.1, 0.2, 0.5)),
    "optimizer.momentum": Range(0.0, 0.95),
}


def search(seed: int, budget: int, batch: int) -> float:
    """Return how far below the top the best found lies, in points; a batch as large as the budget: at random."""
    rng = np.random.default_rng(seed)
    lr, leak = 10 ** rng.uniform(-2.2, -0.8), 10 ** rng.uniform(-2.5, -0.5)
    first, momentum = rng.integers(3), rng.uniform(0, 0.9)

    def below(values: dict[str, Any]) -> float:
        a, b = math.log10(values["optimizer.lr"] / lr) / 2, math.log10(values["mask.leak"] / leak) / 3
        c = (0, 1, 3)[(SPACE["method.alpha"].ends.index(values["method.alpha"]) + first) % 3]
        d = values["optimizer.momentum"] - momentum + a / 2
        return 90 * a * a + 50 * b * b + c + 15 * d * d

    sampler, found = Sampler(SPACE, higher=True, seed=seed), list[tuple[float, float]]()
    while len(found) < budget:
        asked = sampler.ask(min(batch, budget - len(found)))
        figures = [80 - below(values) + rng.normal(0, 0.6) for values in asked]
        sampler.tell(figures)
        found += [(figure, below(values)) for figure, values in zip(figures, asked, strict=True)]
    return max(found)[1]


if __name__ == "__main__":
    print("| trials | batch 1 | batch 4 | batch 8 | random |\n| --- | --- | --- | --- | --- |")
    for budget in (16, 32, 64):
        cells = [interval([search(seed, budget, batch) for seed in range(60)]) for batch in (1, 4, 8, budget)]
        print(f"| {budget} | " + " | ".join(f"{cell.mean:.1f} ± {cell.half:.1f}" for cell in cells) + " |", flush=True)
