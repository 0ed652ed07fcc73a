"""The training loop: the same one for one run and for a population, whose tensors have one more leading dimension.

A step reads as a line: gather and augment, select, make, forward, loss, update, store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from maskcl.engine.hooks import check_losses, check_selected
from maskcl.engine.masking import TaskMasking
from maskcl.engine.model import Model
from maskcl.engine.state import State, Weights, map_tensors, pairs
from maskcl.engine.steps import StepPlan
from maskcl.engine.synthesis import Synthesis
from maskcl.engine.table import Table
from maskcl.engine.update import Update
from maskcl.methods import Method, Step
from maskcl.methods.base import overrides
from maskcl.view import Outputs

__all__ = ["TaskTraining"]

LONG = 0.25
"""Seconds without a report: who wants to stop, or to write a checkpoint, waits for one."""


class TaskTraining:
    """Members in training on the steps of one task."""

    def __init__(
        self,
        method: Method,
        model: Model,
        state: State,
        table: Table,
        masking: TaskMasking,
        *,
        label_smoothing: float,
        makes: Synthesis | None,
    ) -> None:
        """Set up for a task.

        Args:
            method: What a step does; its dials may be tensors [K].
            model: The networks and their optimiser.
            state: What the networks' weights are part of.
            table: Training rows.
            masking: Active and visible classes.
            label_smoothing: Share of each target that is spread.
            makes: What makes samples of old classes, if anything.
        """
        self.method, self.model, self.state, self.table = method, model, state, table
        self.masking, self.label_smoothing, self.makes = masking, label_smoothing, makes
        self.needs = method.needs
        self.leading = model.leading
        self.row_dim = len(model.leading)
        self.update = Update(method, model, state.method)
        self.selects = overrides(method, "select")
        self.joins_rows = self.needs.joint_forward or not model.parts.mixes_rows
        self.uses_stream = makes is not None or self.needs.store_after
        self.joins = makes is not None and makes.cfgm.update == "joint"
        self._means = [] if state.average is None else pairs(state.average, state.weights)
        self._buffers: dict[int, Tensor] = {}
        self._checked: set[object] = set()
        self._method_state = state.method if self.leading else map_tensors(lambda t: t[0], state.method)

    def run(
        self,
        steps: Sequence[StepPlan],
        *,
        every: int,
        tell: Callable[[int, Tensor], None],
        before: Tensor | None = None,
    ) -> Tensor:
        """Train all steps and return the sum of their losses, [...].

        Args:
            steps: The steps.
            every: How many steps are made before `tell` is called again; fewer where they take long.
            tell: Told how many are done, and the sum of their losses; at the end too.
            before: What losses of earlier steps add up to, [...]; None: 0.
        """
        losses = torch.zeros(self.leading, dtype=self.table.dtype, device=self.table.stored.device)
        if before is not None:
            losses += before.to(losses.device)
        told, since = 0, time.perf_counter()
        for done, step in enumerate(steps, 1):
            losses += self._train(step)
            self.state.steps += 1
            if done - told == every or done == len(steps) or time.perf_counter() - since > LONG:
                tell(done, losses)
                told, since = done, time.perf_counter()
        return losses

    def run_one(self, step: StepPlan) -> Tensor:
        """Train one step and return its loss, [...]: for streams, where the sums and reports of `run` would be felt."""
        loss = self._train(step)
        self.state.steps += 1
        return loss

    def _train(self, step: StepPlan) -> Tensor:
        """One step; returns its loss, [...]."""
        self.model.rate = step.rate
        inputs = self._gather(step)
        if self.selects and len(step.sizes) > 1:
            step, inputs = self._select(step, inputs)
        stream = inputs.narrow(self.row_dim, 0, step.sizes[0]) if self.uses_stream else inputs
        made, target = self._make(stream, step) if self.joins else (None, None)
        outputs, of_made = self._forward(inputs, step.sizes, made)
        losses = self._losses(self._step(step, inputs, outputs))
        first = _first(losses)
        if of_made is not None and self.makes is not None and target is not None:
            first = first + self.makes.loss(of_made, target)
            losses = _with_first(losses, first)
        if step.written is not None and not self.needs.store_after:
            self._store(step, outputs.logits.detach())
        self.update(losses)
        if self.makes is not None and not self.joins:
            made, target = self._make(stream, step)
            self.update(_with_first(losses, self.makes.loss(self.model.forward(made).logits, target)), alone=True)
        if step.written is not None and self.needs.store_after:
            with torch.no_grad():  # in evaluation mode: a second pass must not move BatchNorm's statistics again
                self._store(step, self.model.at(self.model.weights, stream).logits)
        if self._means and (isinstance(step.share, Tensor) or step.share):
            self._average(step.share)
        return first.detach()

    @torch.no_grad()
    def _average(self, share: float | Tensor) -> None:
        """Let the weights as they are now enter their mean, by `share` of it, [K] or a number."""
        for mean, now in self._means:
            part = share if isinstance(share, float) else share.to(now.dtype).view(-1, *[1] * (now.ndim - 1))
            if now.is_floating_point():  # three roundings: `lerp_` may fuse two, which differ by shape and machine
                mean.add_((now - mean).mul_(part))
            else:  # BatchNorm's count of batches
                mean.copy_(now)

    def _losses(self, step: Step) -> Tensor | dict[str, Tensor]:
        """The method's losses; those of the first step with as many sources are looked at."""
        losses = self.method.loss(step)
        if len(step.sizes) not in self._checked:
            self._checked.add(len(step.sizes))
            check_losses(self.method, losses, self.leading)
        return losses

    def _gather(self, step: StepPlan) -> Tensor:
        """The step's inputs, [..., V * n, *shape]."""
        return self.table.batch(step.rows, self.leading, self._buffers, step.views)

    def _make(self, stream: Tensor, step: StepPlan) -> tuple[Tensor, Tensor]:
        """Samples of old classes, and what they should give."""
        assert self.makes is not None
        assert step.made is not None
        return self.makes.make(stream, step.made, step.made_views)

    def _forward(self, inputs: Tensor, sizes: tuple[int, ...], made: Tensor | None) -> tuple[Outputs, Tensor | None]:
        """What the network gives for all rows, and its logits of samples: in one batch, or source by source.

        Source by source only where that is what the method says, and where rows mix.
        """
        views, dim = self.needs.views, self.row_dim
        if self.joins_rows and made is None and views == 1:
            return self.model.forward(inputs), None
        parts = [inputs] if made is None else [inputs, made]
        if self.joins_rows or (len(sizes) == 1 and made is None):
            outputs = self.model.forward(parts[0] if made is None else torch.cat(parts, dim))
        else:
            sources = [part for view in inputs.chunk(views, dim) for part in view.split(sizes, dim)]
            outputs = Outputs.joined([self.model.forward(part) for part in [*sources, *parts[1:]]], dim)
        total = inputs.shape[dim]
        count = sum(sizes)
        of_made = None if made is None else outputs.logits[..., total:, :]
        if made is None and views == 1:
            return outputs, None
        features, projected = (None if t is None else t[..., :total, :] for t in (outputs.features, outputs.projected))
        return Outputs(outputs.logits[..., :count, :], features, projected), of_made

    def _step(self, step: StepPlan, inputs: Tensor, outputs: Outputs) -> Step:
        """What the method sees."""
        stored = tuple(None if slots is None else self._stored(slots) for slots in step.stored)
        return Step(
            outputs.logits,
            step.labels,
            step.sizes,
            stored,
            self.masking.active(step),
            self.masking.visible,
            self.label_smoothing,
            self._teacher(inputs, step.sizes) if self.needs.teacher else None,
            self.masking.seen,
            self.masking.current,
            outputs.features,
            outputs.projected,
            self._method_state,
            self.masking.prior(step),
        )

    def _teacher(self, inputs: Tensor, sizes: tuple[int, ...]) -> Tensor | None:
        """Logits of the frozen network on the sources that the method names."""
        if self.state.frozen is None:
            return None
        begin = 0 if "stream" in self.needs.teacher else sizes[0]
        end = sum(sizes) if "memory" in self.needs.teacher else sizes[0]
        with torch.no_grad():
            return self.model.at(self.state.frozen, inputs.narrow(self.row_dim, begin, end - begin)).logits

    def _select(self, step: StepPlan, inputs: Tensor) -> tuple[StepPlan, Tensor]:
        """Let the method choose among the candidates of each draw; returns the step of the chosen rows."""
        count, *candidates = step.sizes
        stream = inputs.narrow(self.row_dim, 0, count)
        alone = replace(step, labels=step.labels[..., :count], sizes=(count,), stored=())
        with torch.enable_grad():
            params = {n: p.detach().requires_grad_() for n, p in self.model.weights.params.items()}
            outputs = self.model.at(Weights(params, self.model.weights.buffers), stream)
            losses = self._losses(self._step(alone, stream, outputs))
            grads = self.model.slopes(_first(losses), list(params.values()))
        pace = self.model.optimizer.pace
        moved = {n: p.detach() - pace(step.rate, p) * g for (n, p), g in zip(params.items(), grads, strict=True)}
        kept, begin = [torch.arange(count, device=inputs.device).expand(*self.leading, -1)], count
        stored: list[Tensor | None] = []
        for draw, size, slots in zip(self.needs.draws, candidates, step.stored, strict=True):
            places = torch.arange(size, device=inputs.device).expand(*self.leading, -1)
            if draw.candidates:
                rows, labels = inputs.narrow(self.row_dim, begin, size), step.labels[..., begin : begin + size]
                with torch.no_grad():
                    before = self.model.at(self.model.weights, rows).logits
                    after = self.model.at(Weights(moved, self.model.weights.buffers), rows).logits
                    places = self.method.select(before, after, labels)
                    if "select" not in self._checked:
                        check_selected(self.method, places, self.leading, draw.size, size)
            kept.append(places + begin)
            own = None if slots is None else slots.view(*self.leading, -1).gather(-1, places).reshape(-1)
            stored.append(own)
            begin += size
        self._checked.add("select")
        index = torch.cat(kept, -1)
        rows = step.rows.view(*self.leading, -1).gather(-1, index).reshape(-1)
        views = step.views
        if views is not None:
            every = views.view(*self.leading, begin, *views.shape[1:])
            views = torch.take_along_dim(every, index[..., None, None], self.row_dim).flatten(0, self.row_dim)
        chosen = replace(
            step,
            rows=rows,
            labels=step.labels.gather(-1, index),
            sizes=tuple(part.shape[-1] for part in kept),
            stored=tuple(stored),
            views=views,
        )
        return chosen, self._gather(chosen)

    def _stored(self, slots: Tensor) -> Tensor:
        """Stored logits of a draw, [..., R, C]."""
        logits = self.state.stored.view(-1, self.state.stored.shape[-1])
        return logits.index_select(0, slots).view(*self.leading, -1, logits.shape[1])

    def _store(self, step: StepPlan, logits: Tensor) -> None:
        """Keep the logits of the stream rows that enter the memory."""
        assert step.written is not None
        slots, sources = step.written
        stream = logits.narrow(-2, 0, step.sizes[0]).reshape(-1, logits.shape[-1])
        kept = self.state.stored.view(-1, logits.shape[-1])
        kept.index_copy_(0, slots, stream.index_select(0, sources))


def _first(losses: Tensor | dict[str, Tensor]) -> Tensor:
    """The loss that is descended: the first of several."""
    return losses if isinstance(losses, Tensor) else next(iter(losses.values()))


def _with_first(losses: Tensor | dict[str, Tensor], first: Tensor) -> Tensor | dict[str, Tensor]:
    """The losses with another one in the first one's place."""
    return first if isinstance(losses, Tensor) else losses | {next(iter(losses)): first}
