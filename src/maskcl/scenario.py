"""Rows into tasks: which classes come when, and which rows teach and judge each task."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from maskcl import rng
from maskcl.data.base import Dataset
from maskcl.data.deal import Stream
from maskcl.data.split import held_out_rows, rows_by_class
from maskcl.errors import ConfigError, DataError, MaskclWarning, check, message

__all__ = ["Scenario", "check_subset", "class_incremental"]

Rows = npt.NDArray[np.int64]

_MOST_NAMED = 5
"""Classes that a warning names."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """A data set cut into tasks, each with its own classes; `class_incremental` makes one.

    Attributes:
        dataset: The data set.
        tasks: Classes of each task, in the order in which they were given. Rows of a class may come in other tasks too.
        train_rows: Rows of dataset.train_inputs that teach each task, ascending, int64.
        eval_inputs: What accuracy is measured on: the test inputs, or held-out training inputs; shape [M, ...].
        eval_labels: Their classes, int64, shape [M].
        eval_rows: Rows of eval_inputs that judge each task, ascending, int64.
        open: Whether more tasks may come, whose classes nobody knows yet; the rows of earlier ones may be gone.
    """

    dataset: Dataset
    tasks: tuple[tuple[int, ...], ...]
    train_rows: tuple[Rows, ...] = field(repr=False)
    eval_inputs: npt.NDArray[np.float32] = field(repr=False)
    eval_labels: Rows = field(repr=False)
    eval_rows: tuple[Rows, ...] = field(repr=False)
    open: bool = False

    @property
    def num_tasks(self) -> int:
        """Number of tasks, T."""
        return len(self.tasks)

    @property
    def num_classes(self) -> int:
        """Outputs of the classifier, C: all classes of the data set, those in no task included."""
        return self.dataset.num_classes

    @property
    def task_of_class(self) -> Rows:
        """Task of each class, -1 for classes in no task, int64, shape [C]."""
        task_of_class = np.full(self.num_classes, -1, dtype=np.int64)
        for task, classes in enumerate(self.tasks):
            task_of_class[list(classes)] = task
        return task_of_class

    @cached_property
    def is_clean(self) -> bool:
        """Whether every training row comes in its class's own task."""
        return all((gap == 0).all() for gap in self._late)

    @cached_property
    def comes_early(self) -> bool:
        """Whether some training row comes in a task before its class's own."""
        return any((gap < 0).any() for gap in self._late)

    @property
    def _late(self) -> list[Rows]:
        """By how many tasks each training row comes after its class's own."""
        home, labels = self.task_of_class, self.dataset.train_labels
        return [task - home[labels[rows]] for task, rows in enumerate(self.train_rows)]


