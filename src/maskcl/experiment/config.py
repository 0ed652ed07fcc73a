"""One setting of an experiment, validated; and the runs it stands for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from maskcl.cfgm import Cfgm
from maskcl.engine import RunSpec, Seeds, TrainingConfig
from maskcl.errors import ConfigError, MaskclError, check, message
from maskcl.experiment.messages import sentence
from maskcl.experiment.schema import ExperimentFile, method_sections
from maskcl.experiment.world import World
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import Method, find
from maskcl.networks import NetworkConfig
from maskcl.optim import OptimizerConfig

__all__ = ["Config", "parse"]


@dataclass(frozen=True)
class Config:
    """One setting: everything but the seed.

    Attributes:
        experiment: Name of the experiment.
        seeds: One run each.
        scenario: The keys of [scenario].
        method: The method, with its mask and CFGM.
        memory: None for methods without.
        network: Which network.
        optimizer: How parameters move.
        training: Batches and epochs.
        randomness: What the seed enters: by part, "seed", "fixed" or a number.
        where: The file's name, for messages.
    """

    experiment: str
    seeds: tuple[int, ...]
    scenario: dict[str, Any]
    method: Method
    memory: MemoryConfig | None
    network: NetworkConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    randomness: dict[str, Any]
    where: str

    @property
    def name(self) -> str:
        """Method, mask and CFGM: the start of a label."""
        mask, cfgm = self.method.mask, self.method.cfgm
        parts = [self.method.key, "no mask" if mask is None else mask.label]
        return " ".join(parts + ([] if cfgm is None else [cfgm.label]))

    def resolved(self, seed: int, world: World) -> dict[str, Any]:
        """All settings as plain values, defaults filled in: what a result file tells of its run."""
        own = [name for name in method_sections[self.method.key].model_fields if name != "name"]
        return {
            "scenario": world.describe(self.scenario),
            "method": {"name": self.method.key} | {name: getattr(self.method, name) for name in own},
            "mask": _table(self.method.mask),
            "cfgm": _table(self.method.cfgm),
            "memory": _table(self.memory),
            "network": _table(self.network),
            "optimizer": _table(self.optimizer),
            "training": _table(self.training),
            "randomness": self.randomness,
            "seeds": {"run": seed, **self._seeds(seed)},
        }

    def spec(self, seed: int, *, label: str, world: World) -> RunSpec:
        """Build one run; the checks between sections happen here."""
        seeds = self._seeds(seed)
        with _blaming(self.where):
            return RunSpec(
                name=f"{label} seed {seed}",
                scenario=world.scenario(self.scenario, seeds["class_order"]),
                method=self.method,
                network=self.network,
                memory=self.memory,
                optimizer=self.optimizer,
                training=self.training,
                seeds=Seeds(initialisation=seeds["initialisation"], stream=seeds["stream"]),
            )

    def _seeds(self, seed: int) -> dict[str, Any]:
        """Seeds of the class order (None: fixed), the initialisation and the stream."""
        own = {"seed": seed, "fixed": None}
        return {name: own[given] if isinstance(given, str) else given for name, given in self.randomness.items()}


def parse(raw: Mapping[str, Any], where: str, *, varies_method: bool = False) -> Config:
    """Validate one setting.

    Args:
        raw: Its sections, without a grid.
        where: The file's name, for messages.
        varies_method: Whether the grid sets the method: then [memory] is left out for methods without one.

    Raises:
        ConfigError: For the first thing that is wrong.
    """
    raw = _plain(raw)
    method = raw.get("method")
    if isinstance(method, Mapping) and "name" in method:
        with _blaming(where):
            check(isinstance(method["name"], str), "method.name", "must be a string", method["name"])
            find(method["name"])
    try:
        file: Any = ExperimentFile.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(sentence(error, raw, where)) from None
    with _blaming(where):
        return _build(file, where, varies_method)


def _build(file: Any, where: str, varies_method: bool) -> Config:
    kind = find(file.method.name)
    options = file.method.model_dump(exclude={"name"})
    if file.mask is not None:
        options["mask"] = None if file.mask == "none" else Mask(**file.mask.model_dump())
    training = TrainingConfig(**file.training.model_dump())
    if file.cfgm == "authors":
        options["cfgm"] = Cfgm.authors(training.batch_size)
    elif file.cfgm is not None and file.cfgm != "none":
        options["cfgm"] = Cfgm(**file.cfgm.model_dump())
    method = kind(**options)
    scenario = file.scenario.model_dump()
    if scenario["num_tasks"] is scenario["task_sizes"] is scenario["tasks"] is None:
        scenario["num_tasks"] = 5
    randomness = file.randomness.model_dump()
    for key in ("tasks", "class_order"):
        if scenario[key] is not None:
            check(randomness["class_order"] == "fixed", "randomness.class_order",
                  f"must be left out, for scenario.{key} says the order", randomness["class_order"])  # fmt: skip
    return Config(
        experiment=file.name,
        seeds=_seed_list(file.seeds),
        scenario=scenario,
        method=method,
        memory=_memory(method, file.memory, varies_method),
        network=NetworkConfig(**file.network.model_dump()),
        optimizer=OptimizerConfig(**file.optimizer.model_dump()),
        training=training,
        randomness=randomness,
        where=where,
    )


def _memory(method: Method, section: Any, varies_method: bool) -> MemoryConfig | None:
    if method.needs_memory:
        return MemoryConfig() if section is None else MemoryConfig(**section.model_dump())
    if section is not None and not varies_method:
        hint = "leave it out, or choose a method with a memory"
        raise ConfigError(message("[memory]", f"must not be given, for method {method.key!r} has no memory", hint=hint))
    return None


def _seed_list(seeds: int | list[int]) -> tuple[int, ...]:
    found = tuple(range(seeds) if isinstance(seeds, int) else seeds)
    check(len(found) > 0, "seeds", "must be 1 or more, or a list of seeds", seeds)
    check(min(found) >= 0, "seeds", "must be 0 or more each", seeds)
    check(len(set(found)) == len(found), "seeds", "must be different from each other", seeds)
    return found


def _table(settings: Any) -> dict[str, Any] | None:
    return None if settings is None else {name: _plain(value) for name, value in vars(settings).items()}


def _plain(value: Any) -> Any:
    """Values as TOML has them: lists for sequences, tables for our settings, Python's own numbers."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (Mask, Cfgm, MemoryConfig, NetworkConfig, OptimizerConfig, TrainingConfig)):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


@contextmanager
def _blaming(where: str) -> Iterator[None]:
    """Say in which file a refused setting stands."""
    try:
        yield
    except MaskclError as error:
        raise type(error)(f"{where}: {error}") from None
