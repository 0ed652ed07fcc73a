"""Accuracy and confidence of networks on the test rows of every task, in large batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcl.devices import find_device
from maskcl.engine.spec import RunSpec
from maskcl.engine.table import Stores, Table
from maskcl.scenario import Scenario

__all__ = ["MOST_CLASSES", "Data", "Evaluation", "Evaluator"]

MOST_CLASSES = 20
"""Classes up to which predictions are counted class by class; of more, task by task: results stay small."""


@dataclass(frozen=True)
class Evaluation:
    """One network at one moment, by task of the test rows.

    Attributes:
        class_incremental: Accuracy with the argmax over all visible classes, [T].
        task_incremental: Accuracy with the argmax within the row's own task, [T].
        confidence: Mean softmax probability of the true class over visible classes, [T].
        newest_share: Share of the rows of tasks 0..t that are predicted as a class of task t.
        confusion: After the last task "by", "class" or "task", and "counts": rows of class i that are predicted as
            class j (class_incremental), int64, [C, C]; or the same of tasks in their order, [T, T], where
            C > MOST_CLASSES and predictions of classes in no task are left out. None before.
        level: Mean score (a logit, for most methods) of the true class, [T]; None if unknown.
        weights: A sketch of the network's weights (`maskcl.engine.moves.sketch_weights`); None if unknown.
    """

    class_incremental: NDArray[np.float64]
    task_incremental: NDArray[np.float64]
    confidence: NDArray[np.float64]
    newest_share: float
    confusion: dict[str, Any] | None = None
    level: NDArray[np.float64] | None = None
    weights: NDArray[np.float32] | None = None


class Evaluator:
    """The test rows of a scenario, in task order, ready to be asked about many times.

    Scores are made where the rows lie, and counted on the host: a GPU adds in the order in which its threads come.
    """

    def __init__(self, scenario: Scenario, table: Table) -> None:
        rows = np.concatenate(scenario.eval_rows)
        sizes = [len(r) for r in scenario.eval_rows]
        self.num_tasks, self.sizes = scenario.num_tasks, np.array(sizes)
        self.table, self.rows = table, torch.from_numpy(rows)
        self.labels = torch.from_numpy(scenario.eval_labels[rows])
        self.task_of_row = torch.repeat_interleave(torch.arange(self.num_tasks), torch.tensor(sizes))
        self.task_of_class = torch.from_numpy(scenario.task_of_class)
        few = scenario.num_classes <= MOST_CLASSES
        self.counted_by = "class" if few else "task"
        self.group_of_class = torch.arange(scenario.num_classes) if few else self.task_of_class
        self.num_groups = scenario.num_classes if few else self.num_tasks

    @torch.no_grad()
    def __call__(
        self,
        predict: Sequence[Callable[[Tensor], Tensor]],
        task: int,
        *,
        seen_only: bool = False,
        rows_at_once: int = 4096,
    ) -> list[Evaluation]:
        """Evaluate networks after training task `task`.

        Args:
            predict: For each network, what maps inputs [N, ...] to scores [N, C].
            task: Newest task, 0-based.
            seen_only: Whether only classes of the tasks so far may be predicted.
            rows_at_once: How many rows are judged at once.
        """
        sums = torch.zeros(len(predict), 4, self.num_tasks, dtype=torch.float64)
        newest = np.zeros(len(predict), np.int64)
        last = task == self.num_tasks - 1
        counts = np.zeros((len(predict), self.num_groups, self.num_groups), np.int64)
        device = self.table.stored.device
        hidden = ~((self.task_of_class >= 0) & (self.task_of_class <= task)).to(device)
        for start in range(0, len(self.labels), rows_at_once):
            part = slice(start, start + rows_at_once)
            inputs, labels, tasks = self.table.rows(self.rows[part]), self.labels[part], self.task_of_row[part]
            outside, own = (self.task_of_class != tasks[:, None]).to(device), labels[:, None].to(device)
            for k, network in enumerate(predict):
                scores = network(inputs)
                level = scores.gather(1, own)[:, 0].cpu()
                within = scores.masked_fill(outside, -torch.inf)
                if seen_only:
                    scores = scores.masked_fill(hidden, -torch.inf)
                sure = scores.softmax(1).gather(1, own)[:, 0].cpu()
                chosen, chosen_within = scores.argmax(1).cpu(), within.argmax(1).cpu()
                found = (chosen == labels, chosen_within == labels, sure, level)
                for row, values in zip(sums[k], found, strict=True):
                    row.index_add_(0, tasks, values.double())
                newest[k] += int(((self.task_of_class[chosen] == task) & (tasks <= task)).sum())
                if last:
                    counts[k] += self._confusion(labels, chosen)
        means = sums.numpy() / self.sizes
        met = int(self.sizes[: task + 1].sum())
        confusion = [{"by": self.counted_by, "counts": found} if last else None for found in counts]
        every = zip(means, newest.tolist(), confusion, strict=True)
        return [Evaluation(a, b, c, share / met, pairs, level) for (a, b, c, level), share, pairs in every]

    def _confusion(self, labels: Tensor, chosen: Tensor) -> NDArray[np.int64]:
        """How many rows of group i are predicted as one of group j, [G, G]."""
        true, found, size = self.group_of_class[labels], self.group_of_class[chosen], self.num_groups
        pairs = (true * size + found)[found >= 0]
        return torch.bincount(pairs, minlength=size**2).reshape(size, size).numpy()


class Data:
    """The tables and evaluators of a data set, shared by all populations that learn from it."""

    def __init__(self, spec: RunSpec, device: torch.device | None = None, stores: Stores | None = None) -> None:
        """Put a run's rows on a device (None: where its settings say), those that do not lie there yet."""
        device = find_device(spec.training.device) if device is None else device
        dtype, augment = getattr(torch, spec.training.dtype), spec.training.augment
        self.train = Table(spec.scenario.dataset.train_inputs, dtype, augment, device, stores)
        self.labels = spec.scenario.dataset.train_labels
        self.eval = Table(spec.scenario.eval_inputs, dtype, augment, device, stores)
        self._evaluators: dict[int, Evaluator] = {}

    def evaluator(self, scenario: Scenario) -> Evaluator:
        """Return the evaluator of a scenario of this data set."""
        if id(scenario) not in self._evaluators:
            self._evaluators[id(scenario)] = Evaluator(scenario, self.eval)
        return self._evaluators[id(scenario)]
