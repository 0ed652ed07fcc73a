"""What `maskcl.run` and `plan` are given in Python, held against what it must be."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from maskcl.data import Dataset
from maskcl.errors import ConfigError, check, message
from maskcl.experiment.files import check_names
from maskcl.experiment.grid import count
from maskcl.experiment.schema import experiment_file
from maskcl.networks import Network, as_network
from maskcl.scenario import Scenario

__all__ = ["MOST_RUNS", "check_arguments", "check_folder", "check_number", "given_network", "try_folder"]

MOST_RUNS = 100_000
"""Runs of one experiment: settings times seeds. More than that is a slip of the keyboard."""


def check_arguments(out: Any, overrides: Any, data_root: Any, dataset: Any, scenario: Any) -> None:
    """Refuse arguments of other types than they must have, and a folder that cannot be written into."""
    for name, path in (("out", out), ("data root", data_root)):
        good = path is None or isinstance(path, (str, os.PathLike))
        check(good and str(path) != "", name, "must be a folder, by its path", path)
    if out is not None:
        check_folder(Path(out))
    if overrides is not None:
        must = "must be a dict of dotted keys and their values"
        check(isinstance(overrides, Mapping), "overrides", must, overrides)
        check_names(overrides, "overrides")
    good, hint = dataset is None or isinstance(dataset, Dataset), "maskcl.from_arrays(...) makes one"
    check(good, "dataset", "must be a data set", type(dataset).__name__, hint=hint)
    good, hint = scenario is None or isinstance(scenario, Scenario), "maskcl.class_incremental(...) makes one"
    check(good, "scenario", "must be a scenario", type(scenario).__name__, hint=hint)


def check_number(raw: Mapping[str, Any], where: str) -> None:
    """Refuse more runs than anyone means, before any of them is made."""
    seeds = raw.get("seeds", experiment_file().model_fields["seeds"].default)
    total = count(raw, where) * _how_many(seeds)
    must = f"must come to {MOST_RUNS:,} runs or fewer, settings times seeds"
    check(total <= MOST_RUNS, where, must, total if total < 10**24 else "more than 10**24")
    large = isinstance(seeds, Sequence) and any(isinstance(seed, int) and seed >= 2**128 for seed in seeds)
    check(not large, f"{where}: seeds", "must be below 2**128 each")


def _how_many(seeds: Any) -> int:
    """How many seeds there are; what is no number and no list is refused with the other settings."""
    if isinstance(seeds, (int, np.integer)):
        return max(0, int(seeds))
    try:
        return len(seeds)
    except TypeError:
        return 1
    except OverflowError:  # range(10**30)
        return sys.maxsize


def check_folder(out: Path, name: str = "out") -> None:
    """Refuse what can be no folder to write into, before anything has been computed; `name` is the argument's."""
    there = next((path for path in (out, *out.absolute().parents) if os.path.exists(path)), out)
    check(os.path.isdir(there), name, "must be a folder, or a new one's name", str(out))
    check(os.access(there, os.W_OK), name, "must be a folder that can be written", str(out))


def try_folder(out: Path, name: str = "out") -> None:
    """Make the folder of results, and raise ConfigError unless a file can be written there: before the first run.

    Permissions do not tell: a file system may be read-only, or full, or none at all (/proc).
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out) as file:
            file.write(b"x")
    except OSError as error:
        must = f"must be a folder that can be written ({error.strerror or error})"
        raise ConfigError(message(name, must, str(out))) from error


def given_network(network: Any, settings: Sequence[Mapping[str, Any]], where: str) -> Network:
    """Return the network that was given in Python, unless file, grid or overrides name one as well."""
    table = next((setting["network"] for setting in settings if "network" in setting), None)
    check(table is None, f"{where}: [network]", "must be left out where a network is given", table)
    return as_network(network)
