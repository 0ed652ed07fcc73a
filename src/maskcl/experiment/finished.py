"""What is there of earlier runs: a run is finished where its files can be read and are of its settings."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskcl.engine import Outcome
from maskcl.errors import ConfigError, DataError, MaskclWarning, MissingDataError, message
from maskcl.results import config_hash, read_result
from maskcl.weights import PIXELS, network_info, save_network

__all__ = ["finished", "folders", "save_weights", "tell_of_broken", "weights_path"]


def folders(out: Path) -> dict[str, Path]:
    """Folders of earlier results by the hash in their name: a grown grid gives longer labels to the same settings."""
    try:
        found = [path for path in (sorted(out.iterdir()) if os.path.isdir(out) else []) if os.path.isdir(path)]
    except OSError as error:
        must = f"must be a folder that can be looked into ({error.strerror or error})"
        raise ConfigError(message(str(out), must)) from error
    return {match[1]: path for path in found if (match := re.search("-([0-9a-f]{8})$", path.name))}


def finished(
    path: Path, config: Mapping[str, Any], seed: int, *, weights: bool, broken: list[str] | None = None
) -> dict[str, Any] | None:
    """Return the result of a run if it is there; a broken file, or one of other settings, is a run that is not there.

    Args:
        path: Of the result.
        config: The run's settings.
        seed: Its seed.
        weights: Whether the weights must be there too.
        broken: Is told why a file that is there cannot be read, in a sentence; None: nobody is.

    Raises:
        ConfigError: What lies there is no file, and no result can be written in its place.
    """
    if not os.path.exists(path):
        return None
    if not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else "a pipe, a socket or a device"
        raise ConfigError(message(str(path), f"must be a file, or a place for one, and is {kind}"))
    try:
        done = read_result(path)
        if weights and done["status"] == "finished":  # there are none of a run that diverged
            about = network_info(weights_path(path)).about
            if (about.get("config_hash"), about.get("seed")) != (config_hash(config), seed):
                return None
    except DataError as error:
        if broken is not None and not isinstance(error, MissingDataError):  # of weights that nobody wanted before
            broken.append(str(error).splitlines()[0])
        return None
    return done if done["config_hash"] == config_hash(config) and done["seed"] == seed else None


def tell_of_broken(broken: Sequence[str]) -> None:
    """Warn once of all files that cannot be read: their runs are made again, and take their place."""
    if broken:
        more = f" (and {len(broken) - 1} more, whose runs are made again too)" if len(broken) > 1 else ""
        text = f"{broken[0].rstrip('.')}: it cannot be used, and this run is made again{more}."
        warnings.warn(text, MaskclWarning, stacklevel=2)


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
