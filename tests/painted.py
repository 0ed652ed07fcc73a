"""Folders of pictures that can be learnt: each class has its colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["SMALL", "paint"]

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200), "grey": (90, 90, 90)}

SMALL = ["--network", "mlp", "--set", "network.hidden=[16]", "--image-size", "8", "--memory", "30", "--batch-size", "8",
         "--set", "optimizer.name=sgd", "-q"]  # fmt: skip
"""A model that is learnt in no time."""


def paint(folder: Path, *classes: str, each: int = 12, size: int = 8, seed: int = 0) -> Path:
    """Write `each` pictures of each class, a colour and noise, into a folder of its name."""
    rng = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(each):
            noise = rng.integers(-30, 31, (size, size, 3))
            pixels = (np.array(COLOURS.get(name, COLOURS["grey"])) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    return folder
