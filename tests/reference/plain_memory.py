"""The replay memory one stream row at a time, as a list of slots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class SlowMemory:
    """Slots that are written one by one."""

    def __init__(self, rows: Sequence[int]) -> None:
        self.rows = list(rows)
        self.order = [slot for slot, row in enumerate(rows) if row >= 0]  # as they were first filled

    def write(self, slot: int, row: int) -> None:
        if slot >= 0:
            if slot not in self.order:
                self.order.append(slot)
            self.rows[slot] = row


def herding_row_by_row(features: np.ndarray, count: int) -> list[int]:
    """Each step takes the unchosen row that brings the mean of the chosen ones nearest to the mean of all."""
    chosen: list[int] = []
    for _ in range(min(count, len(features))):
        best, nearest = -1, np.inf
        for row in range(len(features)):
            if row not in chosen:
                distance = float(((features[[*chosen, row]].mean(0) - features.mean(0)) ** 2).sum())
                if distance < nearest:
                    best, nearest = row, distance
        chosen.append(best)
    return chosen
