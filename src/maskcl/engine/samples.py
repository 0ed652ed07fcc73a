"""What CFGM makes, looked at: does a sample of an old class look like one to the old network, and lie near its mean?"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskcl.engine.spec import RunSpec
from maskcl.engine.synthesis import Synthesis
from maskcl.engine.table import Table

__all__ = ["look_at_samples"]

ROWS = 64
"""Rows of the new task that are moved to each old class: enough for a mean, few beside a task's training."""


@torch.no_grad()
def look_at_samples(
    specs: Sequence[RunSpec], synthesis: Synthesis, table: Table, leading: tuple[int, ...], task: int
) -> list[dict[str, Any]]:
    """Move rows of the task that ends to every old class, and measure; one record a member.

    Args:
        specs: The members, all with the same tasks.
        synthesis: What makes samples in this task.
        table: Training rows.
        leading: Leading dimensions of all tensors.
        task: 0-based.

    Returns:
        For each member: "task", "classes" [n], and by old class the mean over rows of: "confidence_before" and
        "confidence_after", the frozen network's softmax probability of the class on x and on x_c; "distance_before" and
        "distance_after", the L2 distance to the mean of the class's training rows; "moved", the L2 length of x_c - x;
        and "pictures": shape, and x and x_c of one row for each class, 8 bits a pixel over the data's range, base64.
    """
    scenario, members = specs[0].scenario, len(specs)
    labels, rows = scenario.dataset.train_labels, scenario.train_rows[task]
    rows = rows[:: max(1, len(rows) // ROWS)][:ROWS]
    inputs = table.rows(rows).expand(*leading, -1, *table.shape)
    classes = [c for group in scenario.tasks[:task] for c in group]
    found: dict[str, list[np.ndarray]] = {name: [] for name in
        ("confidence_before", "confidence_after", "distance_before", "distance_after", "moved")}  # fmt: skip
    pairs = []
    trained = np.concatenate(scenario.train_rows)
    for c in classes:
        made = synthesis.towards(inputs, torch.full((*leading, len(rows)), c, device=inputs.device))
        mean = table.rows(trained[labels[trained] == c]).mean(0)
        for name, x in (("before", inputs), ("after", made)):
            sure = synthesis.frozen(x).softmax(-1)[..., c]
            found[f"confidence_{name}"].append(sure.reshape(members, -1).mean(1).cpu().numpy())
            far = (x - mean).reshape(members, len(rows), -1).norm(dim=-1)
            found[f"distance_{name}"].append(far.mean(1).cpu().numpy())
        found["moved"].append((made - inputs).reshape(members, len(rows), -1).norm(dim=-1).mean(1).cpu().numpy())
        example = torch.stack([inputs, made]).reshape(2, members, len(rows), *table.shape)
        pairs.append(example[:, :, c % len(rows)].cpu().numpy())
    pictures = np.stack(pairs, 2)  # [x or x_c, member, class, ...]
    bounds = table.bounds(scenario.dataset.input_range)
    low, high = (np.asarray(bound.cpu() if isinstance(bound, Tensor) else bound) for bound in bounds)
    shades = np.nan_to_num((pictures - low) / np.maximum(high - low, 1e-12)).clip(0, 1)  # a diverging member has NaN
    bits = np.rint(255 * shades).astype(np.uint8)
    return [
        {
            "task": task,
            "classes": classes,
            **{name: [float(values[k]) for values in columns] for name, columns in found.items()},
            "pictures": {
                "shape": list(bits.shape[3:]),
                "x": base64.b64encode(bits[0, k].tobytes()).decode(),
                "made": base64.b64encode(bits[1, k].tobytes()).decode(),
            },
        }
        for k in range(members)
    ]
