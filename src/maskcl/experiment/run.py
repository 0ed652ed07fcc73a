"""From a file or a dict to results: plan, skip what is finished, run, write each run as it ends."""

from __future__ import annotations

import copy
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from maskcl.data import Dataset
from maskcl.engine import Outcome, RunSpec, run_population
from maskcl.errors import ConfigError, DataError, MissingDataError, check, check_choice, message
from maskcl.experiment.config import Config, World, parse
from maskcl.experiment.grid import expand, set_key, short_labels
from maskcl.results import Results, document, read_result, result_path, write_result
from maskcl.scenario import Scenario

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Plan", "Planned", "plan", "read_experiment", "run"]

Source = str | os.PathLike[str] | Mapping[str, Any]


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


def read_experiment(source: Source) -> tuple[dict[str, Any], str]:
    """Return the raw sections of a file or a dict, and what messages call it."""
    if isinstance(source, Mapping):
        return dict(source), "experiment"
    path = Path(source)
    try:
        with open(path, "rb") as file:
            return tomllib.load(file), str(path)
    except FileNotFoundError:
        near = sorted(p.name for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        hint = f"there are: {', '.join(near)}" if near else None
        raise MissingDataError(message(str(path), "must be an experiment file, and is not there", hint=hint)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(message(str(path), f"must be a readable TOML file ({error})")) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(message(str(path), f"must be TOML: {error}")) from None


def plan(
    source: Source,
    *,
    out: str | os.PathLike[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    overrides: Mapping[str, Any] | None = None,
    data_root: str | None = None,
    dataset: Dataset | None = None,
    scenario: Scenario | None = None,
) -> Plan:
    """Validate every run of an experiment; nothing is run and nothing written. Arguments as for `run`."""
    raw, where = read_experiment(source)
    raw = copy.deepcopy(raw)
    if seeds is not None:
        raw["seeds"] = seeds if isinstance(seeds, int) else list(seeds)
    for key, value in (overrides or {}).items():
        grid = raw.setdefault("grid", {})
        if key.startswith("grid."):
            grid[key[5:]] = value
        else:
            grid.pop(key, None)
            for row in grid.get("zip", []):
                row.pop(key, None)
            grid["zip"] = [row for row in grid.get("zip", []) if row]
            if not grid["zip"]:
                del grid["zip"]
            set_key(raw, key, value, "--set")
    points = expand(raw, where)
    varies = any(key.split(".")[0] == "method" for _, changes in points for key in changes)
    configs = [parse(point, where, varies_method=varies) for point, _ in points]
    kept = [_telling(changes) for _, changes in points]
    labels = short_labels([config.name for config in configs], kept)
    if len(set(labels)) < len(labels):
        double = next(label for label in labels if labels.count(label) > 1)
        raise ConfigError(message(f"{where}: [grid]", f"must hold each setting once, and has {double!r} twice"))
    world = World(data_root=data_root, dataset=dataset, scenario=scenario)
    runs = [_planned(config, label, seed, world, out) for config, label in zip(configs, labels, strict=True)
            for seed in _seed_list(config)]  # fmt: skip
    return Plan(configs[0].file.name, tuple(runs))


def _telling(changes: Mapping[str, Any]) -> dict[str, Any]:
    """What the grid set, key by key, without what a setting's name says already; the memory's size first."""
    flat: dict[str, Any] = {}
    for key, value in changes.items():
        flat |= {f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, Mapping) else {key: value}
    told = {
        k: v for k, v in flat.items() if k.split(".")[0] not in ("mask", "cfgm") and k not in ("method", "method.name")
    }
    return dict(sorted(told.items(), key=lambda item: item[0] != "memory.size"))


def _seed_list(config: Config) -> Sequence[int]:
    seeds = config.file.seeds
    return range(seeds) if isinstance(seeds, int) else seeds


def _planned(config: Config, label: str, seed: int, world: World, out: Any) -> Planned:
    resolved = config.resolved(seed)
    spec = config.spec(seed, label=label, world=world)
    path = None if out is None else result_path(out, label, resolved, seed)
    done = None
    if path is not None and path.exists():
        try:
            done = read_result(path)
        except DataError:  # a broken file is a run that is not there
            done = None
    return Planned(label, seed, resolved, spec, path, done)


def run(
    source: Source,
    *,
    out: str | os.PathLike[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    overrides: Mapping[str, Any] | None = None,
    data_root: str | None = None,
    dataset: Dataset | None = None,
    scenario: Scenario | None = None,
    executor: str = "auto",
    threads: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Results:
    """Run an experiment and return its results.

    Args:
        source: An experiment file, or a dict of the same sections.
        out: Folder of result files; runs whose file is there already are not run again. None: nothing is written.
        seeds: How many runs of each setting, or which seeds; None: as the file says.
        overrides: Dotted keys and their values, e.g. {"optimizer.lr": 0.1}; a key of the grid loses its axis.
        data_root: Where data sets lie; None: MASKCL_DATA, or the user's cache.
        dataset: Data of your own (`maskcl.from_arrays`) in place of the file's.
        scenario: A scenario of your own (`maskcl.class_incremental`) in place of the file's.
        executor: "auto", "stack" or "loop".
        threads: Cores to use; None: those that are free.
        on_progress: Told how much more is done, in runs.

    Returns:
        All runs of the experiment, those found in `out` included.

    Raises:
        ConfigError: Before anything runs, for the first thing that is wrong.

    >>> results = run({"method": {"name": "er"}, "training": {"batch_size": 32}}, seeds=1)
    >>> 0 < results.rows()[0]["final_accuracy"] < 1
    True
    """
    check_choice(executor, "executor", ("auto", "stack", "loop"))
    if out is not None:
        check(not Path(out).exists() or Path(out).is_dir(), "out", "must be a folder", str(out))
    planned = plan(source, out=out, seeds=seeds, overrides=overrides, data_root=data_root, dataset=dataset,
                   scenario=scenario)  # fmt: skip
    return execute(planned, executor=executor, threads=threads, on_progress=on_progress)


def execute(
    planned: Plan,
    *,
    executor: str = "auto",
    threads: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Results:
    """Run what a plan has pending, and return all its results; arguments as for `run`."""
    pending = {id(p.spec): p for p in planned.pending}
    found: dict[int, dict[str, Any]] = {}
    about = environment()

    def keep(outcome: Outcome) -> None:
        run = pending[id(outcome.spec)]
        result = document(outcome, experiment=planned.name, label=run.label, seed=run.seed, config=run.config,
                          environment=about)  # fmt: skip
        if run.path is not None:
            write_result(run.path, result)
        found[id(run)] = result

    specs = [run.spec for run in planned.pending]
    if specs:
        run_population(specs, executor=executor, threads=threads, on_progress=on_progress, on_outcome=keep)
    return Results(run.done if run.done is not None else found[id(run)] for run in planned.runs)


def environment() -> dict[str, Any]:
    """Versions and machine, as result files tell them."""
    packages = ("torch", "numpy", "scipy", "scikit-learn")
    return {
        "maskcl": version("maskcl"),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }
