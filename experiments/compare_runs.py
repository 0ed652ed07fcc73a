"""Print how far the same runs in two folders are apart: by setting, in points of final accuracy.

python experiments/compare_runs.py runs/rounding_stack runs/rounding_loop
"""

from __future__ import annotations

import numpy as np
from as_script import as_script

from maskcl.errors import DataError, check
from maskcl.results import Results


def finished(folder: str) -> dict[tuple[str, int], float]:
    """Final accuracies by setting and seed, without runs that diverged."""
    rows = Results.load(folder).rows()
    return {(row["label"], row["seed"]): row["final_accuracy"] for row in rows if np.isfinite(row["final_accuracy"])}


def main(first: str, second: str) -> None:
    """Compare final accuracies, run by run."""
    ours, theirs = finished(first), finished(second)
    shared = [run for run in ours if run in theirs]
    check(bool(shared), f"{first} and {second}", "must have runs in common that finished", error=DataError)
    print("| setting | runs | the same | mean difference | largest |\n| --- | --- | --- | --- | --- |")
    for setting in dict.fromkeys(label for label, _ in shared):
        far = np.array([100 * abs(ours[run] - theirs[run]) for run in shared if run[0] == setting])
        print(f"| {setting} | {len(far)} | {(far == 0).sum()} | {far.mean():.2f} | {far.max():.2f} |")


if __name__ == "__main__":
    as_script(main, __doc__)
