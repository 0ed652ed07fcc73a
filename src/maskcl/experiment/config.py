"""One setting of an experiment, validated; and the runs it stands for."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from maskcl import data
from maskcl.cfgm import Cfgm
from maskcl.data import Dataset
from maskcl.engine import RunSpec, Seeds, TrainingConfig
from maskcl.errors import ConfigError, MaskclError, check, message, nearest
from maskcl.experiment.schema import ExperimentFile, method_sections
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import Method, find
from maskcl.networks import NetworkConfig
from maskcl.optim import OptimizerConfig
from maskcl.scenario import Scenario, class_incremental

__all__ = ["Config", "parse"]


@dataclass(frozen=True)
class Config:
    """One setting: everything but the seed.

    Attributes:
        file: The validated sections.
        method: The method, with its mask and CFGM.
        memory: None for methods without.
        where: The file's name, for messages.
    """

    file: ExperimentFile
    method: Method
    memory: MemoryConfig | None
    where: str

    @property
    def name(self) -> str:
        """Method, mask and CFGM: the start of a label."""
        mask, cfgm = self.method.mask, self.method.cfgm
        parts = [self.method.key, "no mask" if mask is None else mask.label]
        return " ".join(parts + ([] if cfgm is None else [cfgm.label]))

    def resolved(self, seed: int) -> dict[str, Any]:
        """All settings as plain values, defaults filled in."""
        mask, cfgm = self.method.mask, self.method.cfgm
        method = {"name": self.method.key} | {
            name: getattr(self.method, name) for name in method_sections[self.method.key].model_fields if name != "name"
        }
        return {
            "scenario": self.file.scenario.model_dump(),
            "method": method,
            "mask": None if mask is None else _plain(mask),
            "cfgm": None if cfgm is None else _plain(cfgm),
            "memory": None if self.memory is None else _plain(self.memory),
            "network": self.file.network.model_dump(),
            "optimizer": self.file.optimizer.model_dump(),
            "training": self.file.training.model_dump(),
            "randomness": self.file.randomness.model_dump(),
            "seeds": {"run": seed, **self._seeds(seed)},
        }

    def _seeds(self, seed: int) -> dict[str, Any]:
        """Seeds of the class order (None: fixed), the initialisation and the stream."""
        given = self.file.randomness.model_dump()
        return {name: seed if v == "seed" else None if v == "fixed" else v for name, v in given.items()}

    def spec(self, seed: int, *, label: str, world: World) -> RunSpec:
        """Build one run; all cross-checks between sections happen here."""
        seeds = self._seeds(seed)
        return _blamed(
            self.where,
            lambda: RunSpec(
                name=f"{label} seed {seed}",
                scenario=world.scenario(self.file.scenario, seeds["class_order"]),
                method=self.method,
                network=NetworkConfig(**self.file.network.model_dump()),
                memory=self.memory,
                optimizer=OptimizerConfig(**self.file.optimizer.model_dump()),
                training=TrainingConfig(**self.file.training.model_dump()),
                seeds=Seeds(initialisation=seeds["initialisation"], stream=seeds["stream"]),
            ),
        )


class World:
    """Data sets and scenarios, each made once."""

    def __init__(self, *, data_root: str | None, dataset: Dataset | None, scenario: Scenario | None) -> None:
        self._load = functools.cache(lambda name: dataset if dataset is not None else data.load(name, data_root))
        self._scenarios: dict[Any, Scenario] = {}
        self._given = scenario

    def scenario(self, section: Any, class_seed: int | None) -> Scenario:
        """The scenario of a section and a class order's seed."""
        if self._given is not None:
            return self._given
        key = (section, class_seed)
        if key not in self._scenarios:
            options = section.model_dump(exclude={"dataset"})
            if options["num_tasks"] is options["task_sizes"] is options["tasks"] is None:
                options["num_tasks"] = 5
            self._scenarios[key] = class_incremental(self._load(section.dataset), seed=class_seed, **options)
        return self._scenarios[key]


def parse(raw: Mapping[str, Any], where: str, *, varies_method: bool = False) -> Config:
    """Validate one setting.

    Args:
        raw: Its sections, without a grid.
        where: The file's name, for messages.
        varies_method: Whether the grid sets the method: then [memory] is left out for methods without.
    """
    raw = _tuples(raw)
    if isinstance(raw.get("method"), str):
        raw["method"] = {"name": raw["method"]}
    if isinstance(raw.get("method"), dict) and "name" in raw["method"]:
        _blamed(where, lambda: find(raw["method"]["name"]))
    try:
        file = ExperimentFile.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(_sentence(error, raw, where)) from None
    seeds = range(file.seeds) if isinstance(file.seeds, int) else file.seeds
    check(len(seeds) > 0, f"{where}: seeds", "must be 1 or more, or a list of seeds", file.seeds)
    check(len(set(seeds)) == len(seeds), f"{where}: seeds", "must be different from each other", file.seeds)
    return _blamed(where, lambda: _build(file, where, varies_method))


