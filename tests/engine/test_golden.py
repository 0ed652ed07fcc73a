"""Runs on the built-in digits whose numbers must not change unnoticed: if they do, CHANGELOG says "new numbers".

In float64, where the order in which a machine sums does not move an argmax.
"""

from __future__ import annotations

import numpy as np
import pytest

from maskcl import class_incremental
from maskcl.data import load
from maskcl.engine import RunSpec, Seeds, TrainingConfig, run_population
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import Method, find
from maskcl.optim import OptimizerConfig

ROWS = [91, 90, 91, 90, 89]
"""Test rows of the five tasks."""

GOLDEN: dict[str, tuple[Method, list[list[int]], list[float]]] = {  # test rows that are right; final confidence
    "er": (
        find("er")(),
        [[91, 0, 0, 0, 0], [45, 86, 0, 0, 0], [54, 43, 87, 0, 0], [42, 39, 22, 89, 0], [42, 41, 40, 48, 67]],
        [0.37257366, 0.36194345, 0.32314417, 0.34601964, 0.46466832],
    ),
    "er leak=0.1": (
        find("er")(mask=Mask(leak=0.1)),
        [[91, 0, 0, 0, 0], [71, 82, 0, 0, 0], [61, 58, 78, 0, 0], [44, 56, 36, 81, 0], [44, 54, 40, 62, 65]],
        [0.36311455, 0.31933076, 0.32218817, 0.33180838, 0.29665274],
    ),
    "der++ m=-2": (
        find("derpp")(alpha=0.5, beta=1.0, mask=Mask(value=-2.0)),
        [[91, 0, 0, 0, 0], [74, 86, 0, 0, 0], [73, 84, 64, 0, 0], [51, 81, 71, 69, 0], [45, 86, 83, 72, 31]],
        [0.33991522, 0.54177183, 0.46127691, 0.37605466, 0.23329823],
    ),
    "er leak=auto": (
        find("er")(mask=Mask(leak="auto")),
        [[91, 0, 0, 0, 0], [91, 0, 0, 0, 0], [88, 57, 0, 0, 0], [76, 79, 37, 0, 0], [66, 76, 75, 68, 0]],
        [0.53316196, 0.43468157, 0.48382854, 0.47311304, 0.0598154],
    ),
    "der++ leak=auto count=visits": (
        find("derpp")(alpha=0.5, beta=1.0, mask=Mask(leak="auto", count="visits")),
        [[91, 0, 0, 0, 0], [73, 87, 0, 0, 0], [70, 83, 88, 0, 0], [53, 81, 87, 84, 0], [50, 84, 84, 80, 79]],
        [0.3972331, 0.53918234, 0.54545198, 0.47031619, 0.32973861],
    ),
}


def _run(method: Method) -> RunSpec:
    return RunSpec(
        name="golden",
        scenario=class_incremental(load("digits"), num_tasks=5),
        method=method,
        memory=MemoryConfig(size=50),
        optimizer=OptimizerConfig(lr=0.05),
        training=TrainingConfig(epochs=2, dtype="float64"),
        seeds=Seeds(initialisation=0, sampling=0),
    )


@pytest.mark.parametrize("executor", ["loop", "stack"])
@pytest.mark.parametrize("name", GOLDEN)
def test_digits_give_the_numbers_of_earlier_versions(name: str, executor: str) -> None:
    method, right, confidence = GOLDEN[name]
    outcome = run_population([_run(method)], executor=executor, threads=1)[0]
    np.testing.assert_allclose(outcome.class_incremental, np.array(right) / ROWS, atol=1e-6)
    np.testing.assert_allclose(outcome.confidence[-1], confidence, atol=1e-6)
