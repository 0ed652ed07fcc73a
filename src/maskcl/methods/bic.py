"""Bias correction (BiC): distillation while a task is learnt, then two numbers that take back its classes' advantage.

    stage 1: L = (1 - w) * mean of CE(seen classes) + w * mean of KL(teacher / T || network / T), w = old / seen classes
    stage 2: new classes' logits become a z + b; a and b minimise CE on held-out rows, as many of each class, + b^2 / 20

The teacher is the last task's network with its correction, KL is over old classes. Wu et al., arXiv 1905.13260.

Differs from the paper and its public code:
1. KL in place of the cross-entropy of softened targets: the same gradient.
2. `held_out` is a share of each task's rows and of the memory's slots, kept from training from the start; stage 2 takes
   as many of each class as those slots allow. It is minimised to convergence (L-BFGS) instead of for 200 epochs.
3. Memory rows are drawn at each step, `replay_batch` of them, in place of one training set of stream and memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from maskcl.errors import check, is_number
from maskcl.functional import distillation, row_losses
from maskcl.methods.base import Draw, Method, Needs, Outputs, State, Step, View, dial, option

__all__ = ["BiasCorrection"]


@dataclass(frozen=True, kw_only=True)
class BiasCorrection(Method):
    """Distilled cross-entropy, and a correction of the newest classes' logits."""

    key: ClassVar[str] = "bic"
    title: ClassVar[str] = "Bias correction (BiC)"
    short: ClassVar[str] = "BiC"
    paper: ClassVar[str] = "1905.13260"

    replay_batch: int = option(10, "memory rows a step, 1 or more", least=1)
    temperature: float = dial(2.0, "softens both softmaxes of the distillation, above 0", above=0)
    held_out: float = option(0.1, "share of rows and of the memory that the correction is fitted on, above 0, to .5")

    def __post_init__(self) -> None:
        good = is_number(self.held_out) and 0 < self.held_out <= 0.5
        check(good, "method.held_out", "must be above 0 and at most .5", self.held_out)
        super().__post_init__()

    @property
    def needs(self) -> Needs:
        """One draw of exemplars, what the last task's network says of all rows, and rows held out."""
        return Needs(
            draws=(Draw(self.replay_batch),),
            policy="herding",
            joint_forward=True,
            teacher=("stream", "memory"),
            held_out=self.held_out,
        )

    def init_state(self, weights: Sequence[Tensor], num_classes: int) -> State:
        """No correction: factor and shift of the classes that it is for, none yet."""
        ones = weights[0].new_ones(len(weights[0]))
        corrected = torch.zeros(len(ones), num_classes, dtype=torch.bool, device=ones.device)
        return {"factor": ones, "shift": torch.zeros_like(ones), "corrected": corrected}

    def loss(self, step: Step) -> Tensor:
        """Stage 1: cross-entropy over the classes seen, and distillation of old ones, [...]."""
        assert step.seen is not None
        entropy = self.losses(step, visible=step.seen).mean(-1)
        if step.teacher is None:
            return entropy
        teacher = _correct(step.teacher, step.state)
        student, teacher = (z.masked_fill(~step.earlier, -torch.inf) for z in (step.logits, teacher))
        weight = (step.earlier.sum(-1) / step.seen.sum(-1)).reshape(entropy.shape if step.seen.ndim > 1 else ())
        return (1 - weight) * entropy + weight * distillation(student, teacher, temperature=self.temperature).mean(-1)

    def end_task(self, state: State, view: View) -> State:
        """Stage 2: fit the correction of the task's classes."""
        if view.task == 0:  # nothing that the first task's classes could have an advantage over
            return state
        rows, new = view.held_out_rows, torch.zeros_like(state["corrected"])
        new[list(view.tasks[-1])] = True
        seen = torch.zeros_like(new)
        seen[[c for classes in view.tasks for c in classes]] = True
        logits, labels = view.outputs(rows).logits, view.labels(rows)
        with torch.enable_grad():
            numbers = logits.new_tensor([1.0, 0.0], requires_grad=True)
            fit = torch.optim.LBFGS([numbers], max_iter=100, line_search_fn="strong_wolfe")

            def closure() -> Tensor:
                fit.zero_grad()
                corrected = _correct(logits, {"factor": numbers[0], "shift": numbers[1], "corrected": new})
                loss = row_losses(corrected, labels, visible=seen).mean() + numbers[1].square() / 20
                loss.backward()
                return loss

            fit.step(closure)
        factor, shift = numbers.detach().unbind()
        return {"factor": factor, "shift": shift, "corrected": new}

    def predict(self, outputs: Outputs, state: State) -> Tensor:
        """Logits with the newest classes corrected."""
        return _correct(outputs.logits, state)


def _correct(logits: Tensor, state: State) -> Tensor:
    """Factor and shift on the logits of the corrected classes."""
    factor, shift = (state[name][..., None, None] for name in ("factor", "shift"))
    return torch.where(state["corrected"][..., None, :], factor * logits + shift, logits)
