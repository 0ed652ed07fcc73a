"""What each part of a setting brings: the others that differ from it in one part alone, and what each change costs.

part: the mask, CFGM, or the settings of method, memory, network, optimiser or training
base: has two changes or more, in two parts or more; a change is a setting that differs from it in one part and
      has others that differ in one from itself by fewer parts (in a full grid all have as many, and none is a base)
"""

from __future__ import annotations

import json
import math
from typing import NamedTuple

from maskcl.metrics import Interval
from maskcl.report.names import joined, said, short_name, short_names, worded
from maskcl.report.studies import Study
from maskcl.results import DASH, Results, Row, Setting, Table, difference, flat_config, percent
from maskcl.results.table import counted_seeds

__all__ = ["Ablation", "Change", "ablation", "ablations"]

FEWEST = 2
MOST = 6
"""Bases that are shown, those with the most changes."""
MOST_TOLD = 3
_SAME = ("scenario", "randomness", "method.name")
"""What makes another comparison."""
_LOOKS = "training.evaluate_every"
"""How often one looks changes nothing."""
_CAPTION = (
    "What final accuracy loses (left of the line) or gains by one change, in points, paired by seed; in brackets what "
    "was there. Dots: single runs."
)
_BARS = " Bars: 95 % intervals over seeds; grey where it includes 0."
_ONE_SEED = " One seed: no intervals."
_CROSSES = " Crosses: every run diverged."


class Change(NamedTuple):
    """A setting that differs from the base in one part.

    Attributes:
        setting: The setting.
        to: What it has there, e.g. "no mask" or "optimizer.lr = 0.03".
        instead: What the base has there.
        cost: Its final accuracy minus the base's, over the seeds that finished with both; NaN if there are none.
    """

    setting: Setting
    to: str
    instead: str
    cost: Interval

    @property
    def pairs(self) -> int:
        """Seeds that finished with both."""
        return int(self.cost.n)


class Ablation(NamedTuple):
    """A base and all that is one change away from it.

    Attributes:
        name: Of the base, as short as tells it from the other bases.
        base: The setting.
        changes: What costs most first; what cannot be compared last.
    """

    name: str
    base: Setting
    changes: tuple[Change, ...]


def ablation(results: Results, *, asked: bool) -> list[Study]:
    """Return the study of one change at a time; only if asked, since many grids have such a setting by chance."""
    from maskcl.report.figures.ablation import draw

    every = ablations(results) if asked else []
    most = sorted(range(len(every)), key=lambda i: -len(every[i].changes))[:MOST]
    found = [every[i] for i in sorted(most)]
    if not found:
        return []
    changes = [change for one in found for change in one.changes]
    bars = any(not math.isnan(change.cost.half) for change in changes)
    told = {
        _BARS: bars,
        _ONE_SEED: not bars,
        _CROSSES: any(not change.setting.num_finished for change in changes),
        f" Of {len(every)} settings with changes the {MOST} with most are shown.": len(found) < len(every),
    }
    caption = _CAPTION + "".join(text for text, holds in told.items() if holds)
    return [
        Study("ablation", "One change at a time", _says(found), caption, _table(found, bars=bars), lambda: draw(found))
    ]


def ablations(results: Results) -> list[Ablation]:
    """All bases with their changes, in the order of the settings; of equal settings the one with the most runs."""
    most: dict[str, Setting] = {}
    for s in results.settings:
        if s.config_hash not in most or s.num_finished > most[s.config_hash].num_finished:
            most[s.config_hash] = s
    settings = list(most.values())
    parts = [_parts(s) for s in settings]
    near: list[dict[int, str]] = [{} for _ in settings]
    for i, mine in enumerate(parts):
        for k, other in enumerate(parts[:i]):
            part = _changed(mine, other)
            if part is not None:
                near[i][k] = near[k][i] = part
    counts = [len(set(own.values())) for own in near]
    changed = [{k: part for k, part in own.items() if counts[k] < counts[i]} for i, own in enumerate(near)]
    bases = [i for i, own in enumerate(changed) if len(set(own.values())) >= FEWEST and settings[i].num_finished]
    names = _names([settings[i] for i in bases])
    return [Ablation(name, settings[i], _changes(settings[i], [(settings[k], part) for k, part in changed[i].items()]))
            for i, name in zip(bases, names, strict=True)]  # fmt: skip


