"""From a file or a dict to validated runs; nothing is run here, and nothing written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskcl.data import Dataset
from maskcl.data.source import Progress
from maskcl.engine import RunSpec
from maskcl.engine.passes import check_passes
from maskcl.engine.resources import check_fits
from maskcl.errors import ConfigError, check, message
from maskcl.experiment.arguments import MOST_RUNS, check_arguments, check_number, given_network, try_folder
from maskcl.experiment.config import Config, blaming
from maskcl.experiment.files import Sections, Source, read_experiment
from maskcl.experiment.finished import finished, folders, tell_of_broken
from maskcl.experiment.grid import expand, override, short_labels
from maskcl.experiment.parsing import parse
from maskcl.experiment.search import without_search
from maskcl.experiment.world import World
from maskcl.networks import Factory, Network
from maskcl.results import config_hash, flat_config, result_path
from maskcl.scenario import Scenario

__all__ = ["MOST_RUNS", "Plan", "Planned", "plan"]


@dataclass(frozen=True)
class Planned:
    """One run to be.

    Attributes:
        experiment: Name of the experiment.
        label: Its setting's name.
        seed: Its seed.
        config: All its settings, as they go into the result.
        spec: What the engine gets.
        path: Its result file; None if nothing is written.
        done: The document of its result, if it is there already.
    """

    experiment: str
    label: str
    seed: int
    config: dict[str, Any]
    spec: RunSpec
    path: Path | None
    done: dict[str, Any] | None

    @property
    def key(self) -> str:
        """What names it among all runs of a folder: hash of its configuration, and seed."""
        return f"{config_hash(self.config)}-{self.seed}"

    @property
    def out(self) -> Path | None:
        """The folder of result files; None if nothing is written."""
        return None if self.path is None else self.path.parent.parent

    def result(self) -> dict[str, Any] | None:
        """Read its result, which may be there by now; None if it is not."""
        if self.path is None:
            return None
        return finished(self.path, self.config, self.seed, weights=self.spec.training.save_weights)


@dataclass(frozen=True)
class Plan:
    """All runs of an experiment, in the order of its file.

    Attributes:
        name: Of the experiment.
        runs: All of them.
        file: The file it was read from, as results tell it; None for a dict.
        hashes: Of each setting of the grid, in its order, the hash that its results have; of a method without memory
            where the grid varies the memory, one hash for many settings.
    """

    name: str
    runs: tuple[Planned, ...]
    file: str | None = None
    hashes: tuple[str, ...] = ()

    @property
    def pending(self) -> tuple[Planned, ...]:
        """Those still to be run."""
        return tuple(run for run in self.runs if run.done is None)

    @property
    def out(self) -> Path | None:
        """The folder of result files; None where nothing is written."""
        return next((run.out for run in self.runs if run.out is not None), None)

    def shard(self, index: int, count: int) -> Plan:
        """Return the `index`th (0-based) of `count` parts, the same whatever is finished by now."""
        parts = np.array_split(np.arange(len(self.runs)), count)
        return replace(self, runs=tuple(self.runs[i] for i in parts[index]))

    def try_folders(self) -> None:
        """Make the folders that pending runs are written to; raises ConfigError where nothing can be written."""
        if self.out is not None and self.pending:
            try_folder(self.out)

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
    network: Factory | Network | str | None = None,
    on_pictures: Progress | None = None,
) -> Plan:
    """Validate every run of an experiment. Arguments as for `maskcl.run`.

    `on_pictures` is called as (name, pictures done, pictures in all) while pictures are decoded, which is done once.

    Raises:
        ConfigError: For the first thing that is wrong with the settings, or if a run cannot fit into memory.
        DataError: If data are missing or cannot be learnt from.
    """
    raw, where = read_experiment(source)
    check_arguments(out, overrides, data_root, dataset, scenario)
    world = World(data_root=data_root, dataset=dataset, scenario=scenario, on_pictures=on_pictures)
    changes = {**(overrides or {}), **({} if seeds is None else {"seeds": seeds})}
    raw = without_search(override(raw, changes, where), where)
    check_number(raw, where)
    if isinstance(raw.get("seeds"), range):
        raw["seeds"] = list(raw["seeds"])
    settings, varied = expand(raw, where)
    for setting in settings:
        world.check_raw(setting, where)
    if network is not None:
        own = given_network(network, settings, where)
        settings = [setting | {"network": own} for setting in settings]
    by_grid, by_hand = ({key.split(".")[0] for key in keys} for keys in (varied, changes))
    other_method = "method" in by_grid or bool({"method", "method.name"} & set(changes))
    configs = [parse(setting, where, varies_method=other_method) for setting in settings]
    if not (isinstance(source, Sections) and not source.whole) and all(config.memory is None for config in configs):
        given = "memory" in by_hand or ("memory" in by_grid | set(raw) and "method" not in by_hand)
        check(not given, f"{where}: [memory]", "must not be given, for no method here has a memory")
    weights = any(config.training.save_weights for config in configs)
    check(out is not None or not weights, f"{where}: training.save_weights",
          "must be false where nothing is written", weights, hint="say where: run(..., out=FOLDER)")  # fmt: skip
    hashes = [config_hash(config.resolved(0, world)) for config in configs]
    hashed = _once_each(configs, hashes, where, memory_varies="memory" in by_grid)
    flats = [flat_config(config.resolved(0, world)) for config in hashed.values()]
    told = sorted(filter(_is_told, varied), key=lambda key: key != "memory.size")
    labels = short_labels([config.name for config in hashed.values()], flats, told)
    there = {} if out is None else folders(Path(out))
    broken: list[str] = []
    runs = [
        run
        for (key, config), label in zip(hashed.items(), labels, strict=True)
        for run in _runs(config, label, world, out, there.get(key), broken)
    ]
    if data_root is not None:  # last: where data are missing, that message says more
        check(os.path.isdir(data_root), "data root", "must be a folder", str(data_root))
    with blaming(where):
        _check_fit(runs)
    tell_of_broken(broken)
    return Plan(configs[0].experiment, tuple(runs), _told_path(source), tuple(hashes))


def _check_fit(runs: Sequence[Planned]) -> None:
    """Refuse what cannot be run, of what is still to be run: by memory, one run of each structure; by batches, all."""
    # Runs of one setting have one method object, and need the same.
    firsts = {id(run.spec.method): run.spec for run in runs if run.done is None}
    specs: dict[Any, RunSpec] = {}
    for spec in firsts.values():
        specs.setdefault((id(spec.scenario), spec.structure), spec)
    check_fits(list(specs.values()))
    check_passes([run.spec for run in runs if run.done is None])


def _told_path(source: Source) -> str | None:
    """A relative path as it was given; of others the name alone, for the rest is this machine's."""
    source = source.read_from if isinstance(source, Sections) else source
    if isinstance(source, Mapping):
        return None
    path = Path(source)
    return path.name if path.is_absolute() else path.as_posix()


