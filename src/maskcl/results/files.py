"""Result files: one JSON file a run, written whole or not at all.

    OUT/<slug of label>-<config hash>/seed-<seed>.json

In memory a document holds NumPy arrays and NaN; in the file these are lists and null, so that it is strict JSON.
Infinities (m = -inf in a configuration) are the strings "inf" and "-inf". `maskcl.results.reading` is the way back.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskcl.errors import MaskclWarning
from maskcl.files import write_atomically
from maskcl.metrics import summary
from maskcl.results.schema import SCHEMA

__all__ = [
    "CHECKSUM",
    "MOST_BYTES",
    "checksum",
    "checksum_of_json",
    "config_hash",
    "document",
    "result_path",
    "slug",
    "write_result",
]

CHECKSUM = "checksum"
UNCHECKED = (CHECKSUM, "environment", "origin", "executor", "seconds", "timings")
"""Keys that may differ between two runs of one result, which have the same checksum."""
MOST_BYTES = 64 << 20
"""Of a result file. A list within lists takes twenty times its letters in memory, so that more is not read."""


def document(
    outcome: Any,
    *,
    experiment: str,
    label: str,
    seed: int,
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
    origin: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the document of one run, its metrics computed.

    Args:
        outcome: What the engine handed out: `maskcl.engine.Outcome`.
        experiment: Name of the experiment.
        label: The setting's name, the same for all seeds.
        seed: The run's seed, which pairs it with the same seed of other settings.
        config: The whole configuration as plain values, "seeds" included.
        environment: Versions and machine.
        origin: Where it comes from, as far as is known: "file", "command", "date".
    """
    sizes = [len(rows) for rows in outcome.spec.scenario.eval_rows]
    return {
        "schema": SCHEMA,
        "experiment": experiment,
        "label": label,
        "seed": seed,
        "method_title": outcome.spec.method.short or outcome.spec.method.key.replace("_", "-").upper(),
        "status": outcome.status,
        "diverged": outcome.diverged,
        "config": dict(config),
        "config_hash": config_hash(config),
        "environment": dict(environment),
        "origin": dict(origin or {}),
        "tasks": [list(classes) for classes in outcome.spec.scenario.tasks],
        "executor": outcome.executor,
        "seconds": outcome.seconds,
        "timings": outcome.timings,
        "metrics": summary(
            outcome.class_incremental,
            outcome.task_incremental,
            untrained=outcome.untrained,
            confidence=outcome.confidence,
            newest_share=outcome.newest_share,
            anytime=outcome.anytime,
            weights=sizes,
        ),
        "class_incremental": outcome.class_incremental,
        "task_incremental": outcome.task_incremental,
        "confidence": outcome.confidence,
        "newest_share": outcome.newest_share,
        "level": outcome.level,
        "weight_shift": outcome.weight_shift,
        "untrained": outcome.untrained,
        "anytime": outcome.anytime,
        "confusion": outcome.confusion,
        "samples": outcome.samples,
        "num_parameters": outcome.num_parameters,
        "memory_bytes": outcome.memory_bytes,
    }


def config_hash(config: Mapping[str, Any]) -> str:
    """Return 8 hex digits of a configuration without its seeds: the same for all seeds of a setting.

    >>> config_hash({"method": {"name": "er"}, "seeds": {"stream": 0}}) == config_hash({"method": {"name": "er"}})
    True
    """
    kept = {name: part for name, part in config.items() if name != "seeds"}
    text = json.dumps(_encode(kept), sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def slug(label: str) -> str:
    """Return a label as a folder name.

    >>> slug("derpp leak=0.1 memory.size=200")
    'derpp_leak=0.1_memory.size=200'
    """
    return re.sub(r"[^0-9A-Za-z.+=-]+", "_", label).strip("._")[:80] or "run"


def result_path(out: str | os.PathLike[str], label: str, config: Mapping[str, Any], seed: int) -> Path:
    """Return where the result of one run lies."""
    return Path(out) / f"{slug(label)}-{config_hash(config)}" / f"seed-{seed}.json"


def checksum(result: Mapping[str, Any]) -> str:
    """Return 16 hex digits of a document, without what may differ from run to run.

    It tells a file that was damaged; and two runs whose every number is equal have one checksum.
    """
    return checksum_of_json(_encode(result))


def checksum_of_json(raw: Mapping[str, Any]) -> str:
    """Return the same of a document as it stands in a file."""
    kept = {name: part for name, part in raw.items() if name not in UNCHECKED}
    text = json.dumps(kept, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def write_result(path: str | os.PathLike[str], result: Mapping[str, Any]) -> None:
    """Write one document with its checksum: the file is there as a whole, or not at all.

    Of one that would be too large to be read, pictures of samples are left out, then what was evaluated within tasks.
    """
    content = _to_bytes(result)
    if len(content) > MOST_BYTES and result.get("samples"):
        samples = [{name: part for name, part in one.items() if name != "pictures"} for one in result["samples"]]
        result = {**result, "samples": samples}
        content = _to_bytes(result)
    if len(content) > MOST_BYTES and result.get("anytime") is not None:
        content = _to_bytes({**result, "anytime": None})
        text = (
            f"{path}: what was evaluated within tasks is left out, for the file would have over {MOST_BYTES:,} bytes."
        )
        warnings.warn(f"{text} Its metrics are there.", MaskclWarning, stacklevel=2)
    write_atomically(path, content)


def _to_bytes(result: Mapping[str, Any]) -> bytes:
    raw = _encode(result)
    return (json.dumps({**raw, CHECKSUM: checksum_of_json(raw)}, indent=1, allow_nan=False) + "\n").encode()


def _encode(value: Any) -> Any:
    """Plain JSON values: NaN as null, infinities as strings."""
    if isinstance(value, Mapping):
        return {str(name): _encode(part) for name, part in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return _encode(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_encode(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else f"{value:g}"
    return value
