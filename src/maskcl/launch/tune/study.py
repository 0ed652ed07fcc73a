"""What a search found: its trials, and the best of each setting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskcl.errors import ConfigError, check, message
from maskcl.experiment import Search
from maskcl.metrics import Interval, interval

__all__ = ["Study", "Trial", "Tuned", "best_of", "judge"]


@dataclass(frozen=True)
class Trial:
    """One try: values, and what came of them on held-out training rows.

    Attributes:
        number: Its place, from 0.
        values: What was tried, by dotted key.
        figure: The metric's mean over seeds with its 95 % interval, a fraction; NaN: it diverged.
        diverged: How many of its runs diverged; with one or more it counts as the worst.
        runs: How many runs it has, one a seed.
        seconds: What its runs took.
        config_hash: Of its results; equal for trials that tried the same.
    """

    number: int
    values: dict[str, Any]
    figure: Interval
    diverged: int
    runs: int
    seconds: float
    config_hash: str


@dataclass(frozen=True)
class Tuned:
    """One setting of the file's grid, and its trials.

    Attributes:
        setting: What the grid sets in it, by dotted key or section; empty without a grid.
        trials: In the order in which they were asked for.
        best: Of those that did not diverge the one with the best mean; the first of equals.
    """

    setting: dict[str, Any]
    trials: tuple[Trial, ...]
    best: Trial

    @property
    def diverged(self) -> int:
        """How many trials diverged."""
        return sum(trial.diverged > 0 for trial in self.trials)


@dataclass(frozen=True)
class Study:
    """What `maskcl.tune` found.

    Attributes:
        name: Of the experiment.
        search: Space and metric.
        fraction: Share of each class's training rows that the trials were judged by.
        settings: One of each setting of the file's grid, or the only one.
        experiment: The experiment with the best values, as sections for `maskcl.run`.
        file: Where it was written; None: nowhere.
        table: Where the table of trials was written; None: nowhere.
    """

    name: str
    search: Search
    fraction: float
    settings: tuple[Tuned, ...]
    experiment: dict[str, Any]
    file: Path | None = None
    table: Path | None = None

    @property
    def best(self) -> list[dict[str, Any]]:
        """The best values of each setting, by dotted key."""
        return [dict(tuned.best.values) for tuned in self.settings]

    @property
    def num_trials(self) -> int:
        """All trials of all settings."""
        return sum(len(tuned.trials) for tuned in self.settings)

    @property
    def diverged(self) -> int:
        """How many of them diverged."""
        return sum(tuned.diverged for tuned in self.settings)

    @property
    def cost(self) -> tuple[int, float]:
        """Runs and their seconds; what was tried twice was run once."""
        once = {trial.config_hash: trial for tuned in self.settings for trial in tuned.trials}
        return sum(trial.runs for trial in once.values()), sum(trial.seconds for trial in once.values())

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat dict a trial: what the grid sets, number, values, figure, half its interval, and the rest."""
        metric = self.search.metric
        return [
            {
                **tuned.setting,
                "trial": trial.number,
                **trial.values,
                metric: float(trial.figure.mean),
                f"{metric}_interval": float(trial.figure.half),
                "runs": trial.runs,
                "diverged": trial.diverged,
                "seconds": trial.seconds,
                "config_hash": trial.config_hash,
                "best": trial is tuned.best,
            }
            for tuned in self.settings
            for trial in tuned.trials
        ]

    def __repr__(self) -> str:
        return f"Study({self.num_trials} trials, best {self.best})"


def judge(number: int, values: Mapping[str, Any], documents: Sequence[Mapping[str, Any]], metric: str) -> Trial:
    """Return the trial of some runs' documents.

    Raises:
        ConfigError: The metric is not one of these runs.
    """
    finished = [document for document in documents if document["status"] == "finished"]
    for document in finished:
        there = {name for name, value in document["metrics"].items() if math.isfinite(value)}
        if metric not in there:
            must = "must be a metric that these runs have"
            raise ConfigError(message("[tune] metric", must, metric, choices=sorted(there)))
    diverged = len(documents) - len(finished)
    figures = [math.nan if diverged else document["metrics"][metric] for document in documents]
    seconds = sum(document.get("seconds", 0.0) for document in documents)
    return Trial(
        number, dict(values), interval(figures), diverged, len(documents), seconds, documents[0]["config_hash"]
    )


def best_of(trials: Sequence[Trial], where: str, *, higher: bool) -> Trial:
    """Return the best trial, the first of equals.

    Raises:
        ConfigError: All diverged.
    """
    good = [trial for trial in trials if not trial.diverged]
    must = f"must have values that can be learnt with, and each of {len(trials)} trials diverged"
    check(len(good) > 0, where, must, hint="a lower optimizer.lr, or [optimizer] clip_norm")
    return max(good, key=lambda trial: trial.figure.mean * (1 if higher else -1))
