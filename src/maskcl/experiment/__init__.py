"""Experiments: TOML files or dicts, grids, and `maskcl.run`."""

from maskcl.experiment.run import Plan, execute, plan, read_experiment, run
from maskcl.experiment.schema import ExperimentFile, json_schema

__all__ = ["ExperimentFile", "Plan", "execute", "json_schema", "plan", "read_experiment", "run"]
