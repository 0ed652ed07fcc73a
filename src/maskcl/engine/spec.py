"""What one run is, before it runs and after."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskcl.errors import check, check_choice
from maskcl.memory import MemoryConfig
from maskcl.methods import Method
from maskcl.networks import NetworkConfig
from maskcl.optim import OptimizerConfig
from maskcl.scenario import Scenario

__all__ = ["Outcome", "RunSpec", "Seeds", "TrainingConfig"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and in what pieces.

    Args:
        batch_size: Stream rows a step; the last, partial batch of an epoch is kept.
        epochs: Passes over each task's rows.
        evaluate_every: Also evaluate every so many steps (anytime metrics); None: at task ends only.
        dtype: "float32" or "float64".
    """

    batch_size: int = 10
    epochs: int = 1
    evaluate_every: int | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "evaluate_every"):
            number = getattr(self, name)
            good = (number is None and name == "evaluate_every") or (
                isinstance(number, int) and not isinstance(number, bool) and number >= 1
            )
            check(good, f"training.{name}", "must be a whole number, 1 or more", number)
        check_choice(self.dtype, "training.dtype", ("float32", "float64"))


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Where chance enters: initial weights; order of the stream and replay draws."""

    initialisation: int = 0
    stream: int = 0


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One run.

    Args:
        name: How messages and results call it.
        scenario: The tasks.
        method: What a step does.
        network: The network, built for the scenario's inputs and classes.
        memory: The replay memory; None for methods without.
        optimizer: How parameters move.
        training: Batches and epochs.
        seeds: Initialisation and stream.
    """

    name: str
    scenario: Scenario
    method: Method
    network: NetworkConfig = field(default_factory=NetworkConfig)
    memory: MemoryConfig | None = None
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seeds: Seeds = field(default_factory=Seeds)

    def __post_init__(self) -> None:
        method, memory, scenario = self.method, self.memory, self.scenario
        size = 0 if memory is None else memory.size
        check(not method.needs_memory or size > 0, "memory.size", f"must be 1 or more with method '{method.key}'", size,
              hint="method 'finetune' learns without a memory")  # fmt: skip
        check(method.needs_memory or memory is None, "memory", f"is not used by method '{method.key}'", memory)
        if memory is not None and memory.policy == "ring":
            least = scenario.num_classes
            must = f"must be {least} or more with policy 'ring': a slot for each class"
            check(memory.size >= least, "memory.size", must, memory.size)
        smallest = min(len(rows) for rows in scenario.train_rows)
        check(self.training.batch_size <= smallest, "training.batch_size",
              f"must not be above the smallest task's {smallest} rows", self.training.batch_size)  # fmt: skip
        for name in ("replay_from_task",):
            first = getattr(method, name, 0)
            check(first == 0 or first < scenario.num_tasks, f"method.{name}",
                  f"must be below the number of tasks, {scenario.num_tasks}", first)  # fmt: skip
        self._check_mask()
        cfgm = method.cfgm
        if cfgm is not None:
            check(
                method.trains_on == "task", "cfgm", f"has no old classes to make with method '{method.key}'", cfgm.label
            )
            check(cfgm.from_task < scenario.num_tasks, "cfgm.from_task",
                  f"must be below the number of tasks, {scenario.num_tasks}", cfgm.from_task)  # fmt: skip

    def _check_mask(self) -> None:
        mask, tasks = self.method.mask, self.scenario.tasks
        if mask is None:
            return
        check(mask.from_task == 0 or mask.from_task < len(tasks) or self.method.key == "er_ace", "mask.from_task",
              f"must be below the number of tasks, {len(tasks)}", mask.from_task)  # fmt: skip
        if mask.removes_inactive:
            name, dial = ("value", mask.value) if mask.leak is None else ("leak", mask.leak)
            for t, classes in enumerate(tasks):
                compared = len(classes) > 1 or t < mask.from_task or (mask.keep_future and t < len(tasks) - 1)
                check(compared, f"mask.{name}",
                      f"must leave old classes in the softmax: task {t} has one class, and its loss would be 0", dial,
                      hint="use a finite value, or a leak above 0")  # fmt: skip
        batch, window = self.training.batch_size, mask.recent_rows
        check(
            window is None or window >= batch, "mask.recent_rows", f"must be the batch size, {batch}, or more", window
        )
        check(not (mask.removes_inactive and mask.policy == "batch" and self.training.batch_size == 1),
              "training.batch_size", "must be 2 or more with mask policy 'batch' and m = -inf, or no class is compared",
              self.training.batch_size)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out of one run.

    Attributes:
        spec: The run.
        status: "finished" or "diverged".
        diverged: None, or the task after which, and why.
        class_incremental: a[t, u], accuracy after task t on task u, [T, T]; NaN where not evaluated.
        task_incremental: The same with the argmax within the row's own task.
        confidence: Mean softmax probability of the true class, [T, T].
        newest_share: Share of predictions that fall on the newest task's classes, over tasks met so far, [T].
        untrained: Both accuracies of the untrained network by task, [T] each.
        anytime: None, or steps [E], tasks [E], class_incremental [E, T] and confidence [E, T].
        seconds: This run's share of the wall time.
        timings: Its parts: planning, training, evaluation.
        executor: What ran it, and why.
        num_parameters: Of the network.
        memory_bytes: Of the replay memory: row ids, labels and stored logits; the images are not copied.
        samples: What CFGM made, a record for each task it was used in (`look_at_samples`); None without CFGM.
    """

    spec: RunSpec
    status: str
    diverged: dict[str, Any] | None
    class_incremental: NDArray[np.float64]
    task_incremental: NDArray[np.float64]
    confidence: NDArray[np.float64]
    newest_share: NDArray[np.float64]
    untrained: dict[str, NDArray[np.float64]]
    anytime: dict[str, NDArray[Any]] | None
    seconds: float
    timings: dict[str, float]
    executor: dict[str, Any]
    num_parameters: int
    memory_bytes: int
    samples: list[dict[str, Any]] | None = None
