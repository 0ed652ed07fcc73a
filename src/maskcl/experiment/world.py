"""Data sets and scenarios of an experiment, each made once and shared by its runs; and what results tell of them."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from typing import Any

from maskcl import data
from maskcl.data import DATASETS, Dataset
from maskcl.data.base import content_digest
from maskcl.errors import check
from maskcl.networks import Network
from maskcl.scenario import Scenario, class_incremental

__all__ = ["World"]


class World:
    """Makes scenarios from the [scenario] section, or hands out the one that was given.

    Args:
        data_root: Where data sets lie; None: MASKCL_DATA, or the user's cache.
        dataset: Data of one's own in place of the section's.
        scenario: A scenario of one's own in place of the section.
    """

    def __init__(
        self,
        *,
        data_root: str | os.PathLike[str] | None = None,
        dataset: Dataset | None = None,
        scenario: Scenario | None = None,
    ) -> None:
        check(dataset is None or scenario is None, "dataset", "must not be given together with a scenario", dataset)
        self._root = None if data_root is None else os.fspath(data_root)
        self._dataset, self._given = dataset, scenario
        self._made: dict[str, Scenario] = {}
        self._described: dict[Any, dict[str, Any]] = {}

    def check_raw(self, raw: Mapping[str, Any], where: str) -> None:
        """Refuse settings of the file that data given in Python would silently replace."""
        section = raw.get("scenario")
        if self._given is not None:
            check(section is None, f"{where}: [scenario]", "must be left out where a scenario is given", section)
            randomness = raw.get("randomness")
            order = randomness.get("class_order", "fixed") if isinstance(randomness, Mapping) else "fixed"
            must = "must be left out where a scenario is given, which is in order already"
            check(order == "fixed", f"{where}: randomness.class_order", must, order)
        elif self._dataset is not None and isinstance(section, Mapping):
            name = section.get("dataset")
            check(name is None, f"{where}: scenario.dataset", "must be left out where a data set is given", name)

    def scenario(self, section: Mapping[str, Any], class_seed: int | None) -> Scenario:
        """Return the scenario of a section and a seed of the class order (None: not shuffled)."""
        if self._given is not None:
            return self._given
        key = json.dumps([section, class_seed], sort_keys=True)
        if key not in self._made:
            options = {name: value for name, value in section.items() if name != "dataset"}
            loaded = self._load(section["dataset"]) if self._dataset is None else self._dataset
            self._made[key] = class_incremental(loaded, seed=class_seed, **options)
        return self._made[key]

    @functools.cached_property
    def _load(self) -> Any:
        return functools.cache(lambda name: data.load(name, self._root))

    def describe(self, section: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a result's configuration says of the scenario; data of one's own by name and content."""
        if self._given is not None:
            tasks = [list(classes) for classes in self._given.tasks]
            return {"dataset": self._given.dataset.name, "fingerprint": self._fingerprint, "tasks": tasks}
        if self._dataset is not None:
            return {**section, "dataset": self._dataset.name, "fingerprint": self._fingerprint}
        if not DATASETS[section["dataset"]].says_it_all:
            return {**section, "fingerprint": self._fingerprint_of(section["dataset"])}
        return dict(section)

    def describe_network(self, network: Network, scenario: Scenario) -> dict[str, Any]:
        """Return what a result's configuration says of a network, and of what it builds for these rows and classes."""
        key = (id(network), scenario.dataset.input_shape, scenario.num_classes)  # built once, not for each seed
        if key not in self._described:
            self._described[key] = network.describe(*key[1:])
        return dict(self._described[key])

    @functools.cached_property
    def _fingerprint(self) -> str:
        scenario = self._given
        if scenario is None:
            assert self._dataset is not None
            return self._dataset.fingerprint
        rows = [scenario.eval_inputs, scenario.eval_labels, *scenario.train_rows, *scenario.eval_rows]
        return content_digest([*rows, *_arrays(scenario.dataset)])

    @functools.cached_property
    def _fingerprint_of(self) -> Any:
        return functools.cache(lambda name: self._load(name).fingerprint)


def _arrays(dataset: Dataset) -> list[Any]:
    return [dataset.train_inputs, dataset.train_labels, dataset.test_inputs, dataset.test_labels]
