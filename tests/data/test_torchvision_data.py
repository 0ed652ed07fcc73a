"""The documented way to torchvision's data sets, as it stands in docs/data.md, in a process of its own."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "data.md"


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed")
def test_the_documented_way_to_torchvisions_data_works_in_a_new_process() -> None:
    section = DOCS.read_text(encoding="utf-8").split("## A torch Dataset")[1]
    (code,) = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    stand_in = "import torchvision\nCIFAR10 = lambda root, train: torchvision.datasets.FakeData(8, (3, 4, 4), 2)\n"
    imports, load, rest = code.partition("own =")  # the data themselves are not here
    assert "import CIFAR10" in imports, code
    checked = "\nassert own.train_inputs.shape == (8, 3, 4, 4), own.train_inputs.shape\n"
    command = [sys.executable, "-c", imports + stand_in + load + rest + checked]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
