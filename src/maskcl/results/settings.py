"""Runs into settings: the seeds of one configuration together, and each setting's counterpart without a mask."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from maskcl import metrics
from maskcl.cfgm import Cfgm
from maskcl.results.masks import Dial, dial_of, mask_name
from maskcl.results.varying import varying

__all__ = ["Family", "Setting", "difference", "families", "group", "paired"]

FIRST = ("finetune", "joint", "er", "er_ace", "der", "derpp")
"""Methods that others are compared with come first in tables, in this order; the rest by key."""


@dataclass(frozen=True, eq=False)
class Setting:
    """All seeds of one configuration.

    Attributes:
        label: Its name in the result files.
        config_hash: Hash of its configuration without seeds.
        runs: Documents by ascending seed.
        differs: What besides method and mask tells it from the other settings of its method, e.g. "memory.size=50".
    """

    label: str
    config_hash: str
    runs: tuple[dict[str, Any], ...]
    differs: tuple[str, ...] = ()

    @property
    def config(self) -> dict[str, Any]:
        """The configuration (its seeds are those of the first run)."""
        return self.runs[0]["config"]

    @property
    def experiment(self) -> str:
        """The experiment that ran it first."""
        return str(self.runs[0].get("experiment", ""))

    @property
    def method(self) -> str:
        """The method's key."""
        return _method(self.config)

    @property
    def title(self) -> str:
        """The method's name for tables, as its class has it; else its key in capitals."""
        return str(self.runs[0].get("method_title") or self.method.replace("_", "-").upper())

    @cached_property
    def dial(self) -> Dial:
        """Where its mask stands."""
        return dial_of(self.config.get("mask"))

    @property
    def mask(self) -> str:
        """Its mask's name."""
        return mask_name(self.dial)

    @property
    def cfgm(self) -> str:
        """Its CFGM's name; empty without."""
        found = self.config.get("cfgm")
        return "" if found is None else Cfgm(**found).label

    @property
    def varies(self) -> str:
        """What it differs in, as text."""
        return " ".join(self.differs)

    @property
    def name(self) -> str:
        """Method, mask and what else varies."""
        return ", ".join(part for part in (self.title, self.mask, self.varies) if part)

    @property
    def seeds(self) -> list[int]:
        """Seeds, ascending."""
        return [run["seed"] for run in self.runs]

    @property
    def diverged(self) -> list[dict[str, Any]]:
        """Documents of the runs that diverged."""
        return [run for run in self.runs if run["status"] == "diverged"]

    @property
    def num_finished(self) -> int:
        """Runs that finished."""
        return len(self.runs) - len(self.diverged)

    def values(self, metric: str) -> npt.NDArray[np.float64]:
        """One value a run, [N]; NaN where it diverged or the metric is undefined."""
        finished = ((run["metrics"].get(metric, np.nan), run["status"] == "finished") for run in self.runs)
        return np.array([value if good else np.nan for value, good in finished], dtype=np.float64)

    def interval(self, metric: str) -> metrics.Interval:
        """Mean and 95 % interval over seeds."""
        return metrics.interval(self.values(metric))

    def stacked(self, name: str) -> npt.NDArray[np.float64] | None:
        """A matrix of every finished run, [N, T, T]; None where no run, or not every one, has it."""
        found = [run.get(name) for run in self.runs if run["status"] == "finished"]
        matrices = [np.asarray(matrix) for matrix in found if matrix is not None]
        complete = len(matrices) == len(found) > 0 and len({matrix.shape for matrix in matrices}) == 1
        return np.stack(matrices) if complete else None


@dataclass(frozen=True, eq=False)
class Family:
    """The settings that differ in their mask alone.

    Attributes:
        name: Method, and what else varies but is the same for all of them.
        plain: The one without a mask, if it ran.
        masked: The others, from the weakest mask to the strongest.
    """

    name: str
    plain: Setting | None
    masked: tuple[Setting, ...]

    @property
    def settings(self) -> tuple[Setting, ...]:
        """All of them, the plain one first."""
        return (() if self.plain is None else (self.plain,)) + self.masked

    @property
    def best(self) -> Setting | None:
        """The masked setting of the highest mean final accuracy; None if none finished."""
        means = [(float(s.interval("final_accuracy").mean), s) for s in self.masked if s.num_finished]
        known = [pair for pair in means if not np.isnan(pair[0])]
        return max(known, key=lambda pair: pair[0])[1] if known else None


