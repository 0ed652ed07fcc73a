"""How frozen settings declare themselves: what a field means, what it may be, whether members may differ in it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import MISSING, field
from typing import Any

from maskcl.errors import check, check_choice, is_number, is_whole

__all__ = ["check_declared", "dial", "is_dial", "option"]


def option(default: Any, doc: str = "", *, least: int | None = None, choices: tuple[str, ...] = ()) -> Any:
    """A setting that changes the shape of the computation: runs that differ in it are not stacked.

    Args:
        default: Its default.
        doc: Meaning, unit and range, for printed descriptions.
        least: It is a whole number, this or more.
        choices: It is one of these words.
    """
    return field(default=default, metadata={"doc": doc, "dial": False, "least": least, "choices": choices})


def dial(
    default: Any = MISSING,
    doc: str = "",
    *,
    least: float | None = None,
    above: float | None = None,
    most: float = math.inf,
) -> Any:
    """A number that may differ between stacked runs: a float, or in a population a tensor [K].

    Only what enters the computation as a number may be a dial, never what changes its shape.

    Args:
        default: Its default; none: it has to be given.
        doc: Meaning, unit and range, for printed descriptions.
        least: It is this or more.
        above: It is above this.
        most: It is this or less.
    """
    limits = {"least": least, "above": above, "most": most}
    return field(default=default, metadata={"doc": doc, "dial": True, **limits})


def is_dial(one: dataclasses.Field[Any]) -> bool:
    """Whether a dataclass field was declared with `dial`."""
    return bool(one.metadata.get("dial", False))


def check_declared(settings: Any, section: str) -> None:
    """Hold a dataclass's values against what its fields declare.

    Args:
        settings: The dataclass.
        section: Its name in messages, e.g. "method".

    Raises:
        ConfigError: For the first value that is not what it must be.
    """
    for one in dataclasses.fields(settings):
        where, value, declared = f"{section}.{one.name}", getattr(settings, one.name), one.metadata
        if is_dial(one):
            if value is None and one.default is None:
                continue  # left out
            _check_number(where, value, declared)
        elif declared.get("choices"):
            check_choice(value, where, declared["choices"])
        elif declared.get("least") is not None:
            good = is_whole(value) and value >= declared["least"]
            check(good, where, f"must be a whole number, {declared['least']} or more", value)


def _check_number(where: str, value: Any, declared: Any) -> None:
    """Hold a dial against each of its bounds; what has none may be infinite, as a logit may."""
    least, above, most = declared["least"], declared["above"], declared["most"]
    capped = most < math.inf
    if above is not None:
        must = f"must be above {above:g}" + (f" and at most {most:g}" if capped else "")
    elif least is not None:
        must = f"must be between {least:g} and {most:g}" if capped else f"must be a number, {least:g} or more"
    else:
        must = f"must be a number, {most:g} or less" if capped else "must be a number"
    good = is_number(value) and value == value  # nan equals nothing
    if good and (capped or above is not None or least is not None):
        good = -math.inf < value < math.inf and value <= most
        good = good and (above is None or value > above) and (least is None or value >= least)
    check(good, where, must, value)
