"""Methods by key. A new one is a file beside these and a line here."""

from __future__ import annotations

import dataclasses
from typing import Any

from maskcl.errors import check_choice
from maskcl.methods.base import Draw, Method, Step
from maskcl.methods.der import DarkExperienceReplay
from maskcl.methods.derpp import DarkExperienceReplayPlus
from maskcl.methods.er import ExperienceReplay
from maskcl.methods.er_ace import ErAce
from maskcl.methods.ewc import OnlineEwc
from maskcl.methods.finetune import FineTune
from maskcl.methods.joint import Joint
from maskcl.methods.lwf import LearningWithoutForgetting
from maskcl.methods.si import SynapticIntelligence

__all__ = ["ALIASES", "REGISTRY", "Draw", "Method", "Step", "describe", "find"]

REGISTRY: dict[str, type[Method]] = {
    method.key: method
    for method in (
        FineTune,
        Joint,
        ExperienceReplay,
        DarkExperienceReplay,
        DarkExperienceReplayPlus,
        ErAce,
        LearningWithoutForgetting,
        OnlineEwc,
        SynapticIntelligence,
    )
}

ALIASES = {"der++": "derpp", "er-ace": "er_ace", "sgd": "finetune", "oewc": "ewc"}


def find(key: str) -> type[Method]:
    """Return the method registered under a key or an alias of it.

    >>> find("der++").title
    'DER++'
    """
    key = ALIASES.get(key, key)
    check_choice(key, "method.name", REGISTRY)
    return REGISTRY[key]


def describe(key: str) -> list[dict[str, Any]]:
    """Return name, default and description of each hyper-parameter of a method.

    >>> describe("er")[0]["name"]
    'mask'
    """
    return [
        {"name": f.name, "default": f.default, "doc": f.metadata.get("doc", "")} for f in dataclasses.fields(find(key))
    ]
