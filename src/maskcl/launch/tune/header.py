"""What stands at the head of a tuned experiment file: what made it, from what, at what cost, and how good it was."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import maskcl
from maskcl.errors import counted
from maskcl.experiment.files import Source
from maskcl.launch.tune.study import Study, Tuned
from maskcl.results import percent

__all__ = ["header", "text", "told"]


def header(study: Study, command: str, source: Source) -> list[str]:
    """Return comment lines.

    Args:
        study: What was found.
        command: What makes the file; it is known by this line.
        source: What was tuned.
    """
    search, trials = study.search, len(study.settings[0].trials)
    runs, seconds = study.cost
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "optuna"))
    lines = [
        "Tuned: the best values of a search, judged on held-out training rows. Test rows were not looked at.",
        "",
        f"  {command}",
        "",
        f"From: {'a dict' if isinstance(source, Mapping) else Path(source).name}",
        "Space:",
        *(f"  {key}: {axis}" for key, axis in search.space.items()),
        f"Metric: {search.metric}, {'higher' if search.higher else 'lower'} is better, on {study.fraction:g} of each "
        f"class's training rows, mean of {counted(study.settings[0].best.runs, 'seed')}",
        "Found, in percent, with a 95 % interval over seeds; the best of many flatters, the test rows will tell:",
        *(f"  {line}" for line in map(_line, study.settings, [search.metric] * len(study.settings))),
        f"Diverged: {study.diverged} of {counted(study.num_trials, 'trial')}, counted as the worst",
        f"Cost: {counted(trials, 'trial')} a setting, {counted(runs, 'run')}, {seconds:.1f} seconds",
        f"Versions: maskcl {maskcl.__version__}, {libraries}, Python {platform.python_version()}",
    ]
    return [f"# {line}".rstrip() for line in lines]


def _line(tuned: Tuned, metric: str) -> str:
    setting = f"{told(tuned.setting)}: " if tuned.setting else ""
    return f"{setting}{told(tuned.best.values)}: {metric} {percent(tuned.best.figure)}"


def told(values: Mapping[str, Any]) -> str:
    """Return keys and values in one line.

    >>> told({"method": {"name": "er", "replay_batch": 10}, "optimizer.lr": 0.1, "mask": "none"})
    'method = {"name": "er", "replay_batch": 10}, optimizer.lr = 0.1, mask = none'
    """
    return ", ".join(f"{key} = {text(value)}" for key, value in values.items())


def text(value: Any) -> str:
    """Return one value as text in one line."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