def _is_told(key: str) -> bool:
    """Whether a label has to tell a key, since the name of method and mask does not."""
    return key.split(".")[0] not in ("mask", "cfgm") and key not in ("method", "method.name")


def _once_each(
    configs: Sequence[Config], hashes: Sequence[str], where: str, *, memory_varies: bool
) -> dict[str, Config]:
    """Settings by hash; where the grid varies the memory, a method without one is one setting, not many."""
    found: dict[str, Config] = {}
    for config, key in zip(configs, hashes, strict=True):
        if key in found and not (memory_varies and config.memory is None):
            must = f"must hold each setting once, and has {config.name!r} twice"
            raise ConfigError(message(f"{where}: [grid]", must))
        found.setdefault(key, config)
    return found


def _runs(config: Config, label: str, world: World, out: Any, folder: Path | None, broken: list[str]) -> list[Planned]:
    runs = []
    for seed in config.seeds:
        resolved = config.resolved(seed, world)
        path = None if out is None else result_path(out, label, resolved, seed)
        if path is not None and folder is not None:
            path = folder / path.name
        weights = config.training.save_weights
        done = None if path is None else finished(path, resolved, seed, weights=weights, broken=broken)
        runs.append((seed, resolved, path, done))
    label = next((done["label"] for *_, done in runs if done is not None), label)
    return [
        Planned(config.experiment, label, seed, resolved, config.spec(seed, label=label, world=world), path, done)
        for seed, resolved, path, done in runs
    ]
