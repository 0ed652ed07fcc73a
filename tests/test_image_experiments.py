"""The files of the image benchmarks take their first steps, on pictures of noise in a narrow network.

Runs of the real size take hours: what is held here is that every method of a file trains, replays and is judged with
the file's settings.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskcl import data
from maskcl.data import Dataset, from_arrays
from maskcl.experiment import Plan, execute, plan

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parents[1] / "experiments"
NUM_CLASSES = {"cifar10": 10, "cifar100": 100, "tiny_imagenet": 200}
FILES = [FOLDER / f"{name}_published.toml" for name in NUM_CLASSES]


def noise(num_classes: int) -> Dataset:
    labels = np.repeat(np.arange(num_classes), 20 // num_classes or 1)
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 3, 8, 8), np.uint8)
    return from_arrays(pixels, labels, pixels, labels)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_method_of_a_file_takes_its_first_steps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    num_classes = NUM_CLASSES[path.stem.removesuffix("_published")]
    monkeypatch.setattr(data, "load", lambda *_, **__: noise(num_classes))
    batch = max(5, num_classes // 4)  # two steps a task
    small = {"network.width": 1, "training.epochs": 1, "training.batch_size": batch, "scenario.num_tasks": 2}
    planned = plan(path, seeds=1, overrides=small)
    kinds = {(run.spec.method.key, str(run.spec.method.mask)) for run in planned.runs}
    assert len(kinds) == 4 + 1 + 3 * 4 + 3, "fine-tuning, joint, three with every mask, ER-ACE with its own"
    firsts = {run.spec.method.key: run for run in reversed(planned.runs)}
    firsts |= {str(run.spec.method.mask): run for run in planned.runs if run.spec.method.key == "er"}
    results = execute(Plan(planned.name, tuple(firsts.values())))
    assert {run["config"]["method"]["name"] for run in results.runs} == {
        "finetune", "joint", "er", "der", "derpp", "er_ace",
    }  # fmt: skip
    assert {run["status"] for run in results.runs} == {"finished"}


SPLITS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "cifar10": (5, 50, (200, 500, 5120)),
    "cifar100": (10, 50, (500, 2000)),
    "tiny_imagenet": (10, 100, (200, 500, 5120)),
}
"""Tasks, epochs and slots of each table; batches are 32 + 32 and the width is 64 in all."""

PUBLISHED: dict[str, dict[str, list[tuple[float, float | None, float | None]]]] = {
    "cifar10": {
        "finetune": [(0.1, None, None)],
        "joint": [(0.1, None, None)],
        "er": [(0.1, None, None)] * 3,
        "der": [(0.03, 0.3, None)] * 3,
        "derpp": [(0.03, 0.1, 0.5), (0.03, 0.2, 0.5), (0.03, 0.1, 1.0)],
        "er_ace": [(0.03, None, None)] * 3,  # CIFAR-100's
    },
    "cifar100": {
        "finetune": [(0.1, None, None)],  # CIFAR-10's
        "joint": [(0.1, None, None)],  # CIFAR-10's
        "er": [(0.1, None, None)] * 2,
        "der": [(0.03, 0.3, None)] * 2,
        "derpp": [(0.03, 0.1, 0.5)] * 2,
        "er_ace": [(0.03, None, None)] * 2,
    },
    "tiny_imagenet": {
        "finetune": [(0.03, None, None)],
        "joint": [(0.03, None, None)],  # fine-tuning's
        "er": [(0.1, None, None), (0.03, None, None), (0.1, None, None)],
        "der": [(0.03, 0.1, None)] * 3,
        "derpp": [(0.03, 0.1, 1.0), (0.03, 0.2, 0.5), (0.03, 0.1, 0.5)],
        "er_ace": [(0.03, None, None)] * 3,  # CIFAR-100's
    },
}
"""Learning rate, alpha and beta by number of slots, as the DER paper and its code have them; typed in by hand."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_file_has_the_published_settings_in_every_row(name: str) -> None:
    num_tasks, epochs, slots = SPLITS[name]
    told: dict[str, Any] = tomllib.loads((FOLDER / f"{name}_published.toml").read_text())
    assert (told["scenario"], told["network"]) == (
        {"dataset": name, "num_tasks": num_tasks}, {"name": "resnet18", "width": 64},
    )  # fmt: skip
    training = told["training"]
    assert (training["batch_size"], training["epochs"]) == (32, epochs)
    assert (training["augment"]["crop"], training["augment"]["flip"]) == (4, True)
    assert set(told) == {"name", "seeds", "scenario", "network", "training", "grid"}, "nothing else that would act"
    found: dict[str, dict[int, set[tuple[float, float | None, float | None]]]] = {}
    for row in told["grid"]["zip"]:
        method = row["method"]
        assert method.get("replay_batch", 32) == 32
        numbers = (row["optimizer.lr"], method.get("alpha"), method.get("beta"))
        found.setdefault(method["name"], {}).setdefault(row["memory.size"], set()).add(numbers)
    expected = {
        method: dict(zip(slots, ({row} for row in rows), strict=False)) for method, rows in PUBLISHED[name].items()
    }
    assert found == expected
