"""The files of the study of leak = "auto" take their first steps: every setting of each, on small data and networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskcl.data import Dataset, from_arrays
from maskcl.experiment import read_experiment, run
from maskcl.experiment.grid import expand

FILES = [
    path
    for path in sorted((Path(__file__).parents[1] / "experiments").glob("auto_leak_*.toml"))
    if path.stem != "auto_leak_power"  # masks of the others, on data sets that vary
]
LEAST = {"memory.size": 50, "training.epochs": 1}
"""Of axes that change how long a run takes, and nothing of what it is, one value."""


def small(images: bool) -> Dataset:
    """Ten classes of 12 rows, or of 4 images, whose network takes longer."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 4 if images else 12)
    inputs = rng.random((len(labels), *((3, 8, 8) if images else (64,)))).astype(np.float32)
    inputs.reshape(len(labels), -1)[np.arange(len(labels)), labels] += 1
    return from_arrays(inputs, labels, inputs, labels, input_range=(0.0, 2.0))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_setting_takes_its_first_steps(path: Path) -> None:
    raw, where = read_experiment(path)
    images = "cifar10" in path.stem
    for key, value in LEAST.items():
        if key in raw["grid"]:
            raw["grid"][key] = [value]
    given: dict[str, Any] = {
        "training.dtype": "float32",
        "training.precision": "float32",
        "training.evaluate_every": 10,
    }
    given |= {"training.batch_size": 2}  # the rarest task has as many rows
    given |= {"network.width": 2} if images else {"network.hidden": [8]}
    settings, _ = expand(raw, where)
    for key in ("dataset", "subset"):  # of one's own data the rows are all there are
        raw["scenario"].pop(key, None)
    results = run(raw, dataset=small(images), seeds=1, overrides=given, threads=1)
    found = results.runs
    assert len(found) == len(settings)
    assert {one["status"] for one in found} == {"finished"}
    autos = [
        one["config"]["mask"] for one in found if one["config"]["mask"] and one["config"]["mask"]["leak"] == "auto"
    ]
    assert bool(autos) == ("tuning" not in path.stem)
    assert all(np.isfinite(one["confidence"][-1]).all() for one in found)
