"""Rules for values of a result file: what one must be, in words and as a test.

rule(value, where)      raises DataError "WHERE: must be ..., got ..." or returns nothing
"""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from maskcl.cfgm import Cfgm
from maskcl.errors import ConfigError, DataError, is_number, is_whole, message, nearest
from maskcl.mask import Mask

__all__ = ["Rule", "Short", "each", "is_count", "is_text", "leaf", "must", "numbers", "or_null", "plain", "settings",
           "table"]  # fmt: skip

Rule = Callable[[Any, str], None]

MOST_LETTERS = 100_000
"""Of a text: settings of networks are the longest that are written."""
_LONG = 100
"""Letters that no word among settings of masks and CFGM comes near."""
MOST_LEVELS = 32
"""Of tables and lists within each other in a configuration."""


class Short:
    """A value whose repr is one short line, whatever is in it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return reprlib.repr(self.value)


def must(holds: bool, where: str, what: str, got: Any) -> None:
    """Raise DataError unless `holds`: the one sentence of all rules."""
    if not holds:
        raise DataError(message(where, f"must be {what}", Short(got)))


def leaf(what: str, holds: Callable[[Any], bool]) -> Rule:
    """A rule for one value."""
    return lambda value, where: must(holds(value), where, what, value)


def or_null(rule: Rule) -> Rule:
    """The same rule, for a value that may be null."""
    return lambda value, where: None if value is None else rule(value, where)


def each(rule: Rule, what: str) -> Rule:
    """A rule for a list of one value or more, each of which has a rule."""

    def check(value: Any, where: str) -> None:
        must(isinstance(value, list) and len(value) > 0, where, what, value)
        for i, part in enumerate(value):
            rule(part, f"{where}[{i}]")

    return check


def numbers(what: str, holds: Callable[[float], bool]) -> Rule:
    """A rule for a list of one number or more, each of which may be null; lengths are another matter."""

    def check(value: Any, where: str) -> None:
        must(isinstance(value, list) and len(value) > 0, where, "a list of numbers", value)
        for i, number in enumerate(value):
            if not (number is None or (is_number(number) and holds(number))):
                must(False, f"{where}[{i}]", f"{what}, or null", number)

    return check


def table(rules: Mapping[str, Rule], required: Iterable[str] = (), *, others: Rule | None = None) -> Rule:
    """A rule for a table: rules for some of its keys, those that must be there, and a rule for all other keys."""
    required = tuple(required)

    def check(value: Any, where: str) -> None:
        must(isinstance(value, Mapping), where, "a table", value)
        for key in required:
            if key not in value:
                raise DataError(message(f"{where}.{key}", "must be there, and is missing"))
        for key, part in value.items():
            rule = rules.get(key, others)
            if rule is not None:
                rule(part, f"{where}.{key if key.isidentifier() else Short(key)}")

    return check


def plain(value: Any, where: str, level: int = 0) -> None:
    """A rule for settings of any kind: numbers, text, true, false, null, and lists and tables of these."""
    if level > MOST_LEVELS:
        raise DataError(message(where, f"must hold {MOST_LEVELS} tables and lists within each other, or fewer"))
    if isinstance(value, str):
        must(is_text(value), where, f"text of {MOST_LETTERS:,} letters or fewer", value)
    elif isinstance(value, Mapping):
        for name, part in value.items():
            plain(name, where)
            plain(part, where, level + 1)
    elif isinstance(value, list):
        for part in value:
            plain(part, where, level + 1)


def settings(kind: type[Mask] | type[Cfgm], *, needed: str | None = None) -> Rule:
    """A rule for a table of settings that check themselves, of which `needed` has no default."""
    name, known = kind.__name__.lower(), list(kind.__dataclass_fields__)

    def check(value: Any, where: str) -> None:
        must(isinstance(value, Mapping), where, "a table", value)
        odd = next((key for key in value if key not in known), None)
        if odd is not None:
            near = nearest(odd, known)
            hint = f"did you mean {near!r}?" if near else "a newer maskcl may have more keys"
            raise DataError(message(where, f"must hold keys of [{name}] alone, and has {Short(odd)!r}", hint=hint))
        if needed is not None and needed not in value:
            raise DataError(message(f"{where}.{needed}", "must be there, and is missing"))
        for key, part in value.items():
            short = (
                abs(part) <= 1e300 if is_number(part) else not isinstance(part, (str, list, dict)) or len(part) < _LONG
            )
            must(short, f"{where}.{key}", "a number or a word", part)
        given: dict[str, Any] = {k: float(part) if part in ("inf", "-inf") else part for k, part in value.items()}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they were shown when it ran
                kind(**given)
        except (ConfigError, TypeError, OverflowError) as error:
            raise DataError(f"{where.removesuffix(name)}{str(error).splitlines()[0]}") from None

    return check


def is_text(value: Any) -> bool:
    """Whether a value is text of a sane length."""
    return isinstance(value, str) and len(value) <= MOST_LETTERS


def is_count(value: Any) -> bool:
    """Whether a value is a whole number, 0 or more, that arrays can hold."""
    return is_whole(value) and 0 <= value < 2**63
