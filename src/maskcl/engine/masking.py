"""Which classes the rows of a step may move: the mask of a method, made into bool tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from maskcl.engine.plan import StepPlan
from maskcl.methods import Method

__all__ = ["TaskMasking"]


class TaskMasking:
    """Active and visible classes of each row, for the steps of one task.

    Attributes:
        visible: Classes in the softmax of stream rows, and that may be predicted, bool [C]; None: all.
    """

    def __init__(self, method: Method, task_of_class: Tensor, task: int) -> None:
        mask = method.mask
        self.mask = mask if mask is not None and task >= mask.from_task else None
        self.task_of_class = task_of_class
        self.visible: Tensor | None = None
        if mask is not None and mask.visible == "seen":
            self.visible = (task_of_class >= 0) & (task_of_class <= task)
        self._of_task = task_of_class >= 0 if method.trains_on == "all" else task_of_class == task
        self._future = task_of_class > task if mask is not None and mask.keep_future else None
        self._cache: dict[tuple[int, ...], tuple[Tensor | None, Tensor | None]] = {}

    def __call__(self, step: StepPlan) -> tuple[Tensor | None, Tensor | None]:
        """Return active and visible classes of a step's rows, [n, C] or [..., n, C]; None: all."""
        if step.sizes not in self._cache:  # the same in every step, but for what depends on the step's labels
            visible = None if self.visible is None else self._extend(self.visible, step.sizes)
            active = None if self.mask is None else self._extend(self._with_future(self._of_task), step.sizes)
            self._cache[step.sizes] = (active, visible)
        active, visible = self._cache[step.sizes]
        if self.mask is None:
            return None, visible
        if step.active is not None:
            active = self._extend(self._with_future(step.active), step.sizes)
        if self.mask.memory_rows == "own-task" and len(step.sizes) > 1:
            assert active is not None
            memory = step.labels[..., step.sizes[0] :]
            own = self.task_of_class[memory][..., None] == self.task_of_class
            stream = active[..., : step.sizes[0], :].expand(*own.shape[:-2], -1, -1)
            active = torch.cat([stream, own], -2)
        return active, visible

    def _with_future(self, active: Tensor) -> Tensor:
        return active if self._future is None else active | self._future

    def _extend(self, classes: Tensor, sizes: tuple[int, ...]) -> Tensor:
        """Give classes [C] or [..., 1, C] of the stream rows to each of them, and all classes to memory rows."""
        classes = classes[None] if classes.ndim == 1 else classes
        stream = classes.expand(*classes.shape[:-2], sizes[0], -1)
        memory = torch.ones(*classes.shape[:-2], sum(sizes[1:]), classes.shape[-1], dtype=torch.bool)
        return torch.cat([stream, memory], -2)
