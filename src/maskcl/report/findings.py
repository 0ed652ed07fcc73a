"""What came out for each family: whether a mask helped, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from maskcl.report.names import amount, family_name, mask_and_more, pretty
from maskcl.results import Family, Results, Setting, difference, percent

__all__ = ["BADGES", "Finding", "clearly", "findings"]

HELPED, UNCLEAR, COST, ONE_SEED, ALONE, LOST = "helped", "unclear", "cost", "one-seed", "alone", "lost"
MOST_NAMED = 6
"""Masks below no mask that are named; of more the table tells which."""
BADGES = {
    HELPED: "raised accuracy",
    UNCLEAR: "no clear gain",
    COST: "lowered accuracy",
    ONE_SEED: "one seed",
    ALONE: "nothing to compare",
    LOST: "diverged",
}
"""What can come out of holding the best mask against no mask: by its interval, or why there is none."""


@dataclass(frozen=True)
class Finding:
    """What came out for one family.

    Attributes:
        family: The family.
        verdict: A key of BADGES.
        sentences: Its details.
    """

    family: Family
    verdict: str
    sentences: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the family is called."""
        return family_name(self.family)

    @property
    def badge(self) -> str:
        """The verdict in a word or three."""
        return BADGES[self.verdict]


def findings(results: Results) -> list[Finding]:
    """Say what came out for each family."""
    return [_finding(family) for family in results.families]


def clearly(family: Family, metric: str, sign: int) -> list[Setting]:
    """Masked settings whose difference to no mask has this sign (1 or -1) in all of its 95 % interval."""
    if family.plain is None:
        return []
    changes = [(s, difference(s, family.plain, metric)) for s in family.masked]
    return [s for s, change in changes if change.excludes_zero and np.sign(change.mean) == sign]


def _finding(family: Family) -> Finding:
    plain, best = family.plain, family.best
    if not any(s.num_finished for s in family.settings):
        runs = sum(len(s.runs) for s in family.settings)
        return Finding(family, LOST, (f"{'All ' * (runs > 1)}{amount(runs, 'run')} diverged.",))
    if plain is None or not plain.num_finished:
        level = [f"{pretty(best.mask)}: {_levels(best)}."] if best else []
        why = "Every run without a mask diverged." if plain else "There is no run without a mask to hold it against."
        return Finding(family, ALONE, (*level, why))
    if best is None:
        lost = ("Every masked run diverged.",) if family.masked else ()
        return Finding(family, ALONE, (f"No mask: {_levels(plain)}.", *lost))
    change = difference(best, plain, "final_accuracy")
    which = "Best mask" if len(family.masked) > 1 else "Mask"
    parts = [_instead(best, plain, metric) for metric in ("final_accuracy", "forgetting", "learning_accuracy")]
    sentences = [f"{which}: {mask_and_more(best, family)}, with {'; '.join(part for part in parts if part)}."]
    if np.isnan(change.half):
        verdict = ONE_SEED
    else:
        verdict = UNCLEAR if not change.excludes_zero else HELPED if change.mean > 0 else COST
        sentences += _count(family)
    sentences += _least_forgetting(family, best, plain)
    return Finding(family, verdict, tuple(sentences))


def _count(family: Family) -> Iterable[str]:
    """How many masks are clearly above and below, and which are below."""
    total = len(family.masked)
    if total < 2:
        return
    above, below = clearly(family, "final_accuracy", 1), clearly(family, "final_accuracy", -1)
    if len(above) == total:
        yield f"All {total} masks lie clearly above no mask in final accuracy."
    else:
        which = f" ({pretty(', '.join(s.mask for s in below))})" if 0 < len(below) <= MOST_NAMED else ""
        yield (
            f"Of {total} masks {len(above) or 'none'} {'lies' if len(above) < 2 else 'lie'} clearly above no mask in "
            f"final accuracy, {len(below) or 'none'} clearly below{which}."
        )
    calmer = clearly(family, "forgetting", -1)
    if calmer:
        yield f"Forgetting is clearly lower with {'all' if len(calmer) == total else len(calmer)} of them."


def _least_forgetting(family: Family, best: Setting, plain: Setting) -> Iterable[str]:
    known = [s for s in family.masked if not np.isnan(s.interval("forgetting").mean)]
    if not known:
        return
    least = min(known, key=lambda s: float(s.interval("forgetting").mean))
    if least is not best and least.interval("forgetting").mean < plain.interval("forgetting").mean:
        yield f"{mask_and_more(least, family)} forgets least: {_levels(least)}."


def _instead(setting: Setting, plain: Setting, metric: str) -> str:
    """A metric with and without the mask, and its difference; empty where it is undefined."""
    change = difference(setting, plain, metric)
    if np.isnan(change.mean):
        return ""
    ours, theirs = (percent(s.interval(metric)) for s in (setting, plain))
    return f"{metric.replace('_', ' ')} {ours} % instead of {theirs} % ({percent(change, signed=True)} points)"


def _levels(setting: Setting) -> str:
    accuracy, forgetting = setting.interval("final_accuracy"), setting.interval("forgetting")
    text = f"{percent(accuracy)} % final accuracy"
    return text if np.isnan(forgetting.mean) else f"{text}, {percent(forgetting)} % forgetting"
