"""Things by key: those that come with maskcl, those registered in Python, those of installed packages.

A configuration names things and never imports code by itself; an installed package announces its things as entry
points, e.g. `[project.entry-points."maskcl.methods"]` with `mine = "my_package:MyMethod"`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from threading import RLock
from typing import Generic, TypeVar

from maskcl.errors import ConfigError, MaskclWarning, check, check_choice, message, nearest

__all__ = ["Family", "Registry"]

T = TypeVar("T")


@dataclass(frozen=True)
class Family(Generic[T]):
    """Things of another library, too many to be registered: each is found by its name in it, as FAMILY/NAME.

    Attributes:
        base: What all of them are, with the settings that all of them have.
        find: Returns the one of a name, or raises ConfigError.
    """

    base: T
    find: Callable[[str], T]


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
        self.families: dict[str, Family[T]] = {}
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
        if self._of_family(name) is not None:
            return name
        key = self.aliases.get(name, name) if isinstance(name, str) else name
        check_choice(key, self.where, self._choices())
        return key

    def find(self, name: str) -> T:
        """Return the thing under a key or an alias of it, or FAMILY/NAME; raises as `key` does."""
        found = self._of_family(name)
        return self._things[self.key(name)] if found is None else found

    def settings_key(self, name: str) -> str:
        """Return the key whose settings a name has: its own, or "FAMILY/NAME" for all of a family.

        >>> from maskcl.networks import NETWORKS
        >>> NETWORKS.settings_key("mlp"), NETWORKS.settings_key("timm/resnet18")
        ('mlp', 'timm/NAME')
        """
        family = name.partition("/")[0]
        return f"{family}/NAME" if "/" in name and family in self.families else self.aliases.get(name, name)

    def _of_family(self, name: object) -> T | None:
        """The thing of a name with a slash; None for other names."""
        if not isinstance(name, str) or "/" not in name or not self.families:
            return None
        family, _, rest = name.partition("/")
        if family not in self.families:
            must, close = f"must be one of {', '.join(self._choices())}", nearest(family, self.families)
            raise ConfigError(message(self.where, must, name, choices=[] if close is None else [f"{close}/{rest}"]))
        return self.families[family].find(rest)

    def _choices(self) -> list[str]:
        return [*self._things, *(f"{family}/NAME" for family in self.families)]

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
