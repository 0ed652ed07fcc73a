"""Which classes the rows of a step may move: the mask of a method, made into bool tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from maskcl.engine.steps import StepPlan
from maskcl.methods import Method

__all__ = ["TaskMasking"]


class TaskMasking:
    """Active and visible classes of each row, for the steps of one task.

    Attributes:
        visible: Classes in the softmax, and that may be predicted, bool [C] or [K, 1, C]; None: all.
        seen: Classes of this task and those before.
        current: Classes of this task.
    """

    def __init__(self, method: Method, task_of_class: Tensor, task: int, *, rows: str = "task") -> None:
        """Set up for a task.

        Args:
            method: Its mask is the one.
            task_of_class: Task of each class, -1 for none, int64 [C]; [K, 1, C] where members have their own tasks.
            task: 0-based.
            rows: Which rows the phase is on: with those of "all" tasks all classes are current; those in the "memory"
                have no mask.
        """
        mask = method.mask
        self.mask = mask if mask is not None and task >= mask.from_task and rows != "memory" else None
        self.task_of_class = task_of_class
        self.seen = (task_of_class >= 0) & (task_of_class <= task)
        self.current = task_of_class >= 0 if rows == "all" else task_of_class == task
        self.visible = self.seen if mask is not None and mask.visible == "seen" else None
        self._future = task_of_class > task if mask is not None and mask.keep_future else None
        self._cache: dict[tuple[int, ...], Tensor] = {}
        self._streams: dict[tuple[int, ...], Tensor] = {}

    def active(self, step: StepPlan) -> Tensor | None:
        """Return the active classes of a step's rows, [n, C] or [..., n, C]; None: all."""
        if self.mask is None or self.mask.is_auto:
            return None
        if step.active is not None:
            active = self._extend(self._with_future(step.active), step.sizes)
        else:
            if step.sizes not in self._cache:  # the same in every step
                self._cache[step.sizes] = self._extend(self._with_future(self.current), step.sizes)
            active = self._cache[step.sizes]
        if self.mask.memory_rows == "own-task" and len(step.sizes) > 1:
            memory = step.labels[..., step.sizes[0] :]
            of_class = self.task_of_class.expand(*memory.shape[:-1], 1, -1)
            own = of_class.gather(-1, memory[..., None, :]).mT == of_class
            stream = active[..., : step.sizes[0], :].expand(*own.shape[:-2], -1, -1)
            active = torch.cat([stream, own], -2)
        return active

    def prior(self, step: StepPlan) -> Tensor | None:
        """Return what a mask that goes by counts adds to a step's logits, [1 or n, C] or [..., 1 or n, C]."""
        if self.mask is None or step.prior is None:
            return None
        if self.mask.memory_rows == "prior" or len(step.sizes) == 1:
            return step.prior
        if step.sizes not in self._streams:  # the same in every step
            row = torch.arange(sum(step.sizes), device=step.prior.device) < step.sizes[0]
            self._streams[step.sizes] = row[:, None].to(step.prior.dtype)
        return step.prior * self._streams[step.sizes]

    def _with_future(self, active: Tensor) -> Tensor:
        return active if self._future is None else active | self._future

    def _extend(self, classes: Tensor, sizes: tuple[int, ...]) -> Tensor:
        """Give classes [C] or [..., 1, C] of the stream rows to each of them, and all classes to memory rows."""
        classes = classes[None] if classes.ndim == 1 else classes
        stream = classes.expand(*classes.shape[:-2], sizes[0], -1)
        memory = torch.ones(
            *classes.shape[:-2], sum(sizes[1:]), classes.shape[-1], dtype=torch.bool, device=stream.device
        )
        return torch.cat([stream, memory], -2)