def _names(bases: list[Setting]) -> list[str]:
    """Names without what all bases share."""
    words = [set(s.differs) for s in bases]
    shared = set.intersection(*words) if len(words) > 1 else set()
    return short_names(bases, without=[word.partition("=")[0] for word in shared])


def _parts(setting: Setting) -> dict[str, str]:
    """Each section of a configuration, to be compared; what is not set in one may be missing in another."""
    sections = {name: flat_config({name: part}) for name, part in setting.config.items() if name != "seeds"}
    known = {name: {k: v for k, v in part.items() if v is not None and k != _LOOKS} for name, part in sections.items()}
    parts = {name: json.dumps(part, sort_keys=True, default=str) for name, part in known.items() if part}
    return parts | {"method.name": setting.method}


def _changed(one: dict[str, str], other: dict[str, str]) -> str | None:
    """The only part in which two settings differ; None if there are none or more, or if it makes them no rivals."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return names[0] if len(names) == 1 and names[0] not in _SAME else None


def _changes(base: Setting, others: list[tuple[Setting, str]]) -> tuple[Change, ...]:
    found = [Change(s, *_words(part, s, base), difference(s, base, "final_accuracy")) for s, part in others]
    return tuple(sorted(found, key=lambda one: (one.pairs == 0, float(one.cost.mean) if one.pairs else 0.0)))


def _words(part: str, setting: Setting, base: Setting) -> tuple[str, str]:
    """What was changed to what, and what it was."""
    if part == "mask":
        return short_name(setting.dial), short_name(base.dial)
    if part == "cfgm":
        return _cfgm(setting), _cfgm(base)
    ours, theirs = (flat_config({part: s.config.get(part)}) for s in (setting, base))
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key) and key != _LOOKS]
    to = [worded(key, ours.get(key)) for key in keys if key != part]  # a section that is None has its own key
    instead = [said(theirs.get(key)) for key in keys if key != part]
    return f"no {part}" if part in ours else ", ".join(to), f"no {part}" if part in theirs else ", ".join(instead)


def _cfgm(setting: Setting) -> str:
    return setting.cfgm.replace("cfgm", "CFGM", 1) or "no CFGM"


def _says(found: list[Ablation]) -> str:
    """What is clearly lower and clearly higher than the base, the furthest first."""
    told = []
    for one in found:
        clear = [c for c in one.changes if bool(c.cost.excludes_zero)]
        lower, higher = ([c for c in clear if (c.cost.mean < 0) == below] for below in (True, False))
        parts = [
            f"clearly {word}: {_listed(some)}" for word, some in (("lower", lower), ("higher", higher[::-1])) if some
        ]
        what = "; ".join(parts) or "no change makes a clear difference"
        told.append(f"{one.name}: {percent(one.base.interval('final_accuracy'))} % as it is; {what}.")
    return " ".join(told)


def _listed(changes: list[Change]) -> str:
    more = [f"{len(changes) - MOST_TOLD} more"] if len(changes) > MOST_TOLD else []
    return joined([f"{c.to} ({percent(c.cost, signed=True)})" for c in changes[:MOST_TOLD]] + more)


def _table(found: list[Ablation], *, bars: bool) -> Table:
    header = ("Setting", "Change", "Instead of", "Final accuracy", "Difference", "Pairs", "Forgetting",
              "Learning accuracy", "Seeds")  # fmt: skip
    rows = []
    for one in found:
        rows.append(Row((one.name, "as it is", "", *_cells(one.base, "", "")), True))
        for c in one.changes:
            cost = percent(c.cost, signed=True) if c.pairs else DASH
            rows.append(Row((one.name, c.to, c.instead, *_cells(c.setting, cost, str(c.pairs))), False))
    lost = any(s.diverged for one in found for s in (one.base, *(c.setting for c in one.changes)))
    spread = "mean ± 95 % interval over seeds" if bars else "one seed: no intervals"
    notes = [f"In percent, {spread}; differences in points, over the seeds that finished with both (pairs)."]
    notes += ["Runs that diverged are in no mean."] if lost else []
    return Table(header, tuple(rows), 3, tuple(notes))


def _cells(setting: Setting, cost: str, pairs: str) -> tuple[str, ...]:
    accuracy, forgetting, learnt = (
        percent(setting.interval(name)) for name in ("final_accuracy", "forgetting", "learning_accuracy")
    )
    return accuracy, cost, pairs, forgetting, learnt, counted_seeds(setting)
