"""The way back: from the configuration that a result tells to the sections of a file that resolve to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from maskcl.data import DATASETS
from maskcl.errors import ConfigError, DataError, check, message
from maskcl.experiment.config import plain_values
from maskcl.networks import FactoryNetwork
from maskcl.results import flat_config
from maskcl.results.varying import FOUND

__all__ = ["check_restored", "sections_of"]

Table = Mapping[str, Any]

_MADE_OTHERWISE = ("mask", "cfgm")
"""Sections that a result has as null where there is none; left out, a method may bring its own."""


def sections_of(config: Table, where: str, *, given: Collection[str] = ()) -> dict[str, Any]:
    """Return the sections of an experiment file that `Config.resolved` would tell as `config`, seeds aside.

    Args:
        config: The configuration of a result.
        where: The result's path, for messages.
        given: What is given in Python and takes the place of what the sections say: "dataset", "scenario", "network".

    Raises:
        ConfigError: For what results tell by name and content, and not where it lies: data, networks and weights of
            one's own.
    """
    found: dict[str, Any] = {
        name: dict(part) for name, part in config.items() if isinstance(part, Mapping) and name != "seeds"
    }
    found |= {name: "none" for name in _MADE_OTHERWISE if config.get(name) is None}
    scenario, network = (found.pop(name, {}) for name in ("scenario", "network"))
    if "scenario" not in given:
        _check_data(scenario, where, own="dataset" in given)
        left_out = ("fingerprint", *(("dataset",) if "dataset" in given else ()))
        found["scenario"] = {name: value for name, value in scenario.items() if name not in left_out}
    if "network" not in given:
        _check_network(network, where)
        found["network"] = {name: value for name, value in network.items() if name not in FOUND}
    return found


def _check_data(scenario: Table, where: str, *, own: bool) -> None:
    """Refuse a scenario that settings do not describe; and data that a name does not lead to, unless they are given."""
    ways = ("num_tasks", "task_sizes", "tasks")
    described = all(way in scenario for way in ways)
    check(described, f"{where}: scenario", "must be told by settings, and was given in Python",
          hint="maskcl.repeat(PATH, scenario=...) takes it again")  # fmt: skip
    name = scenario.get("dataset")
    hint = "a folder, a file or arrays of your own are told by name and content alone; "
    hint += "maskcl.repeat(PATH, dataset=...) takes them again"
    known = own or (isinstance(name, str) and name in DATASETS)
    must = f"must be one that is known by name ({', '.join(DATASETS)})"
    check(known, f"{where}: scenario.dataset", must, name, hint=hint)


def _check_network(table: Table, where: str) -> None:
    """Refuse networks that a name does not lead to, or not to their weights."""
    hint = "maskcl.repeat(PATH, network=...) takes it again"
    own = table.get("name") == FactoryNetwork.key
    must = "must be one that is known by name, and was given in Python"
    check(not own, f"{where}: network", must, table.get("factory", table.get("class")), hint=hint)
    must = "must be none, for a result does not tell where its file of weights lies"
    check(table.get("weights") is None, f"{where}: network.weights", must, table.get("weights"), hint=hint)


def check_restored(config: Table, resolved: Table, where: str) -> None:
    """Refuse a run whose settings are not those of a result, once its data and network were looked at.

    Args:
        config: The configuration of the result.
        resolved: That of the run to be made.
        where: The result's path, for messages.

    Raises:
        DataError: Other data lie under the name.
        ConfigError: Another setting differs, of a network of another version, say.
    """
    told, here = (flat_config(plain_values(table)) for table in (config, resolved))
    odd = sorted(name for name in told | here if told.get(name) != here.get(name))
    if not odd:
        return
    name = "scenario.fingerprint" if "scenario.fingerprint" in odd else odd[0]
    if name == "scenario.fingerprint":
        parts = (f"fingerprint {flat[name]}" if flat.get(name) else "no fingerprint" for flat in (told, here))
        must = "must be the data that the result is of ({}), and those that lie here are others ({})".format(*parts)
        raise DataError(message(f"{where}: scenario.dataset", must, told.get("scenario.dataset")))
    must = f"must be as the result has it, {told[name]!r}" if name in told else "must be told by the result, and is not"
    raise ConfigError(message(f"{where}: {name}", must, here.get(name)))
