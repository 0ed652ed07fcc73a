"""What is there of earlier runs: a run is finished where its files can be read and are of its settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskcl.engine import Outcome
from maskcl.errors import DataError
from maskcl.results import config_hash, read_result
from maskcl.weights import PIXELS, network_info, save_network

__all__ = ["finished", "folders", "save_weights", "weights_path"]


def folders(out: Path) -> dict[str, Path]:
    """Folders of earlier results by the hash in their name: a grown grid gives longer labels to the same settings."""
    found = (path for path in (sorted(out.iterdir()) if out.is_dir() else []) if path.is_dir())
    return {match[1]: path for path in found if (match := re.search("-([0-9a-f]{8})$", path.name))}


def finished(path: Path, config: Mapping[str, Any], seed: int, *, weights: bool) -> dict[str, Any] | None:
    """Return the result of a run if it is there; a broken file, or one of other settings, is a run that is not there.

    Args:
        path: Of the result.
        config: The run's settings.
        seed: Its seed.
        weights: Whether the weights must be there too.
    """
    if not path.exists():
        return None
    try:
        done = read_result(path)
        if weights and done["status"] == "finished":  # there are none of a run that diverged
            about = network_info(weights_path(path)).about
            if (about.get("config_hash"), about.get("seed")) != (config_hash(config), seed):
                return None
    except DataError:
        return None
    return done if done["config_hash"] == config_hash(config) and done["seed"] == seed else None


def weights_path(path: Path) -> Path:
    """Return where the weights of a run lie, given where its result does."""
    return path.with_suffix(".safetensors")


def save_weights(path: Path, outcome: Outcome, result: Mapping[str, Any]) -> None:
    """Write the trained network of a run beside its result, with all that is needed to use it.

    Args:
        path: Of the result.
        outcome: What the engine handed out.
        result: The run's document.
    """
    spec = outcome.spec
    if outcome.network is None or outcome.status != "finished":
        return
    scenario, augment, scaling = spec.scenario, spec.training.augment, dict[str, Any]()
    if scenario.dataset.train_inputs.dtype == "uint8":
        scaling["values"] = PIXELS
    if augment is not None and augment.normalise is not None:
        scaling["normalise"] = augment.normalise
    save_network(
        weights_path(path),
        outcome.network,
        network=spec.network,
        input_shape=scenario.dataset.input_shape,
        num_classes=scenario.num_classes,
        tasks=scenario.tasks,
        input_range=scenario.dataset.input_range,
        input_scaling=scaling or None,
        about={
            **{name: result[name] for name in ("experiment", "label", "seed", "config_hash")},
            "method": spec.method.key,
            "final_accuracy": float(result["metrics"]["final_accuracy"]),
        },
    )
