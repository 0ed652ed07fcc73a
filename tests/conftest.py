from __future__ import annotations

import os
from pathlib import Path

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
