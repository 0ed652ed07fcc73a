"""How masks and amounts read in sentences and figures."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence

from maskcl.results import Dial, Family, Setting

__all__ = [
    "amount",
    "apart",
    "cut",
    "family_name",
    "joined",
    "mask_and_more",
    "number",
    "pretty",
    "said",
    "short_name",
    "short_names",
    "symbol",
    "worded",
]

_WORDS = {"memory.size": "{} slots", "scenario.num_tasks": "{} tasks", "scenario.dataset": "{}"}
"""Settings that have a word of their own."""


def number(value: float) -> str:
    """A value as a tick, or in a sentence.

    >>> number(0.001), number(-20.0), number(float("-inf")), number(5120.0)
    ('.001', '−20', '−∞', '5,120')
    """
    whole = 1000 <= abs(value) < 1e6 and value == round(value)
    text = f"{value:,.0f}".replace("-", "−") if whole else said(float(value))
    return text.replace("0.", ".", 1) if text.startswith(("0.", "−0.")) else text


def said(value: object) -> str:
    """The value of a setting, as in an experiment file but for signs.

    >>> said(0.03), said(float("-inf")), said((400, 400)), said(((0, 1), (2, 3))), said(None), said(True)
    ('0.03', '−∞', '400, 400', '0, 1 | 2, 3', 'none', 'yes')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return (" | " if any(isinstance(part, (list, tuple)) for part in value) else ", ").join(map(said, value))
    if isinstance(value, (int, float)):
        text = f"{value:g}" if isinstance(value, float) else str(value)
        return text.replace("-", "−").replace("inf", "∞")
    return str(value)


def symbol(dial: Dial) -> str:
    """A mask as a tick on its own axis: ".1", "−2", "m = −∞".

    >>> symbol(Dial("leak", 0.1, "")), symbol(Dial("value", -2.0, ""))
    ('.1', '−2')
    """
    if dial.kind in ("none", "full", "auto"):
        return {"none": "no\nmask", "full": "m =\n−∞", "auto": "leak\nauto"}[dial.kind]
    return number(dial.number)


def short_name(dial: Dial) -> str:
    """A mask as a label inside a figure.

    >>> short_name(Dial("leak", 0.1, "")), short_name(Dial("full", float("nan"), "policy=batch"))
    ('leak .1', 'm = −∞ (policy=batch)')
    """
    name = {"none": "no mask", "full": "m = −∞", "auto": "leak auto", "leak": f"leak {symbol(dial)}"}.get(dial.kind)
    name = name or f"{'m' if dial.kind == 'value' else dial.kind} = {symbol(dial)}"
    return f"{name} ({dial.extras})" if dial.extras else name


def worded(name: str, value: object) -> str:
    """A setting and its value, in words where it has some.

    >>> worded("memory.size", 50), worded("training.epochs", 3), worded("no cfgm", "")
    ('50 slots', 'training.epochs = 3', 'no CFGM')
    """
    if value == "":  # a section that others lack, or have
        return name.replace("cfgm", "CFGM")
    return _WORDS[name].format(said(value)) if name in _WORDS else f"{name} = {said(value)}"


def short_names(settings: Sequence[Setting], *, without: Collection[str] = ()) -> list[str]:
    """Method, mask, CFGM, and of what else varies what has a word of its own; where these are equal, what then differs.

    No two are the same: those that nothing tells apart have numbers.

    Args:
        settings: What is to be named.
        without: Settings that are left out of the names.
    """
    varied = [[word for word in s.differs if word.partition("=")[0] not in without] for s in settings]
    brief = []
    for s, words in zip(settings, varied, strict=True):
        known = (word.partition("=") for word in words)
        more = [worded(name, value) for name, _, value in known if name in _WORDS]
        brief.append(", ".join([s.title, short_name(s.dial), *["CFGM"] * bool(s.cfgm), *more]))
    alike: dict[str, list[set[str]]] = defaultdict(list)
    for name, words in zip(brief, varied, strict=True):
        alike[name].append(set(words))
    shared = {name: set.intersection(*every) for name, every in alike.items()}  # of one setting all: it needs no more
    names = [
        ", ".join(filter(None, [name, " ".join(_untold(words, shared[name]))]))
        for name, words in zip(brief, varied, strict=True)
    ]
    return [f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _untold(words: Sequence[str], shared: Collection[str]) -> list[str]:
    """The words that others of the same name do not share, but for those that a name says already."""
    return [word for word in words if word not in shared and word != "cfgm" and word.partition("=")[0] not in _WORDS]


def family_name(family: Family) -> str:
    """A method, with what else varies but is the same for all of its masks, in words: "ER (50 slots)"."""
    first = family.settings[0]
    if family.name == first.title:
        return family.name
    words = (word.partition("=") for word in first.differs)
    return f"{first.title} ({', '.join(worded(name, value) for name, _, value in words)})"


def apart(setting: Setting, family: Family) -> str:
    """What else than the mask tells a setting from the one without a mask that it is held against; mostly nothing."""
    return "" if family.plain is None or setting.varies == family.plain.varies else setting.varies


def mask_and_more(setting: Setting, family: Family) -> str:
    """A mask for sentences, with what else was changed against no mask."""
    more = apart(setting, family)
    return pretty(setting.mask) + (f" and {more}" if more else "")


def pretty(text: str) -> str:
    """Set dials and amounts for reading: "m=-inf" becomes "m = −∞"; neither breaks at a line's end.

    >>> pretty("ER, m=-2").replace(chr(160), " ")
    'ER, m = −2'
    """

    def set_one(found: re.Match[str]) -> str:
        return f"{found[1]}\u00a0=\u00a0{found[2].replace('inf', '∞').replace('-', '−')}"

    text = re.sub(r"\b(m|leak|mass)=(-?(?:auto|inf|[\d.]+(?:e-?\d+)?))", set_one, text)
    text = text.replace("m = −∞", "m\u00a0=\u00a0−∞")
    return text.replace(" ± ", "\u00a0±\u00a0").replace(" %", "\u00a0%")


def cut(text: str, most: int) -> str:
    """A long name without its middle, for labels inside a figure.

    >>> cut("Fine-tuning (training.average = 0.3)", 20)
    'Fine-tuning … = 0.3)'
    """
    return text if len(text) <= most else f"{text[: most * 3 // 5]}…{text[len(text) - most * 2 // 5 + 1 :]}"


def joined(parts: Sequence[str]) -> str:
    """Join as in a sentence.

    >>> joined(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def amount(number: int, thing: str, plural: str | None = None) -> str:
    """Count things.

    >>> amount(1, "seed"), amount(5, "seed"), amount(2, "class", "classes")
    ('1 seed', '5 seeds', '2 classes')
    """
    return f"{number:,} {thing if number == 1 else plural or thing + 's'}"
