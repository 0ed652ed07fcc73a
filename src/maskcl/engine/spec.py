"""What one run is, before it runs and after."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from maskcl.augment import Augment
from maskcl.devices import DEVICES, PRECISIONS
from maskcl.engine.dials import structure
from maskcl.engine.fits import check_spec
from maskcl.errors import check, check_choice, is_number, is_whole
from maskcl.memory import MemoryConfig
from maskcl.methods import Method, Phase
from maskcl.networks import Mlp, Network
from maskcl.optim import OptimizerConfig
from maskcl.scenario import Scenario
from maskcl.schedule import Schedule

__all__ = ["Outcome", "RunSpec", "Seeds", "TrainingConfig"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and in what pieces.

    Args:
        batch_size: Stream rows a step; the last, partial batch of an epoch is kept.
        epochs: Passes over each task's rows.
        evaluate_every: Also evaluate every so many steps (anytime metrics); None: at task ends only.
        dtype: Type of weights, losses and evaluation, "float32" or "float64".
        precision: Type of the products of a step, "float32", "bfloat16" or "float16" (autocast, for float16 with a loss
            scale); with "float32" they have the dtype.
        device: Where it is computed, "cpu", "cuda", "mps" or "auto" (the first of cuda, mps, cpu that is there).
        channels_last: Whether weights of convolutions are laid out channels last, which is faster; not in populations,
            nor with strided 1 x 1 convolutions of fewer than 16 channels, which PyTorch computes wrongly on some CPUs.
        compile: Whether the network's training pass is compiled by PyTorch; not in populations.
        schedule: How the learning rate goes; None: constant.
        augment: How images are changed; None: not at all.
        label_smoothing: Share of each target that is spread evenly over the classes in the softmax, 0 to 1.
        average: Share of each task's last steps whose weights are averaged, 0 to 1, in the task's end: it goes on with
            their mean. 0: none. Evaluations within a task are of weights as they are. Source: arXiv 1803.05407.
        save_weights: Whether the trained network is written beside the result.
        checkpoint_every: Steps between two checkpoints, which are written at task ends too; 0: none are; None: at most
            every minute. They are written where results are, and change none.
    """

    batch_size: int = 10
    epochs: int = 1
    evaluate_every: int | None = None
    dtype: str = "float32"
    precision: str = "float32"
    device: str = "cpu"
    channels_last: bool = False
    compile: bool = False
    schedule: Schedule | None = None
    augment: Augment | None = None
    label_smoothing: float = 0.0
    average: float = 0.0
    save_weights: bool = False
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "evaluate_every"):
            number = getattr(self, name)
            good = (number is None and name == "evaluate_every") or (is_whole(number) and number >= 1)
            check(good, f"training.{name}", "must be a whole number, 1 or more", number)
        every = self.checkpoint_every
        good = every is None or (is_whole(every) and every >= 0)
        check(good, "training.checkpoint_every", "must be a whole number of steps, 0 or more", every)
        check_choice(self.dtype, "training.dtype", ("float32", "float64"))
        check_choice(self.precision, "training.precision", PRECISIONS)
        check(self.precision == "float32" or self.dtype == "float32", "training.precision",
              f"must be left out with dtype {self.dtype!r}, which asks for more", self.precision)  # fmt: skip
        # No near name: it would be of a device that may not be there.
        numbered = str(self.device).startswith("cuda:")
        hint = '"cuda" is the first GPU that the process sees; CUDA_VISIBLE_DEVICES says which those are'
        check(self.device in DEVICES, "training.device", f"must be one of {', '.join(DEVICES)}", self.device,
              hint=hint if numbered else None)  # fmt: skip
        smoothing = self.label_smoothing
        good = is_number(smoothing) and 0 <= smoothing < 1
        check(good, "training.label_smoothing", "must be 0 or more and below 1", smoothing)
        good = is_number(self.average) and 0 <= self.average <= 1
        check(good, "training.average", "must be a share of a task's steps, 0 to 1", self.average)
        for name in ("channels_last", "compile", "save_weights"):
            check(isinstance(getattr(self, name), bool), f"training.{name}", "must be true or false",
                  getattr(self, name))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Where chance enters a run.

    Args:
        initialisation: Initial weights.
        sampling: Order of the stream, what enters the memory, what is drawn from it, views, old classes of samples.
    """

    initialisation: int = 0
    sampling: int = 0


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
        seeds: Initialisation and sampling.
    """

    name: str
    scenario: Scenario
    method: Method
    network: Network = field(default_factory=Mlp)
    memory: MemoryConfig | None = None
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seeds: Seeds = field(default_factory=Seeds)

    def __post_init__(self) -> None:
        if self.memory is not None and self.memory.policy is None:
            object.__setattr__(self, "memory", replace(self.memory, policy=self.method.needs.policy))
        check_spec(self)

    @property
    def phases(self) -> list[Phase]:
        """The phases of all tasks, one after the other."""
        num_tasks = self.scenario.num_tasks
        return [phase for task in range(num_tasks) for phase in self.method.phases(task, num_tasks)]

    @property
    def built(self) -> Hashable:
        """What says which network is built, up to its initial weights."""
        return structure(self.network), self.scenario.dataset.input_shape, self.scenario.num_classes

    @property
    def structure(self) -> Hashable:
        """What is equal for runs that differ in numbers, seeds, names and scenarios alone."""
        return tuple(map(structure, (self.method, self.network, self.memory, self.optimizer, self.training)))


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
        level: Mean score of the true class (a logit, for most methods) on task u after task t, [T, T].
        weight_shift: How far each task moved the weights, relative to their norm at its beginning, [T].
        anytime: None, or steps [E], tasks [E], class_incremental, confidence and level [E, T], and weight_shift [E]
            since the task's beginning.
        confusion: What was predicted for what after the last task (`maskcl.engine.evaluate.Evaluation`); None if it did
            not come to that.
        seconds: This run's share of the wall time.
        timings: Its parts: planning, training, evaluation.
        executor: What ran it, and why.
        num_parameters: Of the network.
        memory_bytes: Of the replay memory: row ids, labels and stored logits; the images are not copied.
        samples: What CFGM made, a record for each task it was used in (`look_at_samples`); None without CFGM.
        network: The trained network, if `training.save_weights`; None otherwise.
    """

    spec: RunSpec
    status: str
    diverged: dict[str, Any] | None
    class_incremental: NDArray[np.float64]
    task_incremental: NDArray[np.float64]
    confidence: NDArray[np.float64]
    newest_share: NDArray[np.float64]
    level: NDArray[np.float64]
    weight_shift: NDArray[np.float64]
    untrained: dict[str, NDArray[np.float64]]
    anytime: dict[str, NDArray[Any]] | None
    seconds: float
    timings: dict[str, float]
    executor: dict[str, Any]
    num_parameters: int
    memory_bytes: int
    samples: list[dict[str, Any]] | None = None
    confusion: dict[str, Any] | None = None
    network: nn.Module | None = None
