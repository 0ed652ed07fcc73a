"""One setting of an experiment, and the runs it stands for."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskcl.augment import Augment
from maskcl.cfgm import Cfgm
from maskcl.engine import RunSpec, Seeds, TrainingConfig
from maskcl.errors import MaskclError
from maskcl.experiment.schema import PARTS, named_sections
from maskcl.experiment.world import World
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import Method
from maskcl.networks import Network
from maskcl.optim import OptimizerConfig
from maskcl.schedule import Schedule

__all__ = ["Config", "blaming", "plain_values"]

LATER: dict[str, dict[str, Any]] = {
    "scenario": {"subset": None, "eval_subset": None, "blurry": 0.0, "repeats": 0.0, "imbalance": 1.0},
    "training": {
        "label_smoothing": 0.0, "schedule": None, "augment": None, "precision": "float32", "channels_last": False,
        "compile": False, "average": 0.0,
    },
    "mask": {"power": None, "count": "rows"},
    "cfgm": {"crop": 0, "flip": False},
}  # fmt: skip
"""Keys by section that came later, told where they are set: hashes of earlier results stay as they are."""
UNTOLD = ("save_weights", "device", "checkpoint_every")
"""Keys of [training] that change nothing of what a run is: what is kept of it, where it is computed."""


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
    network: Network
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
        own = [name for name in named_sections["method"][self.method.key].model_fields if name != "name"]
        with blaming(self.where):
            scenario = _where_set("scenario", world.describe(self.scenario))
        return {
            "scenario": scenario,
            "method": {"name": self.method.key} | {name: getattr(self.method, name) for name in own},
            "mask": self._mask_table(),
            "cfgm": _table(self.method.cfgm),
            "memory": self._memory_table(),
            "network": self._network_table(seed, world),
            "optimizer": _table(self.optimizer),
            "training": self._training_table(),
            "randomness": self.randomness,
            "seeds": {"run": seed, **self._seeds(seed)},
        }

    def spec(self, seed: int, *, label: str, world: World) -> RunSpec:
        """Build one run; the checks between sections happen here."""
        seeds = self._seeds(seed)
        with blaming(self.where):
            return RunSpec(
                name=f"{label} seed {seed}",
                scenario=world.scenario(self.scenario, seeds["class_order"]),
                method=self.method,
                network=self.network,
                memory=self.memory,
                optimizer=self.optimizer,
                training=self.training,
                seeds=Seeds(initialisation=seeds["initialisation"], sampling=seeds["stream"]),
            )

    def _mask_table(self) -> dict[str, Any] | None:
        table = _table(self.method.mask)
        return None if table is None else _where_set("mask", table)

    def _memory_table(self) -> dict[str, Any] | None:
        table = _table(self.memory)
        if table is not None and table["policy"] is None:
            table["policy"] = self.method.needs.policy
        return table

    def _training_table(self) -> dict[str, Any]:
        table = plain_values(vars(self.training))
        return _where_set("training", {name: value for name, value in table.items() if name not in UNTOLD})

    def _network_table(self, seed: int, world: World) -> dict[str, Any]:
        if not self.network.fingerprinted:
            return plain_values(self.network.describe())
        with blaming(self.where):
            scenario = world.scenario(self.scenario, self._seeds(seed)["class_order"])
            return plain_values(world.describe_network(self.network, scenario))

    def _seeds(self, seed: int) -> dict[str, Any]:
        """Seeds of the class order (None: fixed), the initialisation and the stream."""
        own = {"seed": seed, "fixed": None}
        return {name: own[given] if isinstance(given, str) else given for name, given in self.randomness.items()}


def _table(settings: Any) -> dict[str, Any] | None:
    return None if settings is None else {name: plain_values(value) for name, value in vars(settings).items()}


def _where_set(section: str, table: dict[str, Any]) -> dict[str, Any]:
    """A section without the keys that came later and say what always was so."""
    later = LATER[section]
    return {name: value for name, value in table.items() if name not in later or value != later[name]}


def plain_values(value: Any) -> Any:
    """Values as TOML has them: lists for sequences, tables for our settings, Python's own numbers."""
    if isinstance(value, Mapping):
        return {name: plain_values(part) for name, part in value.items()}
    if isinstance(value, (Mask, Cfgm, MemoryConfig, OptimizerConfig, TrainingConfig, Augment, Schedule)):
        return {field.name: plain_values(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [plain_values(part) for part in value] if isinstance(value, (list, tuple)) else value


@contextmanager
def blaming(where: str) -> Iterator[None]:
    """Say in which file a refused setting stands."""
    try:
        yield
    except MaskclError as error:
        inner = next((key for key in PARTS if str(error).startswith(key.split(".")[1])), None)
        text = f"training.{error}" if inner is not None else str(error)  # a part does not know where it stands
        text = text if text.startswith(f"{where}: ") else f"{where}: {text}"  # who raised it may know where it stands
        raise type(error)(text) from None
