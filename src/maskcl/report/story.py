"""The report in words: what was compared, what masking did to accuracy, and what to keep in mind."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from maskcl.report.findings import COST, HELPED, LOST, ONE_SEED, UNCLEAR, Finding, clearly, findings
from maskcl.report.names import amount, apart, family_name, joined, mask_and_more, pretty
from maskcl.report.studies.orders import by_order_alone, says, spreads
from maskcl.results import Family, Results, Setting, difference, divergences, percent

__all__ = ["answer", "cautions", "compared"]

MANY = 3
"""Masks from which the best one looks better than it is just by being picked."""
MOST_NAMED = 4
"""Families that the first paragraph names."""


def compared(results: Results) -> str:
    """Say what was compared, on what, how often."""
    settings = results.settings
    data = joined(sorted({_data(s) for s in settings}))
    tasks = joined([str(n) for n in sorted({len(r["class_incremental"]) for r in results.runs})])
    slots = sorted({m["size"] for s in settings if (m := s.config.get("memory")) and m.get("size")})
    epochs = sorted({n for s in settings if (n := (s.config.get("training") or {}).get("epochs"))})
    with_what = [f"{joined([f'{n:,}' for n in slots])} memory slots"] if slots else []
    with_what += [f"{joined([str(n) for n in epochs])} epoch{'s' * (epochs != [1])} a task"] if epochs else []
    counts = sorted({len(s.runs) for s in settings})
    seeds = amount(counts[0], "seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    conditions = joined([*with_what, f"{seeds} for each setting"])
    order = "task" if tasks == "1" else "tasks one after another"
    runs = amount(len(results.runs), "run")
    return (
        f"{_contenders(results.families)} learnt {data} in {tasks} {order}, with {conditions}: {runs}."
        " Accuracy is class-incremental: the network chooses among all classes and is not told the task."
    )


def answer(results: Results) -> str:
    """Say in a sentence or three what masking did to final accuracy."""
    found = findings(results)
    if all(f.verdict == LOST for f in found):
        return (
            "All runs diverged, so that there is nothing to compare. A smaller learning rate is the first thing to try."
        )
    helped = [f.family for f in found if f.verdict == HELPED]
    others = [sentence for f in found if (sentence := _otherwise(f))]
    over = _over_orders(results)  # an order of classes is no choice: the easiest is not the best setting
    parts = [over] if over else []
    if helped:
        named = [_by(family) for family in helped[:MOST_NAMED]] + _rest(len(helped))
        proof = "The 95 % interval excludes zero." if len(helped) == 1 else "The 95 % intervals exclude zero."
        alone = not any(apart(family.best, family) for family in helped[:MOST_NAMED] if family.best is not None)
        start = "Masking raised final accuracy" if alone else "Against no mask final accuracy rose"
        parts.append(f"{start}: {joined(named)}. {proof}")
    parts += others[:MOST_NAMED] + [f"{text.capitalize()}." for text in _rest(len(others))]
    if not parts:
        parts = [
            _highest(results),
            "No method finished both with and without a mask, so these runs do not say what masking changes.",
        ]
    return " ".join(parts)


def cautions(results: Results) -> list[str]:
    """Say what to keep in mind before quoting any number."""
    unread = results.left_out.sentences(MOST_NAMED)
    notes = [f"Left out of this report: {' '.join(unread)}"] if unread else []
    widest = max((len(f.masked) for f in results.families if f.plain), default=0)
    held_out = {float((s.config.get("scenario") or {}).get("validation_fraction") or 0) > 0 for s in results.settings}
    rows = "held-out training rows" if held_out == {True} else "test rows"
    if widest >= MANY:
        advice = (
            "" if held_out == {True} else " Choose the mask on held-out rows (validation_fraction) before quoting it."
        )
        notes.append(
            f"The best of {widest} masks was picked on the same {rows} that its number comes from. That is optimistic: "
            f"some of its lead is luck.{_corrected(results)}{advice}"
        )
    if held_out == {True}:
        notes.append("Accuracy is measured on held-out training rows (a validation split), not on test data.")
    notes += _no_rivals(results.settings)
    for key, did in (("subset", "Learnt from"), ("eval_subset", "Judged by")):
        shares = sorted({(s.config.get("scenario") or {}).get(key) or 1.0 for s in results.settings})
        if shares and shares[0] < 1:
            told = joined([f"{100 * share:.3g} %" for share in shares])
            notes.append(f"{did} a part of the rows (scenario.{key}): {told}.")
    finished = {s.num_finished for s in results.settings}
    if finished <= {0, 1} and finished != {0}:
        notes.append("Each setting ran with one seed: nothing here says how much would change with another.")
    named = divergences(results.settings)
    if named:
        few = f": {pretty('; '.join(named))}" if len(named) <= 3 else ", named below the table"
        lost = sum(len(s.diverged) for s in results.settings)
        means = " Means cover the seeds that finished, which flatters settings that lost some."
        notes.append(f"{amount(lost, 'run')} of {len(results.runs)} diverged{few}.{means if any(finished) else ''}")
    return notes


def _no_rivals(settings: tuple[Setting, ...]) -> list[str]:
    """Say what makes accuracies of a folder that several experiments share another thing from setting to setting."""
    scenarios = [s.config.get("scenario") or {} for s in settings]
    kinds: dict[str, set[Any]] = {
        "the data": {(_data(s), scenario.get("fingerprint")) for s, scenario in zip(settings, scenarios, strict=True)},
        "the number of tasks": {len(s.runs[0]["class_incremental"]) for s in settings},
        "the rows that judge (test or held out)": {bool(scenario.get("validation_fraction")) for scenario in scenarios},
    }
    differ = [name for name, found in kinds.items() if len(found) > 1]
    return [f"Settings differ in {joined(differ)}: compare those alone that agree in it."] if differ else []


def _corrected(results: Results) -> str:
    """What is left of the clear gains once the intervals allow for the number of masks (Bonferroni)."""
    gains = [f for f in findings(results) if f.verdict == HELPED]
    kept: list[str] = []
    gone: list[str] = []
    for family in (gain.family for gain in gains):
        assert family.plain is not None
        assert family.best is not None
        wide = difference(family.best, family.plain, "final_accuracy", 1 - 0.05 / len(family.masked))
        (kept if wide.excludes_zero else gone).append(family_name(family))
    parts = [f"still excludes zero for {joined(kept[:MOST_NAMED] + _rest(len(kept)))}"] if kept else []
    parts += [f"no longer excludes zero for {joined(gone[:MOST_NAMED] + _rest(len(gone)))}"] if gone else []
    return f" Widened for the number of masks (Bonferroni) the interval {joined(parts)}." if parts else ""


def _otherwise(finding: Finding) -> str:
    """The answer for one family whose accuracy did not clearly rise; empty if there is nothing to compare."""
    family, best = finding.family, finding.family.best
    if best is None or family.plain is None or finding.verdict not in (UNCLEAR, COST, ONE_SEED):
        return ""
    of, mask = family_name(family), mask_and_more(best, family)
    change = difference(best, family.plain, "final_accuracy")
    size, many = percent(change._replace(mean=np.abs(change.mean))), len(family.masked) > 1
    if finding.verdict == ONE_SEED:
        name = f"the {'best ' * many}mask, {mask},"
        side = "above" if change.mean > 0 else "below"
        return (
            f"For {of} {name} is {size} points {side} no mask in final accuracy; with one seed there is no "
            "interval, and the difference may be chance."
        )
    if finding.verdict == COST:
        what = f"even the best mask, {mask}," if many else f"the mask, {mask},"
        start = f"For {of} masking did not help final accuracy: {what} is {size} points below no mask, "
        return f"{start}an interval that excludes zero{_meanwhile(family, below=False)}."
    raised = f"none of the {len(family.masked)} masks clearly raised final accuracy: the best, {mask},"
    made = f"the mask, {mask}, made no clear difference to final accuracy: it"
    end = f"comes out at {percent(change, signed=True)} points against no mask, an interval that includes zero"
    return f"For {of} {raised if many else made} {end}{_meanwhile(family, below=many)}."


def _meanwhile(family: Family, *, below: bool) -> str:
    """What the other masks did, and what all of them did to forgetting."""
    total = len(family.masked)
    lower, calmer = (len(clearly(family, metric, -1)) for metric in ("final_accuracy", "forgetting"))
    text = f"; {lower} of {total} masks clearly lowered it" if below and lower else ""
    with_what = "it" if total == 1 else f"{calmer} of {total}"
    return f"{text}; forgetting clearly fell with {with_what}" if calmer else text


def _rest(total: int) -> list[str]:
    return [f"{total - MOST_NAMED} more, listed below"] if total > MOST_NAMED else []


def _by(family: Family) -> str:
    assert family.plain is not None
    assert family.best is not None
    change = difference(family.best, family.plain, "final_accuracy")
    levels = [percent(s.interval("final_accuracy")).split(" ")[0] for s in (family.plain, family.best)]
    with_what = f"with {mask_and_more(family.best, family)} (from {levels[0]} % to {levels[1]} %)"
    return f"for {family_name(family)} by {percent(change)} points {with_what}"


def _highest(results: Results) -> str:
    leader = _leader(results.settings)
    return f"The highest final accuracy is {percent(leader.interval('final_accuracy'))} % ({pretty(leader.name)})."


def _over_orders(results: Results) -> str:
    """Where the highest mean over class orders is, and what the order matters; empty if settings differ in more."""
    if not by_order_alone(results):
        return ""
    found = spreads(results)
    best = max(found, key=lambda one: float(one.mean.mean))
    start = f"The highest mean over {best.orders} class orders is {percent(best.mean)} % ({best.name})."
    return f"{start} {says(found)}"


def _leader(settings: tuple[Setting, ...]) -> Setting:
    means = [float(np.nan_to_num(s.interval("final_accuracy").mean, nan=-1.0)) for s in settings]
    return settings[int(np.argmax(means))]


def _data(setting: Setting) -> str:
    scenario: dict[str, Any] = setting.config.get("scenario") or {}
    return str(next((scenario[name] for name in ("dataset", "data", "name") if scenario.get(name)), "the data"))


def _contenders(families: tuple[Family, ...]) -> str:
    """Who took part; methods with the same number of masks are named together."""
    settings: dict[str, list[Setting]] = defaultdict(list)
    for family in families:
        settings[family.settings[0].title].extend(family.settings)
    kinds: dict[tuple[bool, int], list[str]] = defaultdict(list)
    for title, members in settings.items():
        masks = {s.mask for s in members if s.dial.kind != "none"}
        kinds[len(masks) < len({s.mask for s in members}), len(masks)].append(title)
    parts = []
    for (plain, masked), titles in kinds.items():
        dials = ["without a mask"] if plain else []
        dials += [f"with {amount(masked, 'mask')}"] if masked else []
        parts.append(f"{joined(titles)},{' each' if len(titles) > 1 else ''} {joined(dials)}")
    words = {word for f in families for s in f.settings for word in s.differs}
    varied = sorted({word.split("=")[0] for word in words if "=" in word and "." in word.split("=")[0]})
    several = f" and several values of {joined(varied)}" if varied else ""
    return "; ".join(parts) + several + (", with and without CFGM" if "no cfgm" in words else "") + ","
