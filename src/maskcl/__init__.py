"""Masked softmax and replay: learn new classes without forgetting the old ones.

Names are imported on first use, so that `import maskcl` costs nothing and the command line's help needs no torch.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, which takes a moment to import
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Cfgm": "maskcl.cfgm",
    "Learner": "maskcl.learner",
    "Mask": "maskcl.mask",
    "ReplayMemory": "maskcl.replay",
    "class_incremental": "maskcl.scenario",
    "from_arrays": "maskcl.data",
    "load_network": "maskcl.weights",
    "repeat": "maskcl.experiment",
    "run": "maskcl.experiment",
    "tune": "maskcl.launch.tune",
}
_MODULES = ("data", "engine", "functional", "memory", "methods", "metrics", "networks", "testing")

__all__ = [
    "Cfgm",
    "Learner",
    "Mask",
    "ReplayMemory",
    "class_incremental",
    "data",
    "engine",
    "from_arrays",
    "functional",
    "load_network",
    "memory",
    "methods",
    "metrics",
    "networks",
    "repeat",
    "run",
    "testing",
    "tune",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"maskcl.{name}")
    raise AttributeError(f"module 'maskcl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
