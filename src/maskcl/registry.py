"""Things by key: those that come with maskcl, those registered in Python, those of installed packages.

A configuration names things and never imports code by itself; an installed package announces its things as entry
points, e.g. `[project.entry-points."maskcl.methods"]` with `mine = "my_package:MyMethod"`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from threading import RLock
from typing import Generic, TypeVar

from maskcl.errors import MaskclWarning, check, check_choice

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """An open mapping from keys to things of one kind.

    Args:
        kind: What it holds, for messages, e.g. "method".
        where: The setting that names one, for messages, e.g. "method.name".
        group: Entry-point group of installed packages, e.g. "maskcl.methods".
        add: Registers what an entry point holds, given its name and object.
        origin: What a thing is of, e.g. the class of an instance: of the same origin, one takes the other's place.
    """

    def __init__(
        self,
        kind: str,
        *,
        where: str,
        group: str,
        add: Callable[[str, T], object] | None = None,
        origin: Callable[[T], object] = lambda thing: thing,
    ) -> None:
        self.kind, self.where, self.group, self.aliases = kind, where, group, dict[str, str]()
        self._things: dict[str, T] = {}
        self._origin = origin
        self._add: Callable[[str, T], object] = add or self.add
        self._lock, self._looked = RLock(), False

    def add(self, key: str, thing: T, *, aliases: tuple[str, ...] = ()) -> T:
        """Register a thing under a key and further names; the same thing again is no error.

        Raises:
            ConfigError: The key is not a name, or names another thing already.
        """
        for name in (key, *aliases):
            good = (
                isinstance(name, str)
                and bool(name)
                and name.replace("_", "").replace("-", "").replace("+", "").isalnum()
            )
            check(good, f"{self.kind} key", "must be a name of letters, digits, _, - and +", name)
            there = self._things.get(self.aliases.get(name, name), thing)
            again = _same(self._origin(there), self._origin(thing))
            check(again, f"{self.kind} key", f"must be new, and {name!r} is {there!r} already", name)
        self._things[key] = thing
        self.aliases |= dict.fromkeys(aliases, key)
        return thing

    def remove(self, key: str) -> None:
        """Take a thing out again."""
        key = self.key(key)
        self._things.pop(key)
        self.aliases = {alias: target for alias, target in self.aliases.items() if target != key}

    def key(self, name: str) -> str:
        """Return the key that a name stands for.

        Raises:
            ConfigError: There is none; the message has the nearest.
        """
        self._look()
        key = self.aliases.get(name, name) if isinstance(name, str) else name
        check_choice(key, self.where, self._things)
        return key

    def find(self, name: str) -> T:
        """Return the thing under a key or an alias of it; raises as `key` does."""
        return self._things[self.key(name)]

    def __getitem__(self, key: str) -> T:
        self._look()
        return self._things[key]

    def __iter__(self) -> Iterator[str]:
        self._look()
        return iter(tuple(self._things))

    def __len__(self) -> int:
        self._look()
        return len(self._things)

    def _look(self) -> None:
        """Ask installed packages, once; one that fails is named and left out."""
        with self._lock:
            if self._looked:
                return
            self._looked = True
            for point in entry_points(group=self.group):
                try:
                    self._add(point.name, point.load())
                except Exception as error:  # whatever a foreign package raises on import
                    text = f"{self.kind} {point.name!r} of an installed package ({point.value}) is left out: {error}"
                    warnings.warn(text, MaskclWarning, stacklevel=3)


def _same(there: object, thing: object) -> bool:
    """Whether two registrations are of one thing; a class of a module that was loaded again is."""
    names = [(getattr(t, "__module__", None), getattr(t, "__qualname__", None)) for t in (there, thing)]
    return there is thing or (names[0] == names[1] and names[0][1] is not None)