def _build(file: ExperimentFile, where: str, varies_method: bool) -> Config:
    kind = find(file.method.name)
    options = file.method.model_dump(exclude={"name"})
    if file.mask is not None:
        options["mask"] = None if file.mask == "none" else Mask(**file.mask.model_dump())
    if file.cfgm is not None and file.cfgm != "none":
        batch = file.training.batch_size
        options["cfgm"] = Cfgm.authors(batch) if file.cfgm == "authors" else Cfgm(**file.cfgm.model_dump())
    method = kind(**options)
    memory = None if file.memory is None else MemoryConfig(**file.memory.model_dump())
    if method.needs_memory and memory is None:
        memory = MemoryConfig()
    if not method.needs_memory and varies_method:
        memory = None
    return Config(file, method, memory, where)


def _plain(settings: Any) -> dict[str, Any]:
    return dict(vars(settings))


def _tuples(value: Any) -> Any:
    """Lists as tuples, which strict validation wants for fields of any length."""
    if isinstance(value, Mapping):
        return {name: _tuples(part) for name, part in value.items()}
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value


def _blamed(where: str, make: Any) -> Any:
    """Say in which file a refused setting stands."""
    try:
        return make()
    except MaskclError as error:
        if str(error).startswith(where):
            raise
        raise type(error)(f"{where}: {error}") from None


def _sentence(error: ValidationError, raw: Mapping[str, Any], where: str) -> str:
    """The first thing that is wrong, in one sentence with the nearest valid name."""
    first = _telling(error.errors(), raw)
    path = [
        str(part) for part in first["loc"] if not str(part).endswith("Section") and str(part) not in method_sections
    ]
    path = [part for part in path if part not in ("literal['none']", "literal['none','authors']")]
    got, section = first.get("input"), path[0] if path else ""
    place = f"{where}: " + (f"[{section}] " if len(path) > 1 else "") + ".".join(path[1:] or path)
    if first["type"] == "extra_forbidden":
        known, owner = _known_keys(section, raw, len(path) > 1)
        place = f"{where}:" + (f" [{section}]" if len(path) > 1 else "")
        close = nearest(path[-1], known)
        more = f" Did you mean {close!r}?" if close else f"\nhint: keys are {', '.join(known)}"
        return f"{place} {path[-1]!r} is not a key of {owner}, got {got!r}.{more}"
    if first["type"] == "union_tag_not_found":
        return message(f"{where}: [method] name", "is missing", hint='e.g. method = {name = "er"}')
    if first["type"] == "missing":
        return message(place, "is missing", hint='e.g. method = {name = "er"}' if section == "method" else None)
    return message(place, _must(first), got)


def _telling(errors: list[Any], raw: Mapping[str, Any]) -> Any:
    """The error of the form that was meant, where a section may be a word or a table."""
    first = errors[0]
    section = first["loc"][0]
    if not isinstance(raw.get(section), Mapping):
        return first
    of_table = [e for e in errors if e["loc"][0] == section and not any("literal" in str(part) for part in e["loc"])]
    return of_table[0] if of_table else first


def _known_keys(section: str, raw: Mapping[str, Any], nested: bool) -> tuple[list[str], str]:
    if not nested:
        return [*ExperimentFile.model_fields, "grid"], "an experiment file"
    if section == "method":
        key = find(raw["method"]["name"]).key
        return list(method_sections[key].model_fields), repr(key)
    for part in _models(ExperimentFile.model_fields[section].annotation):
        return list(part.model_fields), f"[{section}]"
    return [], f"[{section}]"


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


def _must(first: Any) -> str:
    kinds = {
        "int_type": "must be a whole number",
        "float_type": "must be a number",
        "string_type": "must be a string",
        "bool_type": "must be true or false",
        "tuple_type": "must be a list",
        "model_type": "must be a table of settings",
        "model_attributes_type": "must be a table of settings",
        "int_from_float": "must be a whole number",
    }
    if first["type"] == "literal_error":
        return f"must be one of {first['ctx']['expected']}"
    return kinds.get(first["type"], first["msg"][0].lower() + first["msg"][1:])
