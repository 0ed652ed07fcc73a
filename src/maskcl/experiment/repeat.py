"""`maskcl.repeat`: a run made again from its result alone, and held against it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np

from maskcl.data import Dataset
from maskcl.data.source import Progress
from maskcl.devices import DEVICES, devices_here
from maskcl.engine import Outcome, RunSpec, run_population
from maskcl.engine.passes import check_passes
from maskcl.engine.resources import check_fits
from maskcl.errors import DataError, check, check_choice
from maskcl.experiment.arguments import check_arguments
from maskcl.experiment.comparing import ROUNDING, Difference, compare, explanations
from maskcl.experiment.config import blaming
from maskcl.experiment.in_process import environment
from maskcl.experiment.parsing import parse
from maskcl.experiment.restoring import check_restored, sections_of
from maskcl.experiment.runner import EXECUTORS
from maskcl.experiment.world import World
from maskcl.networks import Factory, Network, as_network
from maskcl.results import config_hash, document, read_result
from maskcl.scenario import Scenario

__all__ = ["Repeated", "Restored", "repeat", "restore"]


@dataclass(frozen=True)
class Repeated:
    """What came out of a repetition.

    Attributes:
        file: The document of the file.
        here: The document of the run that was made now.
        differences: The numbers and matrices that are not equal to the last bit.
        compared: How many numbers were compared.
    """

    file: dict[str, Any]
    here: dict[str, Any]
    differences: tuple[Difference, ...]
    compared: int

    @property
    def identical(self) -> bool:
        """Whether every number is equal to the last bit."""
        return not self.differences

    @property
    def word(self) -> str:
        """Return "identical", "equal to rounding" or "differs" (`maskcl.experiment.comparing` says what each means)."""
        if self.identical:
            return "identical"
        return "equal to rounding" if all(one.rounds for one in self.differences) else "differs"

    @property
    def largest(self) -> float:
        """The largest absolute difference; infinite where one has a number and the other has none."""
        return max((one.largest for one in self.differences), default=0.0)

    @property
    def explanations(self) -> list[tuple[str, str, str]]:
        """What may explain a difference, as (what, in the file, here): versions, machine, executor."""
        return explanations(self.file, self.here)

    def __str__(self) -> str:
        return f"{self.word}: {self._what}"

    @property
    def _what(self) -> str:
        run, number = f"{self.file['label']}, seed {self.file['seed']}", f"{self.compared:,} numbers"
        if self.identical:
            return f"{run}; {number} are equal to the last bit"
        count = f"{sum(one.count for one in self.differences):,} of {number} are not the same"
        far = f"largest difference {self.largest:.2g}" if np.isfinite(self.largest) else "some are not comparable"
        return f"{run}; {count}, {far}" + (f", at most {ROUNDING:g} is rounding" if self.word != "differs" else "")


def repeat(
    result: str | os.PathLike[str],
    *,
    data_root: str | os.PathLike[str] | None = None,
    dataset: Dataset | None = None,
    scenario: Scenario | None = None,
    network: Factory | Network | str | None = None,
    executor: str | None = None,
    threads: int | None = None,
    device: str | None = None,
    on_progress: Callable[[float], None] | None = None,
    on_pictures: Progress | None = None,
) -> Repeated:
    """Make a run again from its result file alone, and compare; nothing is written.

    A member of a population is repeated as a population of one. Diverged runs are repeated as well: they have to
    diverge in the same task.

    Args:
        result: The result file.
        data_root: Where data sets lie; None: MASKCL_DATA, or the user's cache.
        dataset: The data set that `maskcl.run` was given, or the one of a folder or file; checked by its content.
        scenario: The scenario that it was given.
        network: The network that it was given, or one of pretrained weights.
        executor: "auto", "stack" or "loop"; None: the one that the file tells of.
        threads: Cores to use; None: as many as the file tells of.
        device: "auto", "cpu", "cuda" or "mps"; None: the one that the file tells of.
        on_progress: Told how much more is done, of 1.
        on_pictures: Called as (name, pictures done, pictures in all) while pictures are decoded.

    Returns:
        Both documents, and how they differ.

    Raises:
        ConfigError: The run cannot be made from its file, or an argument cannot be used.
        DataError: The file is no result of this version's kind; data are missing, or others than they were.

    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> import maskcl
    >>> with TemporaryDirectory() as folder:
    ...     results = maskcl.run({"method": "finetune", "training": {"batch_size": 32}}, seeds=1, out=folder)
    ...     again = repeat(next(Path(folder).rglob("seed-0.json")))
    >>> again.word, again.differences
    ('identical', ())
    """
    restored = restore(
        result, data_root=data_root, dataset=dataset, scenario=scenario, network=network, executor=executor,
        threads=threads, device=device, on_pictures=on_pictures,
    )  # fmt: skip
    return restored.repeat(on_progress=on_progress)


def restore(
    result: str | os.PathLike[str],
    *,
    data_root: str | os.PathLike[str] | None = None,
    dataset: Dataset | None = None,
    scenario: Scenario | None = None,
    network: Factory | Network | str | None = None,
    executor: str | None = None,
    threads: int | None = None,
    device: str | None = None,
    on_pictures: Progress | None = None,
) -> Restored:
    """Do all of `repeat` but the run: what can be refused is refused here."""
    check_arguments(None, None, data_root, dataset, scenario)
    check(isinstance(result, (str, os.PathLike)), "result", "must be a file, by its path", result)
    for name, value, choices in (("executor", executor, EXECUTORS), ("device", device, DEVICES)):
        if value is not None:
            check_choice(value, name, choices)
    where = os.fspath(result)
    file = read_result(where)
    told, seed, asked = file["config"], file["seed"], file["executor"] or {}
    good, hint = config_hash(told) == file["config_hash"], "maskcl run FILE --set KEY=VALUE runs other settings"
    must = f"must be that of its config, {config_hash(told)}"
    check(good, f"{where}: config_hash", must, file["config_hash"], error=DataError, hint=hint)
    world = World(data_root=data_root, dataset=dataset, scenario=scenario, on_pictures=on_pictures)
    raw = sections_of(told, where, given={*world.given, *(["network"] if network is not None else [])})
    if network is not None:
        raw["network"] = as_network(network)
    raw |= {"seeds": [seed]} | ({"name": file["experiment"]} if file["experiment"] else {})
    raw["training"] = {**raw.get("training", {}), "device": _here(asked, where) if device is None else device}
    config = parse(raw, where)
    resolved = config.resolved(seed, world)
    check_restored(told, resolved, where)
    spec = config.spec(seed, label=file["label"], world=world)
    with blaming(where):
        check_fits([spec])
        check_passes([spec])
    if executor is None:
        executor = asked["name"] if asked.get("name") in EXECUTORS else "auto"
    return Restored(file, spec, resolved, executor, asked.get("threads") if threads is None else threads)


@dataclass(frozen=True)
class Restored:
    """A run that can be made again.

    Attributes:
        file: The document of its result.
        spec: What the engine gets.
        config: All its settings.
        executor: What is to run it.
        threads: On how many threads; None: the engine decides.
    """

    file: dict[str, Any]
    spec: RunSpec
    config: dict[str, Any]
    executor: str
    threads: int | None

    def repeat(self, *, on_progress: Callable[[float], None] | None = None) -> Repeated:
        """Make it again, and compare."""
        (outcome,) = run_population([self.spec], executor=self.executor, threads=self.threads, on_progress=on_progress)
        here = self._document(outcome)
        differences, compared = compare(self.file, here)
        return Repeated(self.file, here, tuple(differences), compared)

    def _document(self, outcome: Outcome) -> dict[str, Any]:
        told = {name: self.file[name] for name in ("experiment", "label", "seed")}
        file, date = (self.file.get("origin") or {}).get("file"), datetime.now(timezone.utc)
        return document(
            outcome, **told, config=self.config, environment=environment(),
            origin={"file": file, "command": None, "date": date.isoformat(timespec="seconds")},
        )  # fmt: skip


def _here(asked: Mapping[str, Any], where: str) -> str:
    """What settings call the device that a result tells, a GPU by its model."""
    told = asked.get("device") or "cpu"
    name = told if told in DEVICES else "cuda"
    hint = 'device = "cpu" (--device cpu) makes it here, equal to rounding at best'
    check(name in devices_here(), f"{where}: executor.device",
          f"must be one that is here ({', '.join(devices_here())})", told, hint=hint)  # fmt: skip
    return str(name)
