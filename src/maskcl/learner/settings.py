"""A learner's arguments as the sections of an experiment file, read by the same parser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from maskcl.errors import ConfigError, check, is_whole, message
from maskcl.experiment.config import Config, plain_values
from maskcl.experiment.parsing import parse
from maskcl.learner.network import GivenNetwork, check_module
from maskcl.methods import REGISTRY, Method
from maskcl.methods import find as find_method
from maskcl.networks import Network

__all__ = ["DEFAULT_SLOTS", "method_table", "read_settings"]

DEFAULT_SLOTS = 2000
_FOREIGN = ("epochs", "evaluate_every", "save_weights")
"""Keys of [training] that a learner has no use for."""


def read_settings(
    *,
    network: Any,
    method: Any,
    memory: Any,
    mask: Any,
    cfgm: Any,
    lr: float | None,
    optimizer: Any,
    batch_size: int,
    training: Any,
    device: str,
    seed: Any,
) -> Config:
    """Return checked settings.

    Raises:
        ConfigError: One that cannot be used; the message says which, and begins with "Learner".
    """
    where = "Learner"
    check(is_whole(seed) and seed >= 0, f"{where}: seed", "must be a whole number, 0 or more", seed)
    raw: dict[str, Any] = {"method": method_table(method), "optimizer": _table(optimizer, "optimizer")}
    if lr is not None:
        given = raw["optimizer"].get("lr")
        check(given is None, f"{where}: lr", "must be left out where optimizer has an lr", lr)
        raw["optimizer"]["lr"] = lr
    raw["optimizer"].setdefault("lr", 0.05)
    table = _table(training, "training")
    for key in (*_FOREIGN, "batch_size", "device"):
        hint = f"Learner(..., {key}=...)" if key in ("batch_size", "device") else None
        hint = "fit(inputs, labels, epochs=...)" if key == "epochs" else hint
        check(key not in table, f"{where}: training.{key}", "is not a key of a learner's training", hint=hint)
    raw["training"] = table | {"batch_size": batch_size, "device": device}
    if mask is not None:
        raw["mask"] = mask
    if cfgm is not None:
        raw["cfgm"] = cfgm
    has_memory = _has_memory(raw["method"])
    slots = dict(memory) if isinstance(memory, Mapping) else {"size": memory}
    if has_memory or slots not in ({"size": 0}, {"size": DEFAULT_SLOTS}):  # nothing, or what the signature has
        raw["memory"] = slots
    raw["network"] = {"name": network} if isinstance(network, str) else network
    if isinstance(network, nn.Module):
        check_module(network)
        raw["network"] = GivenNetwork(module=network)
    if not isinstance(raw["network"], (Mapping, Network)) and not callable(raw["network"]):
        must = "must be an nn.Module, the name of a network, or factory(input_shape, num_classes)"
        raise ConfigError(message(f"{where}: network", must, network))
    config = parse(raw, where)
    _check(config)
    return config


def _check(config: Config) -> None:
    """Refuse what needs rows that a learner does not keep, or a length that nobody knows."""
    method, schedule = config.method, config.training.schedule
    everything = any(phase.rows == "all" for phase in method.phases(0, 1))
    check(not everything, "Learner: method", f"must not train on all tasks together, as {method.key!r} does",
          method.key, hint="maskcl.run trains it for comparison")  # fmt: skip
    aside = method.needs.held_out
    check(not aside, "Learner: method", f"must not hold rows out for later, as {method.key!r} does", method.key,
          hint="maskcl.run can")  # fmt: skip
    known = schedule is None or schedule.is_constant or schedule.span == "task"
    check(known, "Learner: training.schedule.span", "must be 'task', for nobody knows when a learner ends",
          None if schedule is None else schedule.span)  # fmt: skip


def method_table(method: Any) -> Any:
    """A method by its name, as a table, or as one of its objects."""
    if isinstance(method, Method):
        known = REGISTRY.get(method.key) is type(method)
        check(known, "Learner: method", "must be registered: maskcl.methods.register", type(method).__name__)
        names = type(method).__dataclass_fields__
        for part in ("mask", "cfgm"):
            own = getattr(method, part) == names[part].default
            check(own, f"Learner: method.{part}", f"must be given as Learner(..., {part}=...)", getattr(method, part))
        return {"name": method.key} | {name: plain_values(getattr(method, name)) for name in names
                                       if name not in ("mask", "cfgm")}  # fmt: skip
    return {"name": method} if isinstance(method, str) else method


def _has_memory(method: Any) -> bool:
    """Whether a method has a memory, whatever its other settings; true where the parser will refuse it anyway."""
    name = method.get("name") if isinstance(method, Mapping) else method
    if not isinstance(name, str) or (name not in REGISTRY and name not in REGISTRY.aliases):
        return True
    try:
        return find_method(name)().needs.uses_memory
    except TypeError:  # it has settings without defaults
        return True


def _table(value: Any, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    value = plain_values(value)
    check(isinstance(value, Mapping), f"Learner: {name}", "must be a table of settings", value)
    return dict(value)
