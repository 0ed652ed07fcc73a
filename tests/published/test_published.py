"""The published baselines come out: means of 10 seeds inside the range stated for them (minutes; `make test-slow`)."""

from __future__ import annotations

from pathlib import Path

import pytest

import maskcl

FILE = Path(__file__).parents[2] / "experiments" / "split_mnist_published.toml"
RANGES = {
    ("finetune", None): (0.19, 0.205),
    ("joint", None): (0.945, 1.0),
    ("er", 200): (0.785, 0.82),
    ("er", 500): (0.84, 0.88),
    ("derpp", 200): (0.84, 0.87),
    ("derpp", 500): (0.90, 0.925),
}


@pytest.mark.slow
def test_means_of_ten_seeds_lie_where_the_published_ones_do(mnist_root: Path) -> None:
    results = maskcl.run(FILE, data_root=str(mnist_root))
    means = {}
    for setting in results.settings:
        memory = setting.config["memory"]
        means[setting.method, memory and memory["size"]] = float(setting.interval("final_accuracy").mean)
    outside = {key: means[key] for key, (low, high) in RANGES.items() if not low <= means[key] <= high}
    assert outside == {}