def group(runs: Iterable[Mapping[str, Any]]) -> tuple[Setting, ...]:
    """Group documents by label and configuration; order by method, what varies, and strength of the mask."""
    members: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        members[run["label"], run["config_hash"]].append(dict(run))
    found = [
        Setting(label, hashed, tuple(sorted(member, key=lambda run: run["seed"])))
        for (label, hashed), member in members.items()
    ]
    names = varying([(s.method, s.config) for s in found])
    named = [Setting(s.label, s.config_hash, s.runs, name) for s, name in zip(found, names, strict=True)]
    return tuple(sorted(named, key=_order))


def families(settings: Sequence[Setting]) -> tuple[Family, ...]:
    """Put every setting beside its counterpart without a mask.

    That is the one whose configuration is equal but for the mask; or else, for settings that were tuned apart, the only
    one of that method without a mask on these tasks (of that experiment, if there are more), unless its memory, network
    or use of seeds is another.
    """
    plains = [s for s in settings if s.dial.kind == "none" and not s.dial.extras]
    kin: dict[Any, list[Setting]] = defaultdict(list)
    for s in settings:
        kin[_counterpart(s, plains) or (s.method, _unmasked_hash(s.config))].append(s)
    found = []
    for key, members in kin.items():
        plain = key if isinstance(key, Setting) else None
        first = plain or members[0]
        alike = first.varies if len({s.varies for s in members}) == 1 else ""
        name = f"{first.title} ({alike})" if alike else first.title
        found.append(Family(name, plain, tuple(s for s in members if s is not plain)))
    return tuple(found)


def _counterpart(setting: Setting, plains: Sequence[Setting]) -> Setting | None:
    """The setting itself, if it has no mask; else the one without a mask that it is to be held against."""
    if setting in plains:
        return setting
    same = [p for p in plains if p.method == setting.method]
    equal = [p for p in same if _unmasked_hash(p.config) == _unmasked_hash(setting.config)]
    close = equal or [p for p in same if _tasks(p) == _tasks(setting)]
    if len(close) > 1:  # a folder may hold several experiments
        close = [p for p in close if p.experiment == setting.experiment]
    return close[0] if len(close) == 1 and _conditions(close[0]) == _conditions(setting) else None


def difference(setting: Setting, reference: Setting, metric: str, confidence: float = 0.95) -> metrics.Interval:
    """Interval of setting - reference over the seeds that both have."""
    return metrics.paired_difference(*paired(setting, reference, metric), confidence)


def paired(setting: Setting, reference: Setting, metric: str) -> tuple[list[float], list[float]]:
    """Values of both, of the seeds that both have, ascending; NaN where a run diverged."""
    ours, theirs = (dict(zip(s.seeds, s.values(metric), strict=True)) for s in (setting, reference))
    shared = sorted(set(ours) & set(theirs))
    return [ours[seed] for seed in shared], [theirs[seed] for seed in shared]


def _order(setting: Setting) -> tuple[Any, ...]:
    place = FIRST.index(setting.method) if setting.method in FIRST else len(FIRST)
    return place, setting.method, _natural(setting.varies), setting.dial.order, setting.label


def _method(config: Mapping[str, Any]) -> str:
    return str((config.get("method") or {}).get("name", "?"))


def _tasks(setting: Setting) -> Any:
    return setting.config.get("scenario"), np.shape(setting.runs[0]["class_incremental"])


def _conditions(setting: Setting) -> Any:
    """What no tuning changes, so that a difference between settings that are not equal in it says nothing of masks."""
    return [setting.config.get(name) for name in ("memory", "network", "randomness")]


def _unmasked_hash(config: Mapping[str, Any]) -> str:
    kept = {name: part for name, part in config.items() if name not in ("mask", "seeds")}
    return hashlib.blake2b(json.dumps(kept, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()


def _natural(text: str) -> list[tuple[float, str]]:
    """Sorts numbers in a name by value: size=50 before size=200."""
    parts = text.replace("=", " ").split()
    return [(float(p), "") if p.replace(".", "", 1).isdecimal() else (-1.0, p) for p in parts]
