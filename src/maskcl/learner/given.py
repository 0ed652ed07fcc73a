"""The settings that a learner began with: its file has them, and it goes on with no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskcl.errors import check
from maskcl.experiment.config import plain_values
from maskcl.learner.labels import class_list
from maskcl.learner.settings import method_table

__all__ = ["Given"]

_FREE = ("image_size",)
"""How pictures are read; what comes of them is checked row by row."""


class Given:
    """A learner's arguments as they were at its first fit.

    Attributes:
        plain: Plain values, copies of all that could change; a network of one's own stays itself.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params, self.plain = dict(params), _plain(params)

    def check_kept(self, now: Mapping[str, Any], where: str, *, quick: bool = False) -> None:
        """Refuse arguments that have changed since, and would act on nothing: ConfigError.

        Args:
            now: The learner's attributes, the arguments among them.
            where: The call, for messages.
            quick: Look only whether they are the same objects, if they are: a step of a stream takes little longer.
        """
        if quick and all(now[name] is value for name, value in self._params.items()):
            return
        for name, value in _plain({name: now[name] for name in self.plain}).items():
            must, hint = "must stay as at the first fit", "sklearn.base.clone(learner) begins anew, with other settings"
            kept = name in _FREE or _same(value, self.plain[name])
            check(kept, f"{where}: {name}", f"{must}, {self.plain[name]!r}", value, hint=hint)


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(params) | {"method": method_table(params["method"])}
    for name in ("classes", "known"):
        found[name] = None if params[name] is None else class_list(params[name], f"Learner: {name}")
    return {name: plain_values(value) for name, value in found.items()}


def _same(one: Any, other: Any) -> bool:
    try:
        return one is other or bool(one == other)
    except (RuntimeError, TypeError, ValueError):  # arrays in a table: nobody can say
        return False
