"""Print how far the same runs in two folders are apart: by setting, in points of final accuracy.

python experiments/compare_runs.py runs/rounding_stack runs/rounding_loop
"""

from __future__ import annotations

import sys

import numpy as np

from maskcl.results import Results


def main(first: str, second: str) -> None:
    """Compare final accuracies, run by run."""
    found = [
        {(row["label"], row["seed"]): row["final_accuracy"] for row in Results.load(folder).rows()}
        for folder in (first, second)
    ]
    shared = found[0].keys() & found[1].keys()
    if not shared:
        sys.exit(f"{first} and {second} have no run in common")
    print("| setting | runs | the same | mean difference | largest |\n| --- | --- | --- | --- | --- |")
    for label in dict.fromkeys(label for label, _ in found[0] if any(label == other for other, _ in shared)):
        far = np.array([100 * abs(found[0][run] - found[1][run]) for run in sorted(shared) if run[0] == label])
        print(f"| {label} | {len(far)} | {(far == 0).sum()} | {far.mean():.2f} | {far.max():.2f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
