"""`make fuzz`: random experiment files and damaged files; each is a valid run, or is refused in one sentence.

    make fuzz                            10,000 cases
    make fuzz CASES=500 SEED=7           others
    make fuzz SEED=0 FIRST=1234 CASES=1  one case once more
    make fuzz SEED=0 FIRST=6000          what is left of seed 0, from a case on

What is promised, and what a case is: `fuzzing/`. Each fault is printed as it is found, with the command that tries its
case again. Exit status 0: there was none.
"""

from __future__ import annotations

import os
import sys
from collections import Counter

from fuzzing.cases import kind_of, verdict

OUTCOMES = ("valid", "refused", "unfinished", "stopped")
EVERY = 500
"""Cases between two lines of progress."""


def main() -> int:
    """Try the cases, print a table; returns the exit status."""
    cases, seed, first = (
        int(os.environ.get(name) or usual) for name, usual in (("CASES", 0), ("SEED", 0), ("FIRST", 0))
    )
    end = first + cases if cases else max(first + 1, 10_000)
    counts, faulty = Counter[tuple[str, str]](), 0
    for number in range(first, end):
        kind, found = kind_of(seed, number), verdict(seed, number)
        counts[kind, found.outcome] += 1
        counts["all", found.outcome] += 1
        if found.faults:
            faulty += 1
            print(f"{kind}: make fuzz SEED={seed} FIRST={number} CASES=1", *found.faults, sep="\n    ", flush=True)
        elif end - first == 1:
            print(f"{kind}: {found.outcome}", found.said, sep="\n    ")
        if (number + 1 - first) % EVERY == 0:
            print(f"{number + 1 - first} of {end - first} cases, {faulty} with faults", file=sys.stderr, flush=True)
    print(table(counts))
    print(f"\n{end - first} cases of seed {seed}, from {first}: {faulty} with faults")
    return int(faulty > 0)


def table(counts: Counter[tuple[str, str]]) -> str:
    """Return how many cases of each kind came to which outcome, as Markdown."""
    kinds = sorted({kind for kind, _ in counts} - {"all"})
    lines = [f"| case | {' | '.join(OUTCOMES)} |", f"| --- |{' --- |' * len(OUTCOMES)}"]
    return "\n".join(
        [*lines, *(f"| {kind} | {' | '.join(str(counts[kind, o]) for o in OUTCOMES)} |" for kind in [*kinds, "all"])]
    )


if __name__ == "__main__":
    sys.exit(main())
