"""Masks as a configuration writes them down: their names, and their order from no mask to m = -inf."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from maskcl.mask import Mask, usual

__all__ = ["NO_MASK", "Dial", "dial_of", "mask_name"]

NO_MASK = "no mask"

_KINDS = ("leak", "value", "mass")
_NAMES = [field.name for field in dataclasses.fields(Mask)]


class Dial(NamedTuple):
    """Where a mask stands between no mask and m = -inf.

    Attributes:
        kind: "none", "leak", "auto" (leak = "auto"), "value" (m), "mass" or "full" (m = -inf or leak = 0).
        number: Of leak, m or mass; NaN for the others.
        extras: What else differs from the default mask, e.g. "policy=batch".
    """

    kind: str
    number: float
    extras: str

    @property
    def order(self) -> tuple[int, float, str]:
        """Sorts settings from the weakest mask to the strongest, kind by kind; special masks last."""
        rank = ("none", "auto", "leak", "value", "mass", "full").index(self.kind)
        return rank + 10 * bool(self.extras), 0.0 if math.isnan(self.number) else -self.number, self.extras


def dial_of(mask: Mapping[str, Any] | None) -> Dial:
    """Read the mask of a result's configuration.

    >>> dial_of({"value": "-inf", "policy": "batch"})
    Dial(kind='full', number=nan, extras='policy=batch')
    """
    if mask is None:
        return Dial("none", math.nan, "")  # a method's own default mask is written out in its configuration
    auto = mask.get("leak") == "auto"
    extras = " ".join(
        f"{name}={value}"
        for name, value in mask.items()
        if name not in _KINDS and value is not None and not (name in _NAMES and value == usual(name, auto=auto))
    )
    if auto:
        return Dial("auto", math.nan, extras)
    kind = next(name for name in _KINDS if mask.get(name) is not None)
    number = float(mask[kind])
    full = number == -math.inf if kind == "value" else kind == "leak" and number == 0
    return Dial("full", math.nan, extras) if full else Dial(kind, number, extras)


def mask_name(dial: Dial) -> str:
    """Return the short name of a mask, as labels have it.

    >>> mask_name(dial_of({"leak": 0.1}))
    'leak=0.1'
    """
    plain = {"none": NO_MASK, "full": "m=-inf", "auto": "leak=auto"}
    name = plain.get(dial.kind) or f"{'m' if dial.kind == 'value' else dial.kind}={dial.number:g}"
    return f"{name} {dial.extras}".strip()
