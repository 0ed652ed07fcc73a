"""Experiments: TOML files or dicts, grids, and `maskcl.run`."""

from maskcl.experiment.plan import Plan, Planned, plan, read_experiment
from maskcl.experiment.run import EXECUTORS, execute, run
from maskcl.experiment.schema import ExperimentFile, json_schema

__all__ = [
    "EXECUTORS",
    "ExperimentFile",
    "Plan",
    "Planned",
    "execute",
    "json_schema",
    "plan",
    "read_experiment",
    "run",
]
