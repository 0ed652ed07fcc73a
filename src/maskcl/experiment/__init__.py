"""Experiments: TOML files or dicts, grids, and `maskcl.run`."""

from maskcl.experiment.editors import json_schema
from maskcl.experiment.files import parse_overrides, read_experiment, shipped
from maskcl.experiment.planning import Plan, Planned, plan
from maskcl.experiment.runner import EXECUTORS, carry_out, execute, run
from maskcl.experiment.schema import experiment_file

__all__ = [
    "EXECUTORS",
    "Plan",
    "Planned",
    "carry_out",
    "execute",
    "experiment_file",
    "json_schema",
    "parse_overrides",
    "plan",
    "read_experiment",
    "run",
    "shipped",
]