def class_incremental(
    dataset: Dataset,
    *,
    num_tasks: int | None = None,
    task_sizes: Sequence[int] | None = None,
    tasks: Sequence[Sequence[int]] | None = None,
    class_order: Sequence[int] | None = None,
    seed: int | None = None,
    validation_fraction: float = 0.0,
    subset: float | None = None,
    eval_subset: float | None = None,
    blurry: float = 0.0,
    repeats: float = 0.0,
    imbalance: float = 1.0,
) -> Scenario:
    """Cut a data set into tasks of classes that come one after another.

    Exactly one of num_tasks, task_sizes and tasks says how.

    Args:
        dataset: The data set.
        num_tasks: Tasks of equal size; it must divide the number of classes.
        task_sizes: Classes in each task, which together are all classes.
        tasks: The classes of each task themselves; classes may be left out.
        class_order: All classes in the order in which they come; by default 0, 1, 2, ...
        seed: Shuffles the class order instead.
        validation_fraction: Share of each class's training rows to judge by instead of the test data,
            0 <= validation_fraction < 1; these rows teach nothing. They are the same for every seed and order.
        subset: Share of each class's (other) training rows to learn from, one at least, 0 < subset <= 1; None: all. A
            smaller share is part of a larger one, the same for every seed and order.
        eval_subset: The same of what is judged by, the test rows or those held out.
        blurry: Share of each class's rows that come in tasks to which it does not belong, evenly, 0 <= blurry < 1.
        repeats: Probability with which a class comes again in each later task, 0 to 1; its rows are dealt evenly to the
            tasks in which it comes, each to one.
        imbalance: Rows that the rarest class keeps to those of the commonest, 0 < imbalance <= 1; shares fall off
            exponentially in between, and chance says which class is rare.

    Chance in the last three depends on `seed` (0 without one), not on a run's seed.

    Returns:
        The scenario.

    Warns with MaskclWarning where some class of a task has no rows to judge it by.

    Raises:
        ConfigError: If the settings do not describe tasks.
        DataError: If a class has no training rows, or a task nothing to judge it by.

    >>> from maskcl.data import from_arrays
    >>> inputs, labels = np.eye(6, dtype=np.float32), np.arange(6) % 3
    >>> scenario = class_incremental(from_arrays(inputs, labels, inputs, labels), task_sizes=(1, 2))
    >>> [rows.tolist() for rows in scenario.train_rows]
    [[0, 3], [1, 2, 4, 5]]
    """
    hint = "maskcl.from_arrays(...) makes one"
    check(isinstance(dataset, Dataset), "dataset", "must be a data set", type(dataset).__name__, hint=hint)
    ways = {"num_tasks": num_tasks, "task_sizes": task_sizes, "tasks": tasks}
    given = [name for name, value in ways.items() if value is not None]
    must = "must have exactly one of num_tasks, task_sizes, tasks"
    check(len(given) == 1, "scenario", must, " and ".join(given) or None)
    if tasks is not None:
        for name, value in (("class_order", class_order), ("seed", seed)):
            check(value is None, f"scenario.{name}", "must not be given with tasks, which are in order already", value)
        cut = _check_tasks(tasks, dataset.num_classes)
    else:
        order = _class_order(class_order, seed, dataset.num_classes)
        sizes = _equal_sizes(num_tasks, len(order)) if task_sizes is None else _check_sizes(task_sizes, len(order))
        rest = iter(order)
        cut = tuple(tuple(islice(rest, size)) for size in sizes)
    held_out = _check_fraction(validation_fraction)
    shares = {"subset": subset, "eval_subset": eval_subset}
    learnt, judged = (1.0 if s is None else check_subset(s, f"scenario.{name}") for name, s in shares.items())
    stream = Stream(blurry=blurry, repeats=repeats, imbalance=imbalance, seed=seed or 0)
    return _assemble(dataset, cut, held_out, learnt, judged, stream)


def check_subset(subset: Any, where: str) -> float:
    """Return a share of rows, 0 < subset <= 1; raises ConfigError for anything else."""
    check(_is_number(subset) and 0 < subset <= 1, where, "must be above 0 and at most 1", subset)
    return float(subset)


def _assemble(
    dataset: Dataset,
    tasks: tuple[tuple[int, ...], ...],
    validation_fraction: float,
    learnt: float,
    judged: float,
    stream: Stream,
) -> Scenario:
    train = rows_by_class(dataset.train_labels, dataset.num_classes)
    for task, classes in enumerate(tasks):
        for label in classes:
            must = f"class {label} must have training rows in {dataset.name!r}"
            hint = "leave the class out with tasks=[[...], ...]"
            check(len(train[label]) > 0, f"scenario task {task}", must, 0, error=DataError, hint=hint)
    if validation_fraction > 0:
        held = held_out_rows(train, validation_fraction, purpose="scenario/validation")
        train = [np.setdiff1d(rows, out, assume_unique=True) for rows, out in zip(train, held, strict=True)]
        chosen = np.sort(np.concatenate([held[label] for classes in tasks for label in classes]))
        eval_inputs, eval_labels = dataset.train_inputs[chosen], dataset.train_labels[chosen]
    else:
        eval_inputs, eval_labels = dataset.test_inputs, dataset.test_labels
    if learnt < 1:
        train = _part(train, learnt, "scenario/subset")
    judge = rows_by_class(eval_labels, dataset.num_classes)
    if judged < 1:
        judge = _part(judge, judged, "scenario/eval_subset")
    eval_rows = tuple(_rows_of_task(judge, classes) for classes in tasks)
    kind = "validation" if validation_fraction > 0 else "test"
    for task, rows in enumerate(eval_rows):
        must = f"classes {tasks[task]} must have {kind} rows in {dataset.name!r}"
        check(len(rows) > 0, f"scenario task {task}", must, 0, error=DataError)
    unjudged = sorted(label for classes in tasks for label in classes if len(judge[label]) == 0)
    if unjudged:
        names = ", ".join(_class_name(dataset, label) for label in unjudged[:_MOST_NAMED])
        more = ", ..." if len(unjudged) > _MOST_NAMED else ""
        which = f"class {names}" if len(unjudged) == 1 else f"{len(unjudged)} classes ({names}{more})"
        text = f"{dataset.name}: no {kind} rows judge {which}: no accuracy says whether they are learnt or forgotten."
        warnings.warn(text, MaskclWarning, stacklevel=3)
    return Scenario(dataset, tasks, stream.deal(train, tasks), eval_inputs, eval_labels, eval_rows)


