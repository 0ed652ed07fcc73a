"""What a learner is between two calls: an engine population of one, resting on the rows of its memory.

Classes are numbers here, and rows arrays. The table is [slots | new rows]: the row in slot s has id s. See
docs/design/learner.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcl.data import Dataset
from maskcl.data.checks import Inputs
from maskcl.engine.build import build_parts, initial_state
from maskcl.engine.model import Parts
from maskcl.engine.population import Population
from maskcl.engine.spec import RunSpec, Seeds
from maskcl.engine.state import State
from maskcl.engine.table import over
from maskcl.errors import DataError, check
from maskcl.experiment.config import Config, blaming
from maskcl.learner.grow import grown_state
from maskcl.learner.progress import OnProgress, counting
from maskcl.learner.single import tell_single_row
from maskcl.learner.sizes import check_network_fits, check_plan_fits, check_rows_fit
from maskcl.learner.stream import Stream
from maskcl.learner.tasks import hidden_classes, union, with_task
from maskcl.scenario import Scenario

__all__ = ["Core"]

Ints = NDArray[np.int64]
NO_ROWS = np.zeros(0, np.int64)


class Core:
    """A network, its optimiser, memory and method, learning on.

    Args:
        config: Settings.
        seed: Of initial weights and of all chance in training.
        num_classes: Outputs to begin with, 2 or more.
        like: Rows of the kind that will come, [1 or more, *shape]: float32, or uint8 images.
        known: The first so many classes are what the network knows already.
        input_range: Lowest and highest value of inputs; None: as rows have them so far.
    """

    def __init__(
        self,
        config: Config,
        *,
        seed: int,
        num_classes: int,
        like: Inputs,
        known: int = 0,
        input_range: tuple[float, float] | None = None,
    ) -> None:
        self.config, self.seed, self.num_classes, self.streaming = config, seed, num_classes, False
        self.fixed_range, self.input_range = input_range is not None, input_range or _range(like)
        self.tasks: list[tuple[int, ...]] = [tuple(range(known))] if known else []
        check_rows_fit(config, like)
        empty = np.full((self.num_slots, *like.shape[1:]), self._fill(like.dtype), like.dtype)
        self._rest(empty, None)
        if known:  # that task is over
            self.population.freeze()

    @classmethod
    def restored(
        cls,
        config: Config,
        *,
        seed: int,
        num_classes: int,
        slots: Inputs,
        input_range: tuple[float, float],
        tasks: Sequence[Sequence[int]],
        streaming: bool,
        fixed_range: bool,
        state: Callable[[State], State],
    ) -> Core:
        """Return a core that stands where another one stood.

        Args:
            config: Its settings.
            seed: Its seed.
            num_classes: Its outputs.
            slots: The rows in its memory, [M, *shape]; with one row more, whatever its values, where there are none.
            input_range: Its range.
            tasks: Classes of each of its tasks.
            streaming: Whether the last one is a stream.
            fixed_range: Whether its range was given, and is not what rows had.
            state: Given the state that such a core begins with, returns the one it had.
        """
        core = cls(config, seed=seed, num_classes=num_classes, like=slots, input_range=input_range)
        core.tasks = [tuple(classes) for classes in tasks]
        core.streaming, core.fixed_range = streaming, fixed_range
        core._rest(slots[: core.num_slots], state(core.state))
        return core

    @property
    def num_slots(self) -> int:
        """Slots of the memory, M."""
        return 0 if self.config.memory is None else self.config.memory.size

    @property
    def state(self) -> State:
        """The engine's state."""
        return self.population.state

    @property
    def slots(self) -> Inputs:
        """The rows in the memory's slots, [M, *shape]."""
        return self.rows[: self.num_slots]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.rows.shape[1:]

    def fit(
        self, inputs: Inputs, labels: Ints, *, epochs: int, num_classes: int, on_progress: OnProgress | None = None
    ) -> None:
        """Learn a task: all or nothing.

        Args:
            inputs: Rows [n, *shape], of the type and shape that came before.
            labels: Their classes, int64 [n].
            epochs: Passes.
            num_classes: Outputs from now on, no fewer than before.
            on_progress: Told (steps done, steps in all) now and then.

        Raises:
            MaskclError: Settings that do not suit these rows, or a loss that is not finite; nothing has changed.
        """
        check_plan_fits(len(labels), epochs)
        with self._whole_or_not_at_all():
            slots = self.num_slots
            self._widen_range(inputs)
            self.tasks = with_task(self.tasks, tuple(np.unique(labels).tolist()))
            table = np.concatenate([self.slots, inputs])
            spec = self._spec(table, np.concatenate([self._slot_labels(), labels]), num_classes,
                              rows=slots + np.arange(len(labels)), epochs=epochs)  # fmt: skip
            population = self._population(spec, num_classes)
            population.fit_task(len(self.tasks) - 1, on_steps=counting(population, on_progress))
            check(population.finite()[0], "Learner.fit", "must end with finite weights, and the loss ran away",
                  error=DataError, hint="lower lr, or scale the inputs")  # fmt: skip
            state, memory = population.state, population.state.memories[0]
            kept = self.slots.copy()
            if memory is not None:
                full = np.flatnonzero(memory.rows >= 0)
                kept[full] = table[memory.rows[full]]
                memory.rows[full] = full
            self.num_classes, self.streaming = num_classes, False
            self._rest(kept, state, parts=population.parts)

    def step(self, inputs: Inputs, labels: Ints, *, num_classes: int) -> float:
        """Learn from one batch of a stream that has no tasks: one step, or nothing; returns its loss.

        Args:
            inputs: Rows [n, *shape], at most a batch.
            labels: Their classes, int64 [n].
            num_classes: Outputs from now on, where one of the classes is new.

        Raises:
            MaskclError: Settings that do not suit these rows, or a loss that is not finite; nothing has changed.
        """
        here = self.tasks[-1] if self.streaming else ()
        if set(labels.tolist()) <= set(here) and self._in_range(inputs):
            return self.stream.step(inputs, labels)
        with self._whole_or_not_at_all():
            self._begin_stream(inputs, labels, num_classes)
            return self.stream.step(inputs, labels)

    @torch.no_grad()
    def scores(self, inputs: Inputs) -> Tensor:
        """What the method predicts by, [n, C] on the CPU; classes that must not be predicted have -inf."""
        population, some = self.population, self.population.parts.rows_at_once
        task = max(0, len(self.tasks) - 1)
        predict, table = population.predictor(0, task), population.data.train
        parts = []
        for start in range(0, len(inputs), some):
            parts.append(predict(table.finished(over(inputs[start : start + some]).to(table.stored))))
        scores = torch.cat(parts).cpu()
        return scores.masked_fill(hidden_classes(self.config.method.mask, self.tasks, self.num_classes), -torch.inf)

    def put(self, ids: Ints, inputs: Inputs) -> None:
        """Write rows into the resting table."""
        self.rows[ids] = inputs
        table = self.population.data.train.stored
        if not self._shares:
            table[torch.from_numpy(ids).to(table.device)] = over(inputs).to(table)

    def _begin_stream(self, inputs: Inputs, labels: Ints, num_classes: int) -> None:
        """Let the stream's classes be one task, which begins now or has more of them."""
        self._widen_range(inputs)
        here = self.tasks[-1] if self.streaming else ()
        self.tasks = with_task(self.tasks[:-1] if self.streaming else self.tasks, union(here, labels))
        self.num_classes, self.streaming = num_classes, True
        self._rest(self.slots, self.state)

    @contextmanager
    def _whole_or_not_at_all(self) -> Iterator[None]:
        """Stand where this stood before when something fails or is stopped: inside, all that changes is a copy."""
        before = vars(self).copy()
        try:
            yield
        except BaseException as error:
            vars(self).update(before)
            tell_single_row(error, self.population.specs[0])
            raise

    def _rest(self, slots: Inputs, state: State | None, *, parts: Parts | None = None) -> None:
        """Stand on the memory's rows, with room for one batch; `parts`: the network, where it is built already."""
        room = self.config.training.batch_size
        rows = np.concatenate([slots, np.full((room, *slots.shape[1:]), self._fill(slots.dtype), slots.dtype)])
        if state is None:
            spec = self._spec(rows, np.zeros(len(rows), np.int64), self.num_classes)
            check_network_fits(spec)
            with blaming("Learner"):
                population = Population([spec], stacked=False)
        else:
            labels = np.concatenate([self._slot_labels(state), np.zeros(room, np.int64)])
            spec = self._spec(rows, labels, self.num_classes)
            population = self._population(spec, self.num_classes, state=state, parts=parts)
        self.rows, self.population = rows, population
        stored = population.data.train.stored
        self._shares = stored.device.type == "cpu" and stored.data_ptr() == rows.ctypes.data
        self.stream = Stream(self)

    def _population(
        self, spec: RunSpec, num_classes: int, *, state: State | None = None, parts: Parts | None = None
    ) -> Population:
        """The engine's population of one that goes on from a state, with more outputs if there are more classes."""
        before = self.state if state is None else state
        with blaming("Learner"):
            parts = build_parts(spec) if parts is None else parts
        device, width = self.population.device, before.last_seen[0].shape[0]
        if width == num_classes:
            return Population([spec], stacked=False, state=before.copy(), parts=parts, device=device)
        policy = self.population.policy
        must = "must be told beforehand with a memory policy whose slots belong to classes: classes=[...]"
        check(policy is None or not policy.fixed_classes, "Learner: classes", must, num_classes)
        fresh = initial_state([spec], stacked=False, device=device, first=parts)
        grown = grown_state(before, fresh).copy()
        population = Population([spec], stacked=False, state=grown, parts=parts, device=device)
        memory = grown.memories[0]
        if population.needs.stores_logits and memory is not None and memory.filled:
            full = np.flatnonzero(memory.rows >= 0)
            made = population.view(0, len(self.tasks) - 1).outputs(memory.rows[full]).logits
            grown.stored[full, width:] = made[:, width:]
        return population

    def _spec(
        self, inputs: Inputs, labels: Ints, num_classes: int, *, rows: Ints = NO_ROWS, epochs: int = 1
    ) -> RunSpec:
        """A run whose newest task has some rows."""
        tasks = tuple(self.tasks) or ((),)
        dataset = Dataset("Learner", inputs, labels, inputs[-1:], labels[-1:], num_classes, self.input_range)
        train = (*(NO_ROWS for _ in tasks[1:]), rows)
        judged: Any = dataset.test_inputs
        scenario = Scenario(
            dataset, tasks, train, judged, dataset.test_labels, tuple(NO_ROWS for _ in tasks), open=True
        )
        config = self.config
        size = min(config.training.batch_size, len(rows) or config.training.batch_size)
        with blaming("Learner"):
            return RunSpec(
                name="Learner", scenario=scenario, method=config.method, network=config.network, memory=config.memory,
                optimizer=config.optimizer, training=replace(config.training, epochs=epochs, batch_size=size),
                seeds=Seeds(initialisation=self.seed, sampling=self.seed),
            )  # fmt: skip

    def _slot_labels(self, state: State | None = None) -> Ints:
        memory = (self.state if state is None else state).memories[0]
        return np.zeros(self.num_slots, np.int64) if memory is None else memory.labels.clip(min=0)

    def _fill(self, dtype: Any) -> Any:
        """What stands where no row is: a value that inputs may have."""
        return 0 if dtype == np.uint8 else np.float32(self.input_range[0])

    def _in_range(self, inputs: Inputs) -> bool:
        (low, high), (bottom, top) = _range(inputs), self.input_range
        return bottom <= low and high <= top

    def _widen_range(self, inputs: Inputs) -> None:
        if not self.fixed_range:
            (low, high), (bottom, top) = _range(inputs), self.input_range
            self.input_range = (min(low, bottom), max(high, top))


def _range(inputs: Inputs) -> tuple[float, float]:
    return (0.0, 1.0) if inputs.dtype == np.uint8 else (float(inputs.min()), float(inputs.max()))
