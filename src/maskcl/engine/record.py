"""One run's matrices as they fill, and the outcome they become."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskcl.engine.evaluate import Evaluation
from maskcl.engine.moves import shift
from maskcl.engine.population import Population
from maskcl.engine.spec import Outcome, RunSpec

__all__ = ["Record"]

MOST = 1e30
"""Of a score: some methods give -inf, and runs that diverge pass by all numbers."""


class Record:
    """One run's matrices as they fill."""

    def __init__(self, spec: RunSpec, untrained: Evaluation) -> None:
        self.spec, self.untrained, num_tasks = spec, untrained, spec.scenario.num_tasks
        self.matrices: dict[str, np.ndarray] = {
            name: np.full((num_tasks, num_tasks), np.nan)
            for name in ("class_incremental", "task_incremental", "confidence", "level")
        }
        self.newest_share = np.full(num_tasks, np.nan)
        self.weight_shift = np.full(num_tasks, np.nan)
        self.began_at = untrained.weights
        self.anytime: list[tuple[int, int, np.ndarray, np.ndarray, np.ndarray, float]] = []
        self.samples: list[dict[str, Any]] = []
        self.confusion: dict[str, Any] | None = None

    def content(self) -> dict[str, Any]:
        """All that is in it but the run's settings, for a checkpoint."""
        return {name: value for name, value in vars(self).items() if name != "spec"}

    @classmethod
    def restored(cls, spec: RunSpec, content: dict[str, Any]) -> Record:
        """Return the record that `content` was taken from."""
        record = cls(spec, content["untrained"])
        vars(record).update(content)
        return record

    def add(self, task: int, evaluation: Evaluation) -> None:
        """Take an evaluation at a task's end."""
        for name, matrix in self.matrices.items():
            matrix[task] = _finite(evaluation.level, len(matrix)) if name == "level" else getattr(evaluation, name)
        self.newest_share[task] = evaluation.newest_share
        self.weight_shift[task], self.began_at = shift(self.began_at, evaluation.weights), evaluation.weights
        self.confusion = evaluation.confusion

    def add_anytime(self, step: int, task: int, evaluation: Evaluation) -> None:
        """Take an evaluation within a task."""
        level = _finite(evaluation.level, len(self.newest_share))
        moved = shift(self.began_at, evaluation.weights)
        self.anytime.append((step, task, evaluation.class_incremental, evaluation.confidence, level, moved))

    def outcome(
        self,
        diverged: dict[str, Any] | None,
        seconds: float,
        timings: dict[str, float],
        executor: dict[str, Any],
        population: Population,
        member: int,
    ) -> Outcome:
        """Return what came out; `member` is its place in the population by now."""
        anytime = None
        if self.anytime:
            names = ("step", "task", "class_incremental", "confidence", "level", "weight_shift")
            anytime = {
                name: np.array(column) for name, column in zip(names, zip(*self.anytime, strict=True), strict=True)
            }
        return Outcome(
            spec=self.spec,
            status="finished" if diverged is None else "diverged",
            diverged=diverged,
            **self.matrices,
            newest_share=self.newest_share,
            weight_shift=self.weight_shift,
            untrained={
                "class_incremental": self.untrained.class_incremental,
                "task_incremental": self.untrained.task_incremental,
            },
            anytime=anytime,
            confusion=self.confusion,
            seconds=seconds,
            timings=timings,
            executor=executor,
            num_parameters=population.num_parameters,
            memory_bytes=population.memory_bytes,
            samples=_with_last_pictures(self.samples) or None,
            network=population.network(member) if self.spec.training.save_weights else None,
        )


def _finite(level: np.ndarray | None, num_tasks: int) -> np.ndarray:
    """Scores by task, [T]; NaN for those that are unknown, or too large to mean anything."""
    return np.full(num_tasks, np.nan) if level is None else np.where(np.abs(level) < MOST, level, np.nan)


def _with_last_pictures(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the pictures of the last task alone: it has all old classes, and files stay small."""
    return [{k: v for k, v in one.items() if k != "pictures" or one is samples[-1]} for one in samples]
