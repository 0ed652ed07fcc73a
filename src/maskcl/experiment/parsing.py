"""From the sections of a file, or of a dict, to one validated setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from maskcl.cfgm import Cfgm
from maskcl.engine import TrainingConfig
from maskcl.errors import ConfigError, check, message
from maskcl.experiment.config import Config, blaming, plain_values
from maskcl.experiment.messages import sentence
from maskcl.experiment.schema import NAMED, PARTS, experiment_file
from maskcl.experiment.world import own_data
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import Method
from maskcl.networks import Mlp, Network, as_network
from maskcl.optim import OptimizerConfig

__all__ = ["parse"]


def parse(raw: Mapping[str, Any], where: str, *, varies_method: bool = False) -> Config:
    """Validate one setting.

    Args:
        raw: Its sections, without a grid.
        where: The file's name, for messages.
        varies_method: Whether the grid sets the method: then [memory] is left out for methods without one.

    Raises:
        ConfigError: For the first thing that is wrong.
    """
    raw = dict(plain_values(raw))
    own = raw.pop("network") if _is_own(raw.get("network")) else None
    if isinstance(raw.get("network"), Mapping):
        raw["network"] = {"name": Mlp.key} | raw["network"]
    with blaming(where):
        for section, registry in NAMED.items():
            table = raw.get(section)
            if isinstance(table, Mapping) and "name" in table:
                check(isinstance(table["name"], str), f"{section}.name", "must be a string", table["name"])
                registry.key(table["name"])
    try:
        file: Any = experiment_file().model_validate(raw)
    except ValidationError as error:
        raise ConfigError(sentence(error, raw, where)) from None
    with blaming(where):
        return _build(file, where, varies_method, own)


def _is_own(network: Any) -> bool:
    """Whether a network is given as an object, which has settings that no file can hold, or as a factory."""
    return isinstance(network, Network) or callable(network)


def _build(file: Any, where: str, varies_method: bool, own: Any) -> Config:
    kind = NAMED["method"].find(file.method.name)
    options = file.method.model_dump(exclude={"name"})
    if file.mask is not None:
        options["mask"] = None if file.mask == "none" else Mask(**file.mask.model_dump())
    training = TrainingConfig(**file.training.model_dump() | _parts(file.training))
    if file.cfgm == "authors":
        options["cfgm"] = Cfgm.authors(training.batch_size)
    elif file.cfgm is not None and file.cfgm != "none":
        options["cfgm"] = Cfgm(**file.cfgm.model_dump())
    method = kind(**options)
    scenario = file.scenario.model_dump()
    if isinstance(scenario["dataset"], dict):
        own_data(scenario["dataset"])
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
        network=_network(file.network) if own is None else as_network(own),
        optimizer=OptimizerConfig(**file.optimizer.model_dump()),
        training=training,
        randomness=randomness,
        where=where,
    )


def _parts(training: Any) -> dict[str, Any]:
    """Settings that may be left out, be the word "none", or another word, their name."""
    found: dict[str, Any] = {}
    for key, kind in PARTS.items():
        name = key.split(".")[1]
        part = getattr(training, name)
        if isinstance(part, str):
            found[name] = None if part == "none" else kind(name=part)
        else:
            found[name] = None if part is None else kind(**part.model_dump())
    return found


def _network(section: Any) -> Network:
    kind = NAMED["network"].find(section.name)
    return kind(**section.model_dump(exclude={"name"}))


def _memory(method: Method, section: Any, varies_method: bool) -> MemoryConfig | None:
    if method.needs.uses_memory:
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
