"""Who asks is told of a fit's progress, and gets the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maskcl import Learner


def rows(*classes: int) -> tuple[Any, list[int]]:
    labels = [label for label in classes for _ in range(30)]
    return np.random.default_rng(0).random((len(labels), 6), np.float32), labels


@pytest.mark.parametrize(("method", "total"), [("er", 18 * 4), ("derpp", 18 * 4), ("gdumb", 5 * 4)])  # on its 50 rows
def test_steps_add_up_to_those_of_this_fit(method: str, total: int) -> None:
    told: list[tuple[int, int]] = []
    epochs = 1 if method == "gdumb" else 4
    table = {"name": method} | ({"passes": 4} if method == "gdumb" else {})
    learner = Learner({"name": "mlp", "hidden": [8]}, method=table, memory=50, batch_size=10)
    other = Learner(**learner.get_params())
    for classes in ((0, 1, 2, 3, 4, 5), (6, 7, 8, 9, 10, 11)):
        told.clear()
        learner.fit(*rows(*classes), epochs=epochs, on_progress=lambda done, of: told.append((done, of)))
        other.fit(*rows(*classes), epochs=epochs)
        assert told[-1] == (total, total)
        assert [done for done, _ in told] == sorted({done for done, _ in told})
        assert {of for _, of in told} == {total}
    for ours, theirs in zip(learner.network_.parameters(), other.network_.parameters(), strict=True):
        assert ours.equal(theirs)
