"""Experiments: TOML files or dicts, grids, and `maskcl.run`."""

from maskcl.experiment.editors import json_schema
from maskcl.experiment.files import Sections, parse_overrides, read_experiment, shipped
from maskcl.experiment.planning import Plan, Planned, plan
from maskcl.experiment.repeat import Repeated, Restored, repeat, restore
from maskcl.experiment.runner import EXECUTORS, carry_out, execute, run
from maskcl.experiment.schema import experiment_file
from maskcl.experiment.search import Choices, Range, Search, read_search

__all__ = [
    "EXECUTORS",
    "Choices",
    "Plan",
    "Planned",
    "Range",
    "Repeated",
    "Restored",
    "Search",
    "Sections",
    "carry_out",
    "execute",
    "experiment_file",
    "json_schema",
    "parse_overrides",
    "plan",
    "read_experiment",
    "read_search",
    "repeat",
    "restore",
    "run",
    "shipped",
]
