"""What goes with final accuracy where class orders differ, run by run: rank correlations, setting by setting.

python experiments/order_causes.py mnist                          # pairs of classes that are near and far alone
python experiments/order_causes.py mnist runs/zero_memory_causes

Distance of two classes: that of their mean training images, pixels in [0, 1]. The data lie where MASKCL_DATA says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from as_script import as_script

from maskcl.data import load
from maskcl.errors import DataError, check
from maskcl.metrics import rank_correlation
from maskcl.report.studies.orders import Spread, order_of, spreads
from maskcl.report.studies.predictors import said
from maskcl.results import Results

Pairs = tuple[tuple[int, ...], ...]


def distances(name: str) -> np.ndarray:
    """Between the mean images of all classes, [C, C]."""
    data = load(name)
    rows = np.asarray(data.train_inputs, np.float64).reshape(len(data.train_labels), -1)
    means = np.stack([rows[np.asarray(data.train_labels) == c].mean(0) for c in range(data.num_classes)])
    return np.linalg.norm(means[:, None] - means, axis=-1) / rows.max()  # some come in bytes


def pairings(classes: tuple[int, ...]) -> Iterator[Pairs]:
    """All ways to put classes into pairs."""
    if not classes:
        yield ()
    for other in classes[1:]:
        for rest in pairings(tuple(c for c in classes[1:] if c != other)):
            yield ((classes[0], other), *rest)


def within(tasks: Pairs, far: np.ndarray) -> float:
    """How far the classes of a task are from each other, a mean over tasks."""
    means = [np.mean([far[a, b] for a, b in combinations(task, 2)]) for task in tasks]
    return round(float(np.mean(means)), 9)  # the same in any order of the tasks


def measures(run: Mapping[str, Any], far: np.ndarray) -> dict[str, float]:
    """All that is looked at of a run; NaN where it was not measured, or there are too few tasks."""
    shift = np.full(3, np.nan) if run.get("weight_shift") is None else np.asarray(run["weight_shift"], float)
    level = np.full((2, 2), np.nan) if run.get("level") is None else np.asarray(run["level"], float)
    return {
        "shift of weights in task 2": shift[1] if len(shift) > 1 else np.nan,
        "shift of weights in later tasks": shift[2:].mean() if len(shift) > 2 else np.nan,
        "learning accuracy": run["metrics"]["learning_accuracy"],
        "forgetting": run["metrics"].get("forgetting", np.nan),
        "fall of the true class's score": (np.diag(level) - level[-1])[:-1].mean() if len(level) > 1 else np.nan,
        "distance of the classes within a task": within(order_of(run), far),
    }


def print_pairings(name: str, far: np.ndarray) -> None:
    """Print the nearest pairs of ten classes, those of the order 0 to 9, and the farthest."""
    ways = sorted(pairings(tuple(range(len(far)))), key=lambda pairs: within(pairs, far))
    own = tuple((c, c + 1) for c in range(0, len(far), 2))
    print(f"{name}: {len(ways)} ways to pair the classes; mean distance within a pair")
    for place in (0, ways.index(own), len(ways) - 1):
        print(f"  number {place + 1}: {within(ways[place], far):.2f}  {ways[place]}")


def read(name: str, folder: str) -> list[Spread]:
    """The settings of a folder that finished on three class orders or more; all must be of the data set."""
    results = Results.load(folder)
    learnt = {str((setting.config.get("scenario") or {}).get("dataset")) for setting in results.settings}
    check(learnt == {name}, folder, f"must have runs of {name} alone", ", ".join(sorted(learnt)), error=DataError)
    found = spreads(results)
    check(bool(found), folder, "must have a setting that finished on three class orders or more", error=DataError)
    return found


def print_correlations(settings: Sequence[Spread], far: np.ndarray) -> None:
    """Print a table, a column a setting; intervals by a bootstrap over class orders."""
    columns = {one.name: correlations(one.runs, far) for one in settings}
    print(f"\n| rank correlation with final accuracy | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
    for measure in next(iter(columns.values())):
        print(f"| {measure} | {' | '.join(column[measure] for column in columns.values())} |")
    print("\n95 % bootstrap intervals over class orders, of five or more. –: the same in all runs, or not measured.")


def correlations(runs: Sequence[Mapping[str, Any]], far: np.ndarray) -> dict[str, str]:
    """Rank correlations of all measures with final accuracy, in words."""
    orders = [str(order_of(run)) for run in runs]
    accuracy = [run["metrics"]["final_accuracy"] for run in runs]
    measured = [measures(run, far) for run in runs]
    found = {name: rank_correlation([one[name] for one in measured], accuracy, orders) for name in measured[0]}
    return {"runs": str(len(runs)), "class orders": str(len(set(orders)))} | {k: said(v) for k, v in found.items()}


def main(name: str, *folders: str) -> None:
    """Print both."""
    found = [read(name, folder) for folder in folders]
    far = distances(name)
    if len(far) == 10:
        print_pairings(name, far)
    for settings in found:
        print_correlations(settings, far)


if __name__ == "__main__":
    as_script(main, __doc__)
