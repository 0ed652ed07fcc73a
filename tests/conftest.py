from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def mnist_root() -> Path:
    """The folder of data sets that holds MNIST: MASKCL_DATA, else shared/data beside the repository."""
    from maskcl.data.idx_set import MNIST

    places = [os.environ.get("MASKCL_DATA"), Path(__file__).parents[2] / "shared" / "data"]
    for place in places:
        if place and all(MNIST.find(file, place) for file in MNIST.sha256):
            return Path(place)
    pytest.skip("MNIST is not here: set MASKCL_DATA to a folder that has it")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs the engine was asked for, call by call."""
    from maskcl.engine import run_population

    asked: list[int] = []

    def counting(specs: Any, **options: Any) -> Any:
        asked.append(len(specs))
        return run_population(specs, **options)

    monkeypatch.setattr("maskcl.experiment.in_process.run_population", counting)
    return asked
