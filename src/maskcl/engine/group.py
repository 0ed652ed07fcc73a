"""One population from its first step, or from a checkpoint, to the outcomes of its runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from maskcl.engine.auto import describe, on_devices
from maskcl.engine.checkpoint_file import Saved
from maskcl.engine.checkpoints import Checkpoints, population_name
from maskcl.engine.evaluate import Evaluation
from maskcl.engine.groups import Group
from maskcl.engine.pace import Pace
from maskcl.engine.packing import unpack
from maskcl.engine.population import Population
from maskcl.engine.record import Record
from maskcl.engine.spec import Outcome, RunSpec
from maskcl.engine.state import Book, Weights, map_tensors, named_tensors
from maskcl.engine.team import Team
from maskcl.engine.watch import Place
from maskcl.memory import MemoryState
from maskcl.progress import Resumed

__all__ = ["GroupRun", "Report", "StopError"]

LOG = logging.getLogger("maskcl")
FIXED = ("weights", "optimizer", "stored")
"""Parts of the state whose shapes no run changes."""
PACKED = {kind.__name__: kind for kind in (Book, Evaluation, MemoryState, Place, Weights)}


class StopError(Exception):
    """It was asked to stop, and did, its state saved."""


class Report(Protocol):
    """Who is told."""

    def progress(self, runs: float) -> None:
        """So much more is done."""
        ...

    def outcome(self, index: int, outcome: Outcome) -> None:
        """A run has ended."""
        ...


@dataclass
class _Member:
    """A run of the group that has not ended."""

    index: int
    key: str
    record: Record
    total: int
    done: int = 0


class GroupRun:
    """A population on its way.

    Args:
        group: Which runs, on what.
        specs: Their settings, in the order of `group.indices`.
        keys: Their names in checkpoints.
        workers: Groups that run at the same time.
        report: Who is told.
        checkpoints: Where it is written down where training stands; None: nowhere.
        stopping: Asked now and then whether to stop.
        team: The processes that make the group's one run together; None: this one alone.
    """

    def __init__(
        self,
        group: Group,
        specs: Sequence[RunSpec],
        keys: Sequence[str],
        *,
        workers: int,
        report: Report,
        checkpoints: Checkpoints | None = None,
        stopping: Callable[[], bool] = lambda: False,
        team: Team | None = None,
    ) -> None:
        self._began, self._report, self._stopping = time.perf_counter(), report, stopping
        every = specs[0].training.checkpoint_every
        writes = every != 0 and (team is None or team.is_first)
        self._checkpoints, self._team = checkpoints if writes else None, team
        self._pace, self._name = Pace(every), population_name(keys)
        self._start: Place | None = None
        self._population = Population(specs, stacked=group.choice.stacked, data=group.data, team=team)
        content = self._content(group.saved)
        if group.saved is None or content is None:
            self._size, self._task = len(specs), 0
            self._executor = describe(group.choice, threads=group.threads, workers=workers) | {"group_size": len(specs)}
            self._agree()
            records = [Record(spec, found) for spec, found in zip(specs, self._population.evaluate(0), strict=True)]
            done = [0] * len(specs)
        else:
            if len(keys) == len(group.saved.keys):  # fewer are a population of their own: others may have the rest
                self._name = group.saved.name
            places = [group.saved.keys.index(key) for key in keys]
            records = [Record.restored(spec, content["records"][k]) for spec, k in zip(specs, places, strict=True)]
            done = [content["done"][k] for k in places]
            self._restore(content, places)
            self._executor |= {"threads": group.threads}
            self._agree()
        self._executor = on_devices(self._executor, 1 if team is None else team.size)
        totals = [self._population.num_steps(k) for k in range(len(specs))]
        self._alive = [
            _Member(*own) for own in zip(group.indices, keys, records, totals, done, strict=True)
        ]  # fmt: skip
        report.progress(Resumed(sum(member.done / member.total for member in self._alive)))

    def run(self) -> None:
        """Train what is left, and hand out outcomes."""
        population = self._population
        name, count = self._executor["name"], len(self._alive)
        begun = "goes on" if self._task or self._start is not None else "begins"
        LOG.debug("group %s %s: %d runs, %s, %d threads", self._name, begun, count, name, self._executor["threads"])
        while self._alive and self._task < population.num_tasks:
            population.fit_task(
                self._task, on_steps=self._on_steps, on_evaluation=self._on_evaluation, pauses=self, start=self._start
            )
            self._start = None
            if population.method.phases(self._task, population.num_tasks):
                self._end_task()
            self._task += 1
            if self._alive and self._task < population.num_tasks and (self._stopping() or self._pace_at_end()):
                self._save(None)
        for k in range(len(self._alive)):
            self._finish(k, None)
        if self._checkpoints is not None:
            self._checkpoints.remove(self._name)

    def due(self, steps: int) -> bool:
        """Whether to write down where training stands, or to stop; as `Pauses` has it."""
        due = self._checkpoints is not None and self._pace.due(steps)
        return due or self._stopping()

    def pause(self, place: Place) -> None:
        """Write it down; as `Pauses` has it."""
        self._save(place)

    def _pace_at_end(self) -> bool:
        return self._checkpoints is not None and self._pace.due_at_end()

    def _save(self, place: Place | None) -> None:
        """Write a checkpoint, within a task or between two; raises StopError where that was asked for."""
        began, population = time.perf_counter(), self._population
        if self._checkpoints is not None:
            content = {
                "executor": self._executor,
                "size": self._size,
                "seconds": began - self._began,
                "timings": population.timings,
                "task": self._task,
                "place": place,
                "book": population.state.book(),
                "tensors": population.state.tensors(),
                "done": [member.done for member in self._alive],
                "records": [member.record.content() for member in self._alive],
            }
            try:
                self._checkpoints.write(self._name, [member.key for member in self._alive], content)
            except OSError as error:  # a full disk must not end a run that could go on
                where = self._checkpoints.folder
                self._checkpoints.tell(f"{where}: no checkpoint can be written ({error.strerror}); runs go on without.")
            self._pace.written(time.perf_counter() - began)
            at = "its end" if place is None else f"phase {place.phase}, chunk {place.chunk}, step {place.step}"
            LOG.debug("checkpoint of group %s: task %d, %s", self._name, self._task, at)
        if self._stopping():
            raise StopError

    def _content(self, saved: Saved | None) -> dict[str, Any] | None:
        """What is in a checkpoint; None where it is of other networks: one's own may have been rewritten meanwhile."""
        if saved is None:
            return None
        reason = "of other networks"
        try:
            content: dict[str, Any] = unpack(saved.content, saved.tensors, PACKED)
            lead = int(self._population.stacked)
            here, there = (
                {name: (t.shape[lead:], t.dtype) for name, t in named_tensors(tree) if name.split(".")[0] in FIXED}
                for tree in (self._population.state.tensors(), content["tensors"])
            )
            if here == there:
                return content
        except (KeyError, TypeError, ValueError):  # of code between two versions, or it would have another format
            reason = "laid out otherwise"
        if self._checkpoints is not None:
            self._checkpoints.tell(f"checkpoint {saved.name}-{saved.number:06d} is {reason}; runs begin anew.")
        return None

    @torch.no_grad()
    def _restore(self, content: dict[str, Any], places: Sequence[int]) -> None:
        """Go on from a checkpoint with some of its members, given by their places in it."""
        population, place, index = self._population, content["place"], torch.tensor(places)
        state, tree = population.state, content["tensors"]
        self._size, self._task, self._executor = content["size"], content["task"], content["executor"]
        self._began -= content["seconds"]
        population.timings |= content["timings"]

        if tree["frozen"] is not None:
            state.frozen = map_tensors(lambda t: t.detach().clone(), state.weights)
        new = dict(named_tensors(tree))
        state.method = map_tensors(lambda t: t[index].to(population.device), tree["method"])  # may have grown
        for name, tensor in named_tensors(state.tensors()):
            if not name.startswith("method."):
                own = new[name][index] if population.stacked else new[name]
                tensor.copy_(own)  # into the layout that it has: channels last makes other last bits
        book: Book = content["book"] if place is None else place.before
        state.restore(book.take(places))
        if place is not None:
            self._start = Place(
                place.task, place.phase, place.chunk, place.step, book.take(places),
                place.steps[places], place.updates[places], place.loss_sum[index], place.chunk_sum[index],
            )  # fmt: skip

    def _agree(self) -> None:
        """Hold what the processes of the run have come to against each other."""
        if self._team is not None:
            state = self._population.state
            memories = [memory and (memory.rows.tolist(), memory.labels.tolist()) for memory in state.memories]
            weights = [tensor for _, tensor in named_tensors(state.weights)]
            self._team.agree((self._task, self._start and (self._start.chunk, self._start.step), memories), weights)

    def _end_task(self) -> None:
        """Judge the members; those that are no longer finite are out."""
        self._agree()
        population, task = self._population, self._task
        for member, sample in zip(self._alive, population.samples or [], strict=False):
            member.record.samples.append(sample)
        finite = population.finite()
        if not all(finite):
            for k, good in enumerate(finite):
                if not good:
                    self._finish(k, {"task": task, "reason": "its loss or its weights are not finite"})
            kept = [k for k, good in enumerate(finite) if good]
            self._alive = [self._alive[k] for k in kept]
            if not kept:
                return
            population.keep(kept)
        for member, evaluation in zip(self._alive, population.evaluate(task), strict=True):
            member.record.add(task, evaluation)

    def _finish(self, k: int, diverged: dict[str, Any] | None) -> None:
        member, elapsed = self._alive[k], time.perf_counter() - self._began
        times = {part: seconds / self._size for part, seconds in self._population.timings.items()}
        outcome = member.record.outcome(diverged, elapsed / self._size, times, self._executor, self._population, k)
        self._report.outcome(member.index, outcome)
        self._report.progress(max(0.0, 1 - member.done / member.total))

    def _on_steps(self, members: Sequence[int], count: int) -> None:
        for k in members:
            self._alive[k].done += count
        self._report.progress(sum(count / self._alive[k].total for k in members))

    def _on_evaluation(self, k: int, step: int, task: int, evaluation: Evaluation) -> None:
        self._alive[k].record.add_anytime(step, task, evaluation)
