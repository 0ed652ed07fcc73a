"""Plans of single members for tests: 100 rows, 4 classes, 2 tasks; any draws, any sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from maskcl import class_incremental, from_arrays
from maskcl.augment import Augment
from maskcl.engine import RunSpec, Seeds, TrainingConfig
from maskcl.engine.plan import MemberPlan, plan_member
from maskcl.memory import MemoryConfig, MemoryState
from maskcl.methods import Draw, Method, Needs
from maskcl.scenario import Scenario

NUM_CLASSES = 4
LABELS = np.arange(100) % NUM_CLASSES
IMAGES = np.zeros((100, 1, 4, 4), np.float32)


def scenario_of(labels: np.ndarray, tasks: list[list[int]]) -> Scenario:
    """Tasks of images, one row a label."""
    images = IMAGES[: len(labels)]
    return class_incremental(from_arrays(images, labels, images, labels), tasks=tasks)


TASKS = scenario_of(LABELS, [[0, 2], [1, 3]])


@dataclass(frozen=True, kw_only=True)
class Drawing(Method):
    """What is drawn, and nothing of what is learnt."""

    key: ClassVar[str] = "drawing"
    title: ClassVar[str] = "Drawing"

    draws: tuple[Draw, ...] = (Draw(3, stored_logits=True), Draw(2))
    replay_from_task: int = 0
    views: int = 1

    @property
    def needs(self) -> Needs:
        return Needs(draws=self.draws, replay_from_task=self.replay_from_task, views=self.views)


class AnySpec(RunSpec):
    """A run whose settings need not fit together: a plan is right beyond what a run may ask for."""

    def __post_init__(self) -> None:
        pass


def member(
    rows: np.ndarray,
    *,
    size: int | None = 5,
    batch_size: int = 4,
    epochs: int = 1,
    seed: int = 0,
    task: int = 0,
    memory: MemoryState | None = None,
    tasks: Scenario = TASKS,
    policy: str = "reservoir",
    augment: Augment | None = None,
    last_seen: np.ndarray | None = None,
    position: int = 0,
    phase: int = 0,
    writes: bool = True,
    makes: bool = False,
    rates: np.ndarray | None = None,
    recent: np.ndarray | None = None,
    **method: Any,
) -> MemberPlan:
    """Plan one member's phase; size None: without a memory."""
    spec = AnySpec(
        name="a",
        scenario=tasks,
        method=Drawing(**method),
        memory=None if size is None else MemoryConfig(size=size, policy=policy),
        training=TrainingConfig(batch_size=batch_size, epochs=epochs, augment=augment),
        seeds=Seeds(initialisation=0, sampling=seed),
    )
    return plan_member(
        spec, task=task, rows=rows, epochs=epochs,
        memory=memory if memory is not None or size is None else MemoryState.empty(size, NUM_CLASSES),
        last_seen=np.full(NUM_CLASSES, -1) if last_seen is None else last_seen, position=position, phase=phase,
        writes=writes, makes=makes, rates=rates, recent=np.zeros(0, np.int64) if recent is None else recent,
    )  # fmt: skip