def _part(class_rows: list[Rows], share: float, purpose: str) -> list[Rows]:
    """A share of the rows of each class; of a class of one row that row, for none of it would be left."""
    chosen = held_out_rows(class_rows, share, purpose=purpose)
    return [rows if len(rows) == 1 else some for rows, some in zip(class_rows, chosen, strict=True)]


def _class_name(dataset: Dataset, label: int) -> str:
    return f"{label} {dataset.class_names[label]!r}" if dataset.class_names else str(label)


def _rows_of_task(class_rows: list[Rows], classes: tuple[int, ...]) -> Rows:
    return np.sort(np.concatenate([class_rows[label] for label in classes]))


def _class_order(class_order: Sequence[int] | None, seed: int | None, num_classes: int) -> tuple[int, ...]:
    check(class_order is None or seed is None, "scenario.seed", "must not be given with class_order", seed)
    if seed is not None:
        return tuple(rng.generator(_integer(seed, "scenario.seed"), "class_order").permutation(num_classes).tolist())
    if class_order is None:
        return tuple(range(num_classes))
    order = _integers(class_order, "scenario.class_order")
    must = f"must hold each class from 0 to {num_classes - 1} once"
    check(sorted(order) == list(range(num_classes)), "scenario.class_order", must, class_order)
    return order


def _equal_sizes(num_tasks: int | None, num_classes: int) -> tuple[int, ...]:
    number = _integer(num_tasks, "scenario.num_tasks")
    divisors = [size for size in range(1, num_classes + 1) if num_classes % size == 0]
    hint = f"possible: {', '.join(map(str, divisors))}; for tasks of unequal size give task_sizes"
    check(number in divisors, "scenario.num_tasks", f"must divide the {num_classes} classes", num_tasks, hint=hint)
    return (num_classes // number,) * number


def _check_sizes(task_sizes: Sequence[int], num_classes: int) -> tuple[int, ...]:
    sizes = _integers(task_sizes, "scenario.task_sizes")
    check(all(size > 0 for size in sizes), "scenario.task_sizes", "must be 1 or more each", task_sizes)
    must = f"must add up to the {num_classes} classes"
    hint = "to leave classes out, give tasks"
    check(sum(sizes) == num_classes, "scenario.task_sizes", must, task_sizes, hint=hint)
    return sizes


def _check_tasks(tasks: Sequence[Sequence[int]], num_classes: int) -> tuple[tuple[int, ...], ...]:
    check(_is_list(tasks), "scenario.tasks", "must be a list of lists of classes", tasks)
    cut = tuple(_integers(classes, f"scenario.tasks[{task}]") for task, classes in enumerate(tasks))
    check(len(cut) > 0, "scenario.tasks", "must hold at least one task", tasks)
    homes: dict[int, int] = {}
    for task, classes in enumerate(cut):
        where = f"scenario.tasks[{task}]"
        check(len(classes) > 0, where, "must hold at least one class", classes)
        for label in classes:
            check(0 <= label < num_classes, where, f"must be classes from 0 to {num_classes - 1}", label)
            must = f"class {label} must be in one task only, and is in scenario.tasks[{homes.get(label)}] already"
            must = f"must name class {label} once" if homes.get(label) == task else must
            check(label not in homes, where, must, list(classes))
            homes[label] = task
    return cut


def _check_fraction(validation_fraction: float) -> float:
    must = "must be 0 or more and below 1"
    holds = _is_number(validation_fraction) and 0 <= validation_fraction < 1
    check(holds, "scenario.validation_fraction", must, validation_fraction)
    return float(validation_fraction)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _integers(values: Any, where: str) -> tuple[int, ...]:
    check(_is_list(values), where, "must be a list of integers", values)
    return tuple(_integer(value, where) for value in values)


def _integer(value: Any, where: str) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ConfigError(message(where, "must be an integer", value)) from None


def _is_list(value: object) -> bool:
    return isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str)
