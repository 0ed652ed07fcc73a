"""Networks of one's own: a function from the shape of a row and the number of classes to an `nn.Module`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias
from weakref import WeakValueDictionary

from torch import nn

from maskcl.errors import ConfigError, MaskclError, check, message, raised
from maskcl.networks.base import Network
from maskcl.networks.telling import given, origin

__all__ = ["Factory", "FactoryNetwork", "from_factory", "network_class"]

Factory: TypeAlias = Callable[[tuple[int, ...], int], nn.Module]
"""`factory(input_shape, num_classes)` returns a new module from [B, *input_shape] to [B, num_classes]."""


_BUILT: WeakValueDictionary[int, nn.Module] = WeakValueDictionary()
"""What factories have built and somebody has still, by id."""


@dataclass(frozen=True, kw_only=True)
class FactoryNetwork(Network):
    """A network of one's own, without a name in experiment files.

    Args:
        factory: Builds it from the shape of a row and the number of classes; any initial weights it draws are seeded.
        classifier: Qualified name of the module that gives the logits; None: the linear layer whose output they are.
    """

    key: ClassVar[str] = "custom"
    fingerprinted: ClassVar[bool] = True

    factory: Factory
    classifier: str | None = None

    def __post_init__(self) -> None:
        _check(self.factory, self.classifier)

    @property
    def classifier_name(self) -> str | None:
        """The module that was named."""
        return self.classifier

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Call the factory."""
        return _called(self.factory, input_shape, num_classes)

    def describe(self, input_shape: tuple[int, ...] | None = None, num_classes: int | None = None) -> dict[str, Any]:
        """Return where the factory stands, what it was given before and, with both arguments, what it builds."""
        held = given(self.factory)  # first: it may be an object that counts its calls
        found = super().describe(input_shape, num_classes) | {"factory": ".".join(origin(self.factory))}
        return found | ({"arguments": held} if held else {})


def from_factory(factory: Factory, *, classifier: str | None = None) -> FactoryNetwork:
    """Return a network of one's own, for use in place of one that is registered.

    Args:
        factory: Builds it from the shape of a row and the number of classes.
        classifier: Qualified name of the module that gives the logits; None: the linear layer whose output they are.

    >>> network = from_factory(lambda shape, num_classes: nn.Linear(*shape, num_classes))
    >>> network.describe((4,), 2)["class"]
    'Linear'
    """
    return FactoryNetwork(factory=factory, classifier=classifier)


def network_class(factory: Factory, *, key: str, classifier: str | None = None) -> type[Network]:
    """Return a class of networks without settings that is known by `key` and built by `factory`."""
    _check(factory, classifier)

    class Registered(Network):
        """A network of one's own."""

        fingerprinted = True  # no annotation: it would be looked up in the module of the factory
        classifier_name = classifier

        def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
            """Call the factory."""
            return _called(factory, input_shape, num_classes)

    Registered.key = key
    Registered.__doc__ = getattr(factory, "__doc__", None) or Registered.__doc__
    Registered.__name__ = getattr(factory, "__name__", key)
    Registered.__module__, Registered.__qualname__ = origin(factory)  # a factory loaded again registers the same
    return Registered


def _called(factory: Factory, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    try:
        built = factory(input_shape, num_classes)
    except MaskclError:
        raise
    except Exception as error:  # whatever a foreign factory raises
        must = f"must be built by factory({input_shape}, {num_classes}), which raised {raised(error)}"
        raise ConfigError(message("network", must)) from error
    if isinstance(built, nn.Module):  # what else it may be is told where it is tried
        must = "must be built anew in each call of its factory, which returned the module of an earlier call"
        is_new = _BUILT.get(id(built)) is not built
        check(is_new, "network", must, type(built).__name__, hint="return copy.deepcopy(module)")
        _BUILT[id(built)] = built
    return built


def _check(factory: Any, classifier: Any) -> None:
    hint = "factory(input_shape, num_classes) returns an nn.Module"
    check(
        not isinstance(factory, nn.Module),
        "network",
        "must be a factory, not a module",
        type(factory).__name__,
        hint=hint,
    )
    check(callable(factory), "network", "must be a factory", factory, hint=hint)
    good = classifier is None or isinstance(classifier, str)
    check(good, "network.classifier", "must be the name of a module, or None", classifier)
