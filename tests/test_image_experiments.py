"""The files of the image benchmarks take their first steps, on pictures of noise in a narrow network.

Runs of the real size take hours: what is held here is that every method of a file trains, replays and is judged with
the file's settings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskcl import data
from maskcl.data import Dataset, from_arrays
from maskcl.experiment import Plan, execute, plan

FOLDER = Path(__file__).parents[1] / "experiments"
NUM_CLASSES = {"cifar10": 10, "cifar100": 100, "tiny_imagenet": 200}
FILES = [path for name in NUM_CLASSES if (path := FOLDER / f"{name}_published.toml").exists()]


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
