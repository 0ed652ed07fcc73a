"""From a file or a dict to validated runs; nothing is run here, and nothing written."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskcl.data import Dataset
from maskcl.engine import RunSpec
from maskcl.errors import ConfigError, DataError, check, message
from maskcl.experiment.config import Config
from maskcl.experiment.files import Source, check_names, read_experiment
from maskcl.experiment.grid import count, expand, override, short_labels
from maskcl.experiment.parsing import parse
from maskcl.experiment.schema import experiment_file
from maskcl.experiment.world import World
from maskcl.results import config_hash, flat_config, read_result, result_path
from maskcl.scenario import Scenario

__all__ = ["MOST_RUNS", "Plan", "Planned", "plan"]

MOST_RUNS = 100_000
"""Runs of one experiment: settings times seeds. More than that is a slip of the keyboard."""


@dataclass(frozen=True)
class Planned:
    """One run to be.

    Attributes:
        label: Its setting's name.
        seed: Its seed.
        config: All its settings, as they go into the result.
        spec: What the engine gets.
        path: Its result file; None if nothing is written.
        done: The document of its result, if it is there already.
    """

    label: str
    seed: int
    config: dict[str, Any]
    spec: RunSpec
    path: Path | None
    done: dict[str, Any] | None


@dataclass(frozen=True)
class Plan:
    """All runs of an experiment, in the order of its file."""

    name: str
    runs: tuple[Planned, ...]

    @property
    def pending(self) -> tuple[Planned, ...]:
        """Those still to be run."""
        return tuple(run for run in self.runs if run.done is None)

    @property
    def labels(self) -> list[str]:
        """The settings."""
        return list(dict.fromkeys(run.label for run in self.runs))


def plan(
    source: Source,
    *,
    out: str | os.PathLike[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    overrides: Mapping[str, Any] | None = None,
    data_root: str | os.PathLike[str] | None = None,
    dataset: Dataset | None = None,
    scenario: Scenario | None = None,
) -> Plan:
    """Validate every run of an experiment. Arguments as for `maskcl.run`.

    Raises:
        ConfigError: For the first thing that is wrong with the settings.
        DataError: If data are missing or cannot be learnt from.
    """
    raw, where = read_experiment(source)
    _check_arguments(out, overrides, data_root, dataset, scenario)
    world = World(data_root=data_root, dataset=dataset, scenario=scenario)
    changes = {**(overrides or {}), **({} if seeds is None else {"seeds": seeds})}
    raw = override(raw, changes, where)
    _check_number(raw, where)
    if isinstance(raw.get("seeds"), range):
        raw["seeds"] = list(raw["seeds"])
    settings, varied = expand(raw, where)
    for setting in settings:
        world.check_raw(setting, where)
    by_grid, by_hand = ({key.split(".")[0] for key in keys} for keys in (varied, changes))
    other_method = "method" in by_grid or bool({"method", "method.name"} & set(changes))
    configs = [parse(setting, where, varies_method=other_method) for setting in settings]
    if all(config.memory is None for config in configs):
        given = "memory" in by_hand or ("memory" in by_grid | set(raw) and "method" not in by_hand)
        check(not given, f"{where}: [memory]", "must not be given, for no method here has a memory")
    hashed = _once_each(configs, world, where, memory_varies="memory" in by_grid)
    flats = [flat_config(config.resolved(0, world)) for config in hashed.values()]
    told = sorted(filter(_is_told, varied), key=lambda key: key != "memory.size")
    labels = short_labels([config.name for config in hashed.values()], flats, told)
    folders = {} if out is None else _folders(Path(out))
    runs = [
        run
        for (key, config), label in zip(hashed.items(), labels, strict=True)
        for run in _runs(config, label, world, out, folders.get(key))
    ]
    if data_root is not None:  # last: where data are missing, that message says more
        check(Path(data_root).is_dir(), "data root", "must be a folder", str(data_root))
    return Plan(configs[0].experiment, tuple(runs))


def _is_told(key: str) -> bool:
    """Whether a label has to tell a key, since the name of method and mask does not."""
    return key.split(".")[0] not in ("mask", "cfgm") and key not in ("method", "method.name")


def _check_arguments(out: Any, overrides: Any, data_root: Any, dataset: Any, scenario: Any) -> None:
    for name, path in (("out", out), ("data root", data_root)):
        good = path is None or isinstance(path, (str, os.PathLike))
        check(good, name, "must be a folder, by its path", path)
    if out is not None:
        _check_folder(Path(out))
    if overrides is not None:
        must = "must be a dict of dotted keys and their values"
        check(isinstance(overrides, Mapping), "overrides", must, overrides)
        check_names(overrides, "overrides")
    good, hint = dataset is None or isinstance(dataset, Dataset), "maskcl.from_arrays(...) makes one"
    check(good, "dataset", "must be a data set", type(dataset).__name__, hint=hint)
    good, hint = scenario is None or isinstance(scenario, Scenario), "maskcl.class_incremental(...) makes one"
    check(good, "scenario", "must be a scenario", type(scenario).__name__, hint=hint)


def _check_number(raw: Mapping[str, Any], where: str) -> None:
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


def _check_folder(out: Path) -> None:
    """Refuse what can be no folder to write into, before anything has been computed."""
    there = next((path for path in (out, *out.absolute().parents) if path.exists()), out)
    check(there.is_dir(), "out", "must be a folder, or a new one's name", str(out))
    check(os.access(there, os.W_OK), "out", "must be a folder that can be written", str(out))


def _once_each(configs: Sequence[Config], world: World, where: str, *, memory_varies: bool) -> dict[str, Config]:
    """Settings by hash; where the grid varies the memory, a method without one is one setting, not many."""
    found: dict[str, Config] = {}
    for config in configs:
        key = config_hash(config.resolved(0, world))
        if key in found and not (memory_varies and config.memory is None):
            must = f"must hold each setting once, and has {config.name!r} twice"
            raise ConfigError(message(f"{where}: [grid]", must))
        found.setdefault(key, config)
    return found


def _folders(out: Path) -> dict[str, Path]:
    """Folders of earlier results by the hash in their name: a grown grid gives longer labels to the same settings."""
    found = (path for path in (sorted(out.iterdir()) if out.is_dir() else []) if path.is_dir())
    return {match[1]: path for path in found if (match := re.search("-([0-9a-f]{8})$", path.name))}


def _runs(config: Config, label: str, world: World, out: Any, folder: Path | None) -> list[Planned]:
    runs = []
    for seed in config.seeds:
        resolved = config.resolved(seed, world)
        path = None if out is None else result_path(out, label, resolved, seed)
        if path is not None and folder is not None:
            path = folder / path.name
        done = None if path is None else _finished(path, resolved, seed)
        runs.append((seed, resolved, path, done))
    label = next((done["label"] for *_, done in runs if done is not None), label)
    return [
        Planned(label, seed, resolved, config.spec(seed, label=label, world=world), path, done)
        for seed, resolved, path, done in runs
    ]


def _finished(path: Path, config: Mapping[str, Any], seed: int) -> dict[str, Any] | None:
    """The result of a run if it is there; a broken file, or one of other settings, is a run that is not there."""
    if not path.exists():
        return None
    try:
        done = read_result(path)
    except DataError:
        return None
    return done if done["config_hash"] == config_hash(config) and done["seed"] == seed else None
