"""Settings that are valid, or nearly: taken from what is registered, small enough that a run takes a few steps.

Every key that an experiment file has is drawn; a test holds `USUAL` and what is drawn by type against the schema.
"""

from __future__ import annotations

import math
from random import Random
from typing import Any

from maskcl.experiment.schema import PARTS, SECTIONS, known_keys, named_sections, types_of
from maskcl.memory import POLICIES
from maskcl.methods import REGISTRY

__all__ = ["USUAL", "draw_settings", "every_key", "usual"]

Raw = dict[str, Any]

USUAL: dict[str, tuple[Any, ...]] = {
    "scenario.dataset": ("digits",),
    "scenario.num_tasks": (1, 2, 5),
    "scenario.task_sizes": ([4, 6], [1, 1, 8], [10], [3, 3, 4]),
    "scenario.tasks": ([[0, 1], [2, 3]], [[9], [8, 7]], [[4, 5, 6]]),
    "scenario.class_order": (list(range(9, -1, -1)), [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]),
    "scenario.validation_fraction": (0.1, 0.5),
    "scenario.subset": (0.03, 0.05, 0.1),
    "scenario.eval_subset": (0.05, 0.2),
    "scenario.blurry": (0.0, 0.2),
    "scenario.repeats": (0.0, 0.5),
    "scenario.imbalance": (1.0, 0.3),
    "mask.value": (-math.inf, -5, 0.0, 2.0),
    "mask.mass": (0.0, 1.5),
    "mask.leak": (0.0, 0.1, 1, 2.0),
    "mask.old_scale": (0.0, 0.5),
    "mask.new_scale": (1.0, 0.5),
    "mask.policy": ("task", "batch", "recent"),
    "mask.recent_rows": (6, 20),
    "mask.visible": ("all", "seen"),
    "mask.from_task": (0, 1),
    "mask.memory_rows": ("plain", "own-task"),
    "cfgm.step": (0.1, 20.0),
    "cfgm.num_steps": (1, 2),
    "cfgm.norm": ("raw", "l2", "sign"),
    "cfgm.draw": ("uniform",),
    "cfgm.per_row": (1, 2),
    "cfgm.generator": ("current", "frozen"),
    "cfgm.target": ("frozen", "label"),
    "cfgm.loss": ("mse",),
    "cfgm.temperature": (1.0, 2.0),
    "cfgm.update": ("separate", "joint"),
    "cfgm.weight": (1.0, 0.5),
    "cfgm.from_task": (0, 1),
    "memory.size": (10, 20, 37),
    "memory.policy": tuple(POLICIES),
    "method.replay_batch": (1, 3, 10),
    "method.reduction": ("joined", "sum"),
    "method.replay_from_task": (0, 1),
    "method.store": ("before", "after"),
    "method.candidates": (4, 12),
    "method.passes": (1, 2),
    "method.held_out": (0.1, 0.3),
    "method.fisher_rows": (5, 50),
    "method.projection_size": (4, 8),
    "network.name": ("mlp", "mlp", "mlp", "convnet"),
    "network.hidden": ([4], [], [5, 3]),
    "network.classifier": ("linear", "cosine"),
    "network.initialisation": ("default", "xavier"),
    "network.width": (4,),
    "optimizer.name": ("sgd", "adam"),
    "optimizer.lr": (0.1, 0.01, 1),
    "optimizer.momentum": (0.0, 0.9),
    "optimizer.clip_norm": (1.0,),
    "training.batch_size": (1, 2, 4),
    "training.epochs": (1, 2),
    "training.evaluate_every": (1, 5),
    "training.dtype": ("float32", "float64"),
    "training.precision": ("float32", "bfloat16"),
    "training.device": ("cpu", "auto"),
    "training.compile": (False,),
    "training.schedule": ("none", "constant", "cosine", {"name": "multistep", "milestones": [0.5]}),
    "training.augment": ("none", {"crop": 1}, {"normalise": [[0.5], [0.25]]}),
    "training.schedule.name": ("constant", "multistep", "cosine"),
    "training.schedule.milestones": ([0.5], [0.2, 0.8]),
    "training.schedule.span": ("task", "run"),
    "training.augment.crop": (0, 1),
    "training.augment.normalise": ([[0.5], [0.25]],),
    "training.label_smoothing": (0.0, 0.1),
    "training.checkpoint_every": (0, 1, 3),
    "randomness.class_order": ("fixed", "seed", 3),
    "randomness.initialisation": ("seed", 0),
    "randomness.stream": ("seed", 5),
}
"""What a key usually has, where its type does not say; runs of it take milliseconds."""


