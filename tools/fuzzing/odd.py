"""Values that no setting expects, and some that it does: the source of what is wrong in a case."""

from __future__ import annotations

import math
from random import Random
from typing import Any

__all__ = ["NUMBERS", "TEXTS", "odd_number", "odd_text", "odd_value"]

NUMBERS: tuple[int | float, ...] = (
    0, 1, -1, 2, 3, 7, 64, 1000, 10**5, 10**7, 10**9, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63),
    10**30, 10**400, 0.0, -0.0, 0.5, 1.0, 1.5, -0.1, 1e-9, 1e-320, 1e9, 1e30, 1e38, 1e39, 1e308, -1e308, math.nan,
    math.inf, -math.inf, 0.1 + 0.2, 1 / 3,
)  # fmt: skip
"""Around the edges of what types hold."""

TEXTS = (
    "", " ", "none", "None", "null", "true", "nan", "inf", "0", "1e3", "auto", "seed", "er", "mlp", "digits", "sgd",
    "..", "../../etc", "/", "~", "a b", "a.b", "a/b", "a\nb", "a\tb", "a\\b", "\x1b[31m", "[/b]", "<script>",
    "{{ 7 * 7 }}", "%s %d", "${HOME}", "=1+1", "é", "ё", "日本", "🙂", "²", "\u202e", "\u00a0", "x" * 300, "-",
    "--help",
)  # fmt: skip
"""Words that mean something elsewhere, and letters that something else takes for its own."""


def odd_number(chance: Random) -> int | float:
    """Return a number: one at an edge, or any."""
    kind = chance.random()
    if kind < 0.7:
        return chance.choice(NUMBERS)
    return chance.randint(-20, 200) if kind < 0.85 else chance.uniform(-3, 3)


def odd_text(chance: Random) -> str:
    """Return a text: one that means something elsewhere, or any letters."""
    if chance.random() < 0.7:
        return chance.choice(TEXTS)
    letters = "abcxyz_-. 019é日🙂\"'[]{}#=,"
    return "".join(chance.choice(letters) for _ in range(chance.randint(1, 12)))


def odd_value(chance: Random, depth: int = 2) -> Any:
    """Return any value that TOML has, but for dates."""
    kind = chance.random()
    if kind < 0.4:
        return odd_number(chance)
    if kind < 0.65:
        return odd_text(chance)
    if kind < 0.75:
        return chance.random() < 0.5
    if depth == 0 or kind < 0.8:
        return chance.choice(([], {}))
    inner = [odd_value(chance, depth - 1) for _ in range(chance.randint(1, 3))]
    if kind < 0.9:
        return inner
    return {chance.choice(("name", "value", "low", "high", "x", "", "leak", "size")): value for value in inner}
