"""How guesses and judgements are printed: for eyes, for spreadsheets, for programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from maskcl.cli.console import print_table
from maskcl.errors import counted

if TYPE_CHECKING:
    from maskcl.learner.judging import Judged

__all__ = ["print_guesses", "print_judged", "print_lines", "some_of"]

Guesses = Sequence[tuple[str, list[tuple[Any, float]]]]

_MOST_NAMED = 12
_MOST_CONFUSED = 12
"""Classes of which a table of all confusions is still read."""


def some_of(labels: Sequence[Hashable]) -> str:
    """Name labels, or the first of them.

    >>> some_of(["cat", "owl"]), some_of(range(99))
    ('cat, owl', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 87 more')
    """
    text, more = ", ".join(map(str, labels[:_MOST_NAMED])), len(labels) - _MOST_NAMED
    return f"{text} and {more} more" if more > 0 else text


def print_lines(lines: Sequence[tuple[str, str]]) -> None:
    """Print what is what, a line each."""
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        print(f"{name:{width}}  {text}")


def print_guesses(found: Guesses, form: str) -> None:
    """Print the classes of pictures, a picture a line.

    Args:
        found: Path, and classes with their probabilities, of each.
        form: table, csv or json.
    """
    if form == "json":
        told = [{"path": path, "label": _json(best[0][0]), "probability": best[0][1],
                 "classes": [{"label": _json(label), "probability": p} for label, p in best]}
                for path, best in found]  # fmt: skip
        print(json.dumps(told, indent=1))
        return
    top = max((len(best) for _, best in found), default=1)
    columns = ["path", *(f"{name}{'' if i == 0 else i + 1}" for i in range(top) for name in ("label", "probability"))]
    digits = 3 if form == "table" else 6
    rows = [[path, *(text for label, p in best for text in (str(label), f"{p:.{digits}f}"))] for path, best in found]
    (print_table if form == "table" else _print_csv)(columns, rows)


def print_judged(found: Judged, form: str) -> None:
    """Print accuracy in all and by class, and what was taken for what.

    Args:
        found: What is to be told.
        form: table, csv (of classes) or json (all of it).
    """
    there = [i for i, count in enumerate(found.counts.tolist()) if count]
    counts, right = found.counts.tolist(), found.right.tolist()
    if form == "json":
        told = {
            "accuracy": found.accuracy, "pictures": sum(counts), "right": sum(right),
            "unknown": [_json(label) for label in found.unknown],
            "classes": [{"label": _json(found.classes[i]), "pictures": counts[i], "right": right[i],
                         "accuracy": right[i] / counts[i]} for i in there],
            "confusion": {"labels": [_json(found.classes[i]) for i in there],
                          "predicted": [_json(label) for label in found.classes[: found.num_known]],
                          "counts": found.confusion[there].tolist()},
        }  # fmt: skip
        print(json.dumps(told, indent=1))
        return
    mistakes = [found.mistakes(i)[:1] for i in there]
    taken = ["" if not worst else f"{worst[0][0]} ({worst[0][1]})" for worst in mistakes]
    columns = ["class", "pictures", "right", "accuracy", "mostly taken for"]
    if form == "csv":
        rows = [[str(found.classes[i]), str(counts[i]), str(right[i]), f"{right[i] / counts[i]:.6f}",
                 "" if not worst else str(worst[0][0])] for i, worst in zip(there, mistakes, strict=True)]  # fmt: skip
        _print_csv(columns, rows)
        return
    rows = [[str(found.classes[i]) + (" (unknown)" if i >= found.num_known else ""), str(counts[i]), str(right[i]),
             f"{100 * right[i] / counts[i]:.1f}", text] for i, text in zip(there, taken, strict=True)]  # fmt: skip
    print_table(columns, rows)
    if found.num_known <= _MOST_CONFUSED:
        print()
        names = [str(label) for label in found.classes[: found.num_known]]
        lines = [[str(found.classes[i]), *(str(n) if n else "·" for n in found.confusion[i].tolist())] for i in there]
        print_table(["is \\ taken for", *names], lines)
    print(f"\naccuracy {100 * found.accuracy:.1f} %: {sum(right)} of {counted(sum(counts), 'picture')}")


def _print_csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def _json(label: Any) -> Any:
    return label if label is None or isinstance(label, (str, int, float, bool)) else str(label)