def usual(chance: Random, key: str) -> Any:
    """Return a value that a dotted key may have."""
    if key in USUAL:
        return chance.choice(USUAL[key])
    kinds = str(types_of(key))
    if "bool" in kinds:
        return chance.random() < 0.5
    return chance.choice((1.0, 0.5, 2.0) if "float" in kinds else (1, 2))


def draw_settings(chance: Random) -> Raw:
    """Return sections of a file, without a grid: most of them can be run."""
    raw: Raw = {"seeds": chance.choice((1, 1, 1, 2, [3], [5, 0]))}
    if chance.random() < 0.8:
        raw["name"] = chance.choice(("case", "a case", "é日🙂", "a.b/c"))
    raw["scenario"] = {"dataset": "digits", "subset": 0.05, "eval_subset": 0.05} | _cut(chance)
    raw["scenario"] |= _some(chance, "scenario", ("validation_fraction", "subset", "eval_subset"), 0.15)
    raw["scenario"] |= _some(chance, "scenario", ("blurry", "repeats", "imbalance"), 0.1)
    raw["method"] = _method(chance)
    raw["training"] = {"batch_size": chance.choice((2, 4))} | _some(chance, "training", SECTIONS["training"], 0.08)
    if REGISTRY[raw["method"]["name"]]().needs.uses_memory and chance.random() < 0.9:
        raw["memory"] = {"size": 20} | _some(chance, "memory", ("size", "policy"), 0.3)
    if chance.random() < 0.9:
        name = usual(chance, "network.name")
        own = [key for key in named_sections["network"][name].model_fields if key not in ("name", "hidden")]
        raw["network"] = {"name": name, "hidden": usual(chance, "network.hidden") if name == "mlp" else [4, 4]}
        raw["network"] |= _some(chance, "network", own, 0.2)
    if chance.random() < 0.4:
        raw["optimizer"] = _some(chance, "optimizer", SECTIONS["optimizer"], 0.4)
    if chance.random() < 0.4:
        raw["mask"] = _mask(chance)
    if chance.random() < 0.25:
        raw["cfgm"] = chance.choice(("none", "authors", {"step": 1.0} | _some(chance, "cfgm", SECTIONS["cfgm"], 0.2)))
    if not {"tasks", "class_order"} & set(raw["scenario"]) and chance.random() < 0.2:
        raw["randomness"] = _some(chance, "randomness", SECTIONS["randomness"], 0.5)
    return raw


def _some(chance: Random, section: str, keys: Any, share: float) -> Raw:
    return {key: usual(chance, f"{section}.{key}") for key in keys if chance.random() < share}


def _cut(chance: Random) -> Raw:
    """Which classes come when."""
    kind = chance.choice(("", "num_tasks", "num_tasks", "task_sizes", "tasks", "class_order"))
    return {kind: usual(chance, f"scenario.{kind}")} if kind else {}


def _method(chance: Random) -> Raw:
    name = chance.choice(list(REGISTRY))
    keys = [key for key in named_sections["method"][name].model_fields if key != "name"]
    needed = {"passes": 1} if name == "gdumb" else {}  # 128 by default, which are no few steps
    return {"name": name} | needed | _some(chance, "method", keys, 0.25)


def _mask(chance: Random) -> Any:
    if chance.random() < 0.15:
        return "none"
    dial = chance.choice(("value", "mass", "leak"))
    found = {dial: usual(chance, f"mask.{dial}")} | _some(chance, "mask", ("visible", "from_task"), 0.15)
    found |= chance.choice(({}, {}, {"policy": "batch"}, {"policy": "recent", "recent_rows": 20}))
    return found | _some(chance, "mask", SECTIONS["mask"][3:], 0.03)


def every_key() -> tuple[str, ...]:
    """Return all dotted keys of an experiment file but sections themselves."""
    return tuple(key for key in known_keys() if "." in key and key not in PARTS)
