"""timm and torchvision, where they are installed: importing them, and finding a network of theirs by name.

Nothing is downloaded: networks are built without pretrained weights, which come from files alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from threading import RLock
from types import ModuleType
from typing import Any

import torch

from maskcl.errors import ConfigError, message, nearest, raised

__all__ = ["check_known", "import_torchvision", "library"]

_LOCK = RLock()
_KEPT: list[Any] = []
"""Declarations of operators, which end with the object that made them."""


def library(name: str) -> Any:
    """Return an installed library of networks, "timm" or "torchvision", as a module.

    Raises:
        ConfigError: It is not installed, or cannot be imported.
    """
    hint = f"pip install 'maskcl[{name}]'"
    try:
        with _LOCK:
            import_torchvision()  # timm imports it too
            return import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        why = "" if missing == name else f" without {missing!r}"
        raise ConfigError(
            message("network.name", f"needs {name!r}, which cannot be imported{why}", hint=hint)
        ) from error
    except Exception as error:  # whatever a library raises that does not fit this PyTorch
        must = f"needs {name!r}, which cannot be imported here ({raised(error)})"
        raise ConfigError(message("network.name", must, hint=hint)) from error


def import_torchvision() -> ModuleType | None:
    """Import torchvision if it is there, also where its compiled operators do not load.

    Its wheels are built for CUDA: beside a CPU build of PyTorch the operators do not load, which torchvision passes
    over, and then it fails at describing two of them to the compiler. No network uses those two. Declared, without
    code, they let everything else work: for maskcl's own networks, and for any library that imports torchvision later.

    Returns:
        The module; None where torchvision is not installed.

    Raises:
        RuntimeError: It does not fit this PyTorch in another way.
    """
    try:
        return import_module("torchvision")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "torchvision":
            raise
        return None
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # the halves of what failed
    declared = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        declared.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT.append(declared)
    return import_module("torchvision")


def check_known(family: str, name: str, known: list[str], *, others: Iterable[str] = ()) -> None:
    """Refuse a name that a library does not have, with the nearest one that it has; of no use here are its others."""
    if name not in known:
        must = f"must be '{family}/NAME' with one of {family}'s {len(known)} networks for classification"
        close = None if name in others else nearest(name, known)
        choices = [] if close is None else [f"{family}/{close}"]
        raise ConfigError(message("network.name", must, f"{family}/{name}", choices=choices))
