"""Trials as runs: rows of values into experiments, and their results.

A row has all that one trial of one setting sets, by dotted key: what the file's grid sets, and what is tuned. The rows
of a batch, of all settings, are the grid of one experiment; so they are planned and run as any experiment is, its runs
stacked where they can be. What was run before lies in the folder of trials, and is read from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from maskcl.errors import ConfigError, check, is_number, message
from maskcl.experiment import Plan, Search, Sections, carry_out, plan
from maskcl.experiment.files import Source
from maskcl.experiment.grid import combinations, expand, override, told_keys
from maskcl.experiment.sharing import Failure
from maskcl.metrics.directions import ANYTIME
from maskcl.results import config_hash

__all__ = ["FRACTION", "Trials"]

FRACTION = 0.1
"""Share of the training rows that is held out, where the file does not say."""

Row = dict[str, Any]


class Trials:
    """The trials of an experiment.

    Args:
        raw: The file's sections, without [tune].
        search: What [tune] says.
        source: Where they are from.
        where: What messages call it.
        folder: Where results of trials lie.
        options: Further arguments of `plan`: data_root, dataset, network.

    Attributes:
        fraction: Share of the training rows that is held out.
        said_fraction: Whether the file says so.
        settings: What the grid sets in each setting; of no grid, one that sets nothing.

    Raises:
        ConfigError: For what contradicts itself in file, grid and [tune].
    """

    def __init__(
        self,
        raw: Mapping[str, Any],
        search: Search,
        source: Source,
        where: str,
        folder: Path,
        options: Mapping[str, Any],
    ) -> None:
        self._raw, self._search, self._source, self.options = dict(raw), search, source, dict(options)
        self.where, self.folder = where, folder
        given = _at(raw, "scenario.validation_fraction")
        self.said_fraction = not (given is None or (is_number(given) and given == 0))
        self.fraction = given if self.said_fraction else FRACTION
        expanded, varied = expand(raw, where)
        self.settings = combinations(raw, where)
        self._check_grid(varied)
        self._check_words(expanded)
        self._check_metric(expanded)

    def check(self) -> int:
        """Plan every end of each range and every value of each list in each setting; return the seeds of a trial.

        Raises:
            ConfigError: For the first setting that cannot be run, and for rows that [[grid.zip]] could not hold.
            DataError: If data are missing.
        """
        space = self._search.space
        first = {key: axis.ends[0] for key, axis in space.items()}
        tried = [first, *({**first, key: end} for key, axis in space.items() for end in axis.ends[1:])]
        rows = [{**setting, **values} for setting in self.settings for values in tried]
        planned = self._plan([row for i, row in enumerate(rows) if row not in rows[:i]], whole=True)
        return len(planned.runs) // len(set(planned.hashes))

    def run(
        self,
        rows: Sequence[Row],
        *,
        executor: str = "auto",
        threads: int | None = None,
        on_progress: Callable[[float], None] | None = None,
        command: str | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> list[list[dict[str, Any]]]:
        """Run a batch, and return the documents of each row's runs; rows that are equal are run once."""
        unique: list[Row] = []
        places = []
        for row in rows:
            if row not in unique:
                unique.append(row)
            places.append(unique.index(row))
        planned = self._plan(unique)
        failures: list[Failure] | None = None if tell is None else []
        documents = carry_out(
            planned, executor=executor, threads=threads, on_progress=on_progress, command=command, tell=tell,
            failures=failures,
        )  # fmt: skip
        for failure in failures or ():
            must = f"must be runs that end, and {failure.label}, seed {failure.seed} failed ({failure.reason})"
            raise ConfigError(message(f"{self.where}: trials", must))
        by_hash: dict[str, list[dict[str, Any]]] = {}
        for planned_run, document in zip(planned.runs, documents, strict=True):
            by_hash.setdefault(config_hash(planned_run.config), []).append(document)
        return [by_hash[planned.hashes[place]] for place in places]

    def _plan(self, rows: Sequence[Row], *, whole: bool = False) -> Plan:
        changes = {"training.save_weights": False, "scenario.validation_fraction": self.fraction}
        tables = {
            key: value for key, value in changes.items() if isinstance(_at(self._raw, key.split(".")[0]) or {}, Mapping)
        }
        raw = override(self._raw, tables, self.where)  # what is no table is told by its own name
        if self._search.seeds is not None:
            raw["seeds"] = self._search.seeds
        raw["grid"] = {"zip": list(rows)}
        return plan(Sections(raw, self._source, whole=whole), out=self.folder, **self.options)

    def _check_grid(self, varied: Sequence[str]) -> None:
        must = "must be left out, for all settings are judged by the same share of the rows"
        check("scenario.validation_fraction" not in varied, f"{self.where}: [grid] scenario.validation_fraction", must)
        for key, axis in self._search.space.items():
            told = {inner for value in axis.ends for inner in told_keys(key, value)}
            for setting in self.settings:
                both = key in setting or key in varied or told & (set(varied) | set(setting))
                check(not both, f"{self.where}: {key}", "must be set by [grid] or by [tune], and is by both")
        try:
            combinations({"grid": {"zip": self.settings}} if self.settings[0] else {}, self.where)
        except ConfigError:
            must = "must set the same keys with every value of an axis, for each setting gets a row of its own"
            hint = 'say what differs by dotted keys, e.g. "network.hidden" = [[100], [400]]'
            check(False, f"{self.where}: [grid]", must, hint=hint)

    def _check_words(self, expanded: Sequence[Mapping[str, Any]]) -> None:
        """Refuse to tune keys of what is said not to be."""
        for key in self._search.space:
            home = key.rpartition(".")[0]
            for setting in expanded if home and home not in self._search.space else ():
                word = _at(setting, home)
                must = f"must be left out where {home} is {word!r}"
                check(not isinstance(word, str), f"{self.where}: [tune] {key}", must)

    def _check_metric(self, expanded: Sequence[Mapping[str, Any]]) -> None:
        metric = self._search.metric
        every = all(_at(setting, "training.evaluate_every") is not None for setting in expanded)
        hint = "[training] evaluate_every = STEPS"
        must = "must be another where runs are not evaluated within tasks"
        check(every or metric not in ANYTIME, f"{self.where}: [tune] metric", must, metric, hint=hint)


def _at(raw: Mapping[str, Any], key: str) -> Any:
    """What a file has under a dotted key; None: nothing."""
    found: Any = raw
    for name in key.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
