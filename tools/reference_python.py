"""The pages of the Python reference: which public names there are. The site fills in their docstrings."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["PUBLIC", "python_pages"]

PUBLIC: dict[str, tuple[str, ...]] = {
    "maskcl": (
        "run",
        "tune",
        "repeat",
        "Learner",
        "Mask",
        "Cfgm",
        "ReplayMemory",
        "from_arrays",
        "class_incremental",
        "load_network",
    ),
    "maskcl.functional": (),
    "maskcl.metrics": (),
    "maskcl.results": ("Results",),
    "maskcl.data": (
        *(
            "Dataset",
            "from_arrays",
            "from_folder",
            "from_npz",
            "from_dataset",
            "register",
            "load",
            "download",
            "verify",
        ),
        *("DATASETS", "caches", "clear_caches"),
    ),
    "maskcl.networks": (
        *("register", "find", "from_factory", "build_network", "Network", "Mlp", "ConvNet", "ResNet18"),
        *("TimmNetwork", "TorchvisionNetwork", "import_torchvision", "NETWORKS"),
    ),
    "maskcl.memory": ("register", "MemoryPolicy", "MemoryState", "MemoryConfig", "POLICIES"),
    "maskcl.methods": (),
    "maskcl.engine": ("run_population", "RunSpec", "TrainingConfig", "Seeds", "Outcome"),
    "maskcl.testing": ("check_method",),
    "maskcl.errors": ("MaskclError", "ConfigError", "ShapeError", "DataError", "MissingDataError", "MaskclWarning"),
}
"""Names by module, in the order of their page; none: all that the module exports."""


def python_pages(mark: str) -> dict[str, str]:
    """Return the text of each page by its path below docs/reference."""
    found = {}
    for name, listed in PUBLIC.items():
        module = importlib.import_module(name)
        lines = [
            f"# {name}",
            "",
            mark,
            f"::: {name}",
            "    options: { members: false, show_root_heading: false, show_root_toc_entry: false }",
            "",
        ]
        for public in listed or module.__all__:
            lines += [f"## {public}", "", f"::: {_path(name, module, public)}", ""]
        found[f"python/{name.rpartition('.')[2]}.md"] = "\n".join(lines).rstrip("\n") + "\n"
    return found


def _path(name: str, module: Any, public: str) -> str:
    """Where a docstring stands: a package may have a module and a function of one name, and import either late."""
    thing = getattr(module, public)
    if hasattr(thing, "__qualname__") and thing.__module__.startswith("maskcl."):
        return f"{thing.__module__}.{thing.__qualname__}"
    return f"{name}.{public}"
