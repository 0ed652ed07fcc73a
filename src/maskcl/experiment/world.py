"""Data sets and scenarios of an experiment, each made once and shared by its runs; and what results tell of them."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from maskcl import data
from maskcl.data import DATASETS, Dataset, FolderData, NpzData
from maskcl.data.base import content_digest
from maskcl.data.source import Progress
from maskcl.errors import MaskclError, check
from maskcl.experiment.sections import OWN_DATA, form_of
from maskcl.networks import Network
from maskcl.scenario import Scenario, class_incremental

__all__ = ["World", "own_data"]


def own_data(table: Mapping[str, Any]) -> FolderData | NpzData:
    """Return the settings of a data set that a file has as a table; refused ones are told by where they stand."""
    kind = OWN_DATA[form_of(table)]
    with _placed(kind):
        return kind(**table)


@contextmanager
def _placed(kind: type) -> Iterator[None]:
    """Say where in a file a setting stands; a message on files has their own path, and says it all."""
    try:
        yield
    except MaskclError as error:
        setting = str(error).partition(":")[0] in {field.name for field in fields(kind)}
        raise (type(error)(f"scenario.dataset.{error}") if setting else error) from None


class World:
    """Makes scenarios from the [scenario] section, or hands out the one that was given.

    Args:
        data_root: Where data sets lie; None: MASKCL_DATA, or the user's cache.
        dataset: Data of one's own in place of the section's.
        scenario: A scenario of one's own in place of the section.
        on_pictures: Called as (name, pictures done, pictures in all) while pictures are decoded.
    """

    def __init__(
        self,
        *,
        data_root: str | os.PathLike[str] | None = None,
        dataset: Dataset | None = None,
        scenario: Scenario | None = None,
        on_pictures: Progress | None = None,
    ) -> None:
        check(dataset is None or scenario is None, "dataset", "must not be given together with a scenario", dataset)
        self._root = None if data_root is None else os.fspath(data_root)
        self._dataset, self._given = dataset, scenario
        self._on_pictures = on_pictures
        self._made: dict[str, Scenario] = {}
        self._loaded: dict[str, Dataset] = {}
        self._known: dict[str, bool] = {}
        self._described: dict[Any, tuple[Network, dict[str, Any]]] = {}

    @property
    def given(self) -> set[str]:
        """What was given in Python: "dataset", "scenario", or neither."""
        return {name for name, own in (("dataset", self._dataset), ("scenario", self._given)) if own is not None}

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

    def _load(self, given: str | Mapping[str, Any]) -> Dataset:
        """The data set of a name or a table, loaded once."""
        key = json.dumps(given, sort_keys=True)
        if key not in self._loaded:
            if isinstance(given, str):
                self._loaded[key] = data.load(given, self._root, on_progress=self._on_pictures)
            else:
                settings = own_data(given)
                with _placed(type(settings)):
                    self._loaded[key] = settings.load(self._root, on_progress=self._on_pictures)
        return self._loaded[key]

    def describe(self, section: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a result's configuration says of the scenario; data of one's own by name and content."""
        if self._given is not None:
            tasks = [list(classes) for classes in self._given.tasks]
            return {"dataset": self._given.dataset.name, "fingerprint": self._fingerprint, "tasks": tasks}
        if self._dataset is not None:
            return {**section, "dataset": self._dataset.name, "fingerprint": self._fingerprint}
        given = section["dataset"]
        if not isinstance(given, str) or not self._says_it_all(given):
            loaded = self._load(given)
            name = given if isinstance(given, str) else loaded.name  # not its path: the same data may lie elsewhere
            return {**section, "dataset": name, "fingerprint": loaded.fingerprint}
        return dict(section)

    def _says_it_all(self, name: str) -> bool:
        """Whether results need no more of a data set than its name; asked once, for it may read all files."""
        if name not in self._known:
            self._known[name] = DATASETS[name].says_it_all(self._root)
        return self._known[name]

    def describe_network(self, network: Network, scenario: Scenario) -> dict[str, Any]:
        """Return what a result's configuration says of a network, and of what it builds for these rows and classes."""
        key = (id(network), scenario.dataset.input_shape, scenario.num_classes)  # built once, not for each seed
        if key not in self._described:
            self._described[key] = network, network.describe(*key[1:])  # kept alive, or another may get its id
        return dict(self._described[key][1])

    @functools.cached_property
    def _fingerprint(self) -> str:
        scenario = self._given
        if scenario is None:
            assert self._dataset is not None
            return self._dataset.fingerprint
        rows = [scenario.eval_inputs, scenario.eval_labels, *scenario.train_rows, *scenario.eval_rows]
        return content_digest([*rows, *_arrays(scenario.dataset)])


def _arrays(dataset: Dataset) -> list[Any]:
    return [dataset.train_inputs, dataset.train_labels, dataset.test_inputs, dataset.test_labels]
