"""What a learner says of rows, and how often it is right, class by class."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcl.data.checks import Inputs
from maskcl.data.split import held_out_rows, rows_by_class
from maskcl.learner.learner import Learner

__all__ = ["Judged", "as_known", "best_classes", "judged", "split_off"]

_AT_ONCE = 1024


@dataclass(frozen=True)
class Judged:
    """How a learner does on rows with labels.

    Attributes:
        classes: The learner's classes, then those that it does not know.
        num_known: How many it knows, C.
        confusion: Rows of class i that were taken for class j, int64 [len(classes), C].
    """

    classes: tuple[Hashable, ...]
    num_known: int
    confusion: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each class, [len(classes)]."""
        return self.confusion.sum(1)

    @property
    def right(self) -> NDArray[np.int64]:
        """Rows of each class that were predicted right, [len(classes)]; of unknown ones none can be."""
        found = np.zeros(len(self.classes), np.int64)
        found[: self.num_known] = self.confusion.diagonal()
        return found

    @property
    def accuracy(self) -> float:
        """Share of all rows that were predicted right, 0 to 1."""
        return float(self.right.sum() / self.counts.sum())

    @property
    def unknown(self) -> tuple[Hashable, ...]:
        """Classes that the learner does not know; their rows count as wrong."""
        return self.classes[self.num_known :]

    def mistakes(self, label: int) -> list[tuple[Hashable, int]]:
        """What rows of a class were wrongly taken for, the most frequent first."""
        row = self.confusion[label].copy()
        if label < self.num_known:
            row[label] = 0
        return [(self.classes[j], int(row[j])) for j in np.argsort(-row, kind="stable") if row[j]]


def judged(learner: Learner, inputs: Inputs, labels: Sequence[Hashable]) -> Judged:
    """Predict rows [n, *shape], n of 1 or more, and compare with their labels; raises as `Learner.predict` does.

    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(40, 4)).astype(np.float32) + 6 * np.eye(4, dtype=np.float32)[[0] * 20 + [1] * 20]
    >>> learner = Learner("mlp", memory=10).fit(rows, ["cat"] * 20 + ["dog"] * 20, epochs=5)
    >>> found = judged(learner, rows, ["cat"] * 20 + ["dog"] * 19 + ["owl"])
    >>> found.classes, found.unknown, found.accuracy
    (('cat', 'dog', 'owl'), ('owl',), 0.975)
    """
    known = learner.classes_.tolist()
    classes = [*known, *dict.fromkeys(label for label in labels if label not in known)]
    number = {label: i for i, label in enumerate(classes)}
    confusion = np.zeros((len(classes), len(known)), np.int64)
    for start in range(0, len(labels), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        guesses = learner._scores(inputs[part], "Learner.predict").argmax(1)
        np.add.at(confusion, (np.array([number[label] for label in labels[part]]), guesses), 1)
    return Judged(tuple(classes), len(known), confusion)


def best_classes(learner: Learner, inputs: Inputs, top: int) -> list[list[tuple[Any, float]]]:
    """Return for each row its most probable classes, at most `top`, each with its probability; likeliest first."""
    names, scores = learner.classes_.tolist(), learner._scores(inputs, "Learner.predict")
    odds = np.exp(scores - scores.max(1, keepdims=True))
    odds /= odds.sum(1, keepdims=True)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]  # scores: two probabilities may round to the same
    return [[(names[j], float(odds[i, j])) for j in row] for i, row in enumerate(order)]


def as_known(names: Sequence[str], known: Sequence[Hashable]) -> list[Hashable]:
    """Return labels in place of names of folders: the class whose name it is, be it a number, or else the name.

    >>> as_known(["1", "owl"], [1, 2])
    [1, 'owl']
    """
    by_name: dict[str, Hashable] = {str(label): label for label in known}
    by_name |= {label: label for label in known if isinstance(label, str)}
    return [by_name.get(name, name) for name in names]


def split_off(labels: Sequence[Hashable], share: float | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to learn and those to judge by: a share of each class, the same ones each time; None: none.

    >>> [rows.tolist() for rows in split_off(["a", "a", "b", "b"], 0.5)]
    [[1, 3], [0, 2]]
    """
    if share is None:
        return np.arange(len(labels)), np.arange(0)
    number = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    rows = rows_by_class(np.array([number[label] for label in labels], np.int64), len(number))
    kept = np.sort(np.concatenate(held_out_rows(rows, share, purpose="shell")))
    return np.setdiff1d(np.arange(len(labels)), kept), kept
