"""Accuracy and confidence of one network on the test rows of every task, in one large batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcl.engine.spec import RunSpec
from maskcl.scenario import Scenario

__all__ = ["Evaluation", "Evaluator", "load_data"]

CHUNK = 4096
"""Rows at once: enough for full speed, little memory even for convolutional networks."""


@dataclass(frozen=True)
class Evaluation:
    """One network at one moment, by task of the test rows.

    Attributes:
        class_incremental: Accuracy with the argmax over all visible classes, [T].
        task_incremental: Accuracy with the argmax within the row's own task, [T].
        confidence: Mean softmax probability of the true class over visible classes, [T].
        newest_share: Share of the rows of tasks 0..t that are predicted as a class of task t.
    """

    class_incremental: NDArray[np.float64]
    task_incremental: NDArray[np.float64]
    confidence: NDArray[np.float64]
    newest_share: float


class Evaluator:
    """The test rows of a scenario, in task order, ready to be asked about many times."""

    def __init__(self, scenario: Scenario, dtype: torch.dtype) -> None:
        rows = np.concatenate(scenario.eval_rows)
        sizes = [len(r) for r in scenario.eval_rows]
        self.num_tasks, self.sizes = scenario.num_tasks, np.array(sizes)
        self.inputs = torch.from_numpy(scenario.eval_inputs[rows]).to(dtype)
        self.labels = torch.from_numpy(scenario.eval_labels[rows])
        self.task_of_row = torch.repeat_interleave(torch.arange(self.num_tasks), torch.tensor(sizes))
        self.task_of_class = torch.from_numpy(scenario.task_of_class)

    @torch.no_grad()
    def __call__(self, predict: Callable[[Tensor], Tensor], task: int, visible: Tensor | None = None) -> Evaluation:
        """Evaluate after training task `task`.

        Args:
            predict: Maps inputs [N, ...] to logits [N, C].
            task: Newest task, 0-based.
            visible: Classes that may be predicted, bool [C]; None: all.
        """
        sums = torch.zeros(3, self.num_tasks, dtype=torch.float64)
        newest = 0
        for start in range(0, len(self.labels), CHUNK):
            part = slice(start, start + CHUNK)
            labels, tasks = self.labels[part], self.task_of_row[part]
            logits = predict(self.inputs[part])
            within = logits.masked_fill(self.task_of_class != tasks[:, None], -torch.inf)
            if visible is not None:
                logits = logits.masked_fill(~visible, -torch.inf)
            chosen = logits.argmax(1)
            sure = logits.softmax(1).gather(1, labels[:, None])[:, 0]
            for row, values in zip(sums, (chosen == labels, within.argmax(1) == labels, sure), strict=True):
                row.index_add_(0, tasks, values.double())
            newest += int(((self.task_of_class[chosen] == task) & (tasks <= task)).sum())
        means = sums.numpy() / self.sizes
        return Evaluation(means[0], means[1], means[2], newest / int(self.sizes[: task + 1].sum()))


def load_data(spec: RunSpec) -> tuple[Tensor, Evaluator]:
    """Return the image table and the evaluator of a run's scenario, to be shared by all its populations."""
    dtype = getattr(torch, spec.training.dtype)
    return torch.from_numpy(spec.scenario.dataset.train_inputs).to(dtype), Evaluator(spec.scenario, dtype)
