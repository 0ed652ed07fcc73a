"""Methods by key. A new one is a file beside these and a line here; one of your own is registered from anywhere."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from maskcl.errors import ConfigError, check, message
from maskcl.methods.agem import AveragedGem
from maskcl.methods.base import (
    Draw,
    Gradients,
    Method,
    NearestMean,
    Needs,
    Outputs,
    Phase,
    State,
    Step,
    View,
    dial,
    option,
    per_member,
)
from maskcl.methods.bic import BiasCorrection
from maskcl.methods.der import DarkExperienceReplay
from maskcl.methods.derpp import DarkExperienceReplayPlus
from maskcl.methods.er import ExperienceReplay
from maskcl.methods.er_ace import ErAce
from maskcl.methods.ewc import OnlineEwc
from maskcl.methods.finetune import FineTune
from maskcl.methods.gdumb import GDumb
from maskcl.methods.icarl import Icarl
from maskcl.methods.joint import Joint
from maskcl.methods.lwf import LearningWithoutForgetting
from maskcl.methods.mir import MaximallyInterferedRetrieval
from maskcl.methods.scr import SupervisedContrastiveReplay
from maskcl.methods.si import SynapticIntelligence
from maskcl.registry import Registry

__all__ = [
    "REGISTRY",
    "Draw",
    "Gradients",
    "Method",
    "NearestMean",
    "Needs",
    "Outputs",
    "Phase",
    "State",
    "Step",
    "View",
    "describe",
    "dial",
    "find",
    "option",
    "per_member",
    "register",
]

M = TypeVar("M", bound=type[Method])


def register(method: M, *, aliases: tuple[str, ...] = ()) -> M:
    """Make a method known under its key: to experiment files, the command line and the contract tests.

    Args:
        method: A frozen dataclass derived from `Method`, with a key and a title; also as a decorator.
        aliases: Further names.

    Returns:
        The class.

    Raises:
        ConfigError: It is no such class, or its key names another one.
    """
    good = isinstance(method, type) and issubclass(method, Method)
    check(good, "register", "must be given a class derived from maskcl.methods.Method", method)
    for name in ("key", "title"):
        text = getattr(method, name, None)
        check(isinstance(text, str) and bool(text), f"register: {method.__name__}.{name}", "must be a string", text)
    params: Any = vars(method).get("__dataclass_params__")
    if params is None or not params.frozen:
        raise ConfigError(message(f"register: {method.__name__}", "must be a dataclass(frozen=True, kw_only=True)"))
    REGISTRY.add(method.key, method, aliases=aliases)
    return method


REGISTRY: Registry[type[Method]] = Registry(
    "method", where="method.name", group="maskcl.methods", add=lambda _, method: register(method)
)
"""Methods by key."""

for _method, _aliases in (
    (FineTune, ("sgd",)),
    (Joint, ()),
    (ExperienceReplay, ()),
    (DarkExperienceReplay, ()),
    (DarkExperienceReplayPlus, ("der++",)),
    (ErAce, ("er-ace",)),
    (LearningWithoutForgetting, ()),
    (OnlineEwc, ("oewc",)),
    (SynapticIntelligence, ()),
    (MaximallyInterferedRetrieval, ()),
    (AveragedGem, ("a-gem",)),
    (Icarl, ()),
    (GDumb, ()),
    (BiasCorrection, ()),
    (SupervisedContrastiveReplay, ()),
):
    register(_method, aliases=_aliases)


def find(key: str) -> type[Method]:
    """Return the method registered under a key or an alias of it.

    >>> find("der++").title
    'DER++'
    """
    return REGISTRY.find(key)


def describe(key: str) -> list[dict[str, Any]]:
    """Return name, default and description of each hyper-parameter of a method.

    >>> describe("er")[0]["name"]
    'mask'
    """
    return [
        {"name": f.name, "default": f.default, "doc": f.metadata.get("doc", "")} for f in dataclasses.fields(find(key))
    ]
