"""Result files: one JSON file a run, written whole or not at all, read with a sentence for every way to be wrong.

    OUT/<slug of label>-<config hash>/seed-<seed>.json

In memory a document holds NumPy arrays and NaN; in the file these are lists and null, so that it is strict JSON.
Infinities (m = -inf in a configuration) are the strings "inf" and "-inf".
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskcl.errors import DataError, MissingDataError, message
from maskcl.files import write_atomically
from maskcl.metrics import summary

__all__ = [
    "SCHEMA",
    "config_hash",
    "document",
    "load_results",
    "read_result",
    "result_path",
    "slug",
    "write_result",
]

SCHEMA = 1
STATUSES = ("finished", "diverged")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "label": str,
    "seed": int,
    "status": str,
    "config": dict,
    "metrics": dict,
    "class_incremental": list,
    "task_incremental": list,
}
_MATRICES = ("class_incremental", "task_incremental", "confidence")


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


def write_result(path: str | os.PathLike[str], result: Mapping[str, Any]) -> None:
    """Write one document: the file is there as a whole, or not at all."""
    write_atomically(path, (json.dumps(_encode(result), indent=1, allow_nan=False) + "\n").encode())


def load_results(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read every result file in a folder and below, sorted by path and seed.

    Raises:
        MissingDataError: If the folder is not there.
        DataError: If it holds no results, a file that is none, or one run twice.
    """
    folder = Path(folder)
    if not folder.is_dir():
        hint = "maskcl run FILE --out DIR writes results"
        raise MissingDataError(message(str(folder), "must be a folder of results, and is not there", hint=hint))
    visible = (p for p in folder.rglob("*.json") if not any(part[0] == "." for part in p.relative_to(folder).parts))
    found = [(path, read_result(path)) for path in sorted(visible)]
    if not found:
        hint = "maskcl run FILE --out DIR writes results"
        raise DataError(message(str(folder), "must hold result files (*.json), and holds none", hint=hint))
    homes: dict[tuple[str, str, int], Path] = {}
    for path, result in found:
        run = (result["label"], result["config_hash"], result["seed"])
        if run in homes:
            must = f"must hold each run once, and has {run[0]!r} seed {run[2]} in {homes[run]} and {path}"
            raise DataError(message(str(folder), must, hint="report on one of the folders"))
        homes[run] = path
    return [result for _, result in sorted(found, key=lambda pair: (str(pair[0].parent), pair[1]["seed"]))]


def read_result(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read one result file.

    Raises:
        DataError: If it is not JSON, or JSON of something else.
    """
    path = Path(path)
    try:
        raw = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(message(str(path), f"must be a file that can be read ({error.strerror})")) from error
    except ValueError as error:  # UnicodeDecodeError among them
        hint = "the file is broken; delete it and run again"
        raise DataError(message(str(path), f"must be JSON ({error})", hint=hint)) from error
    problem = _problem(raw)
    if problem is None:
        try:
            return _decode(raw)
        except (AttributeError, TypeError, ValueError) as error:
            problem = str(error)
    raise DataError(message(str(path), f"must be the result of a run: {problem}"))


def _problem(raw: Any) -> str | None:
    """What makes a JSON value no result, or None."""
    if not isinstance(raw, dict) or "schema" not in raw:
        return "it has no 'schema'"
    if raw["schema"] != SCHEMA:
        return f"its schema must be {SCHEMA}, not {raw['schema']!r}"
    for name, kind in _TYPES.items():
        if not isinstance(raw.get(name), kind) or isinstance(raw[name], bool):
            return f"its {name!r} is missing" if name not in raw else f"its {name!r} is {raw[name]!r}"
    if raw["status"] not in STATUSES:
        return f"its status must be one of {', '.join(STATUSES)}, not {raw['status']!r}"
    for name, value in raw["metrics"].items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            return f"its metric {name!r} is {value!r}"
    for name in _MATRICES:
        if raw.get(name) is not None and not _is_square(raw[name]):
            return f"its {name!r} is not a square matrix of numbers"
    confusion = raw.get("confusion")
    if confusion is not None and not (
        isinstance(confusion, dict) and confusion.get("by") in ("class", "task") and _is_square(confusion.get("counts"))
    ):
        return "its 'confusion' is no square matrix of counts by class or task"
    return None


def _is_square(rows: Any) -> bool:
    try:
        array = np.array(rows, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError):
        return False
    return array.ndim == 2 and array.shape[0] == array.shape[1] >= 1


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


def _decode(raw: dict[str, Any]) -> dict[str, Any]:
    """Arrays, and NaN for null, where numbers belong."""
    result = {"experiment": "", "diverged": None, "environment": {}, "executor": {}, "anytime": None, **raw}
    result.setdefault("config_hash", config_hash(raw["config"]))
    result["config"] = _with_infinities(raw["config"])
    result["metrics"] = {name: math.nan if v is None else float(v) for name, v in raw["metrics"].items()}
    for name in (*_MATRICES, "newest_share"):
        if raw.get(name) is not None:
            result[name] = np.array(raw[name], dtype=np.float64)
    for name in ("untrained", "anytime"):
        if raw.get(name) is not None:
            result[name] = {
                key: np.array(part, dtype=np.int64 if key in ("step", "task") else np.float64)
                for key, part in raw[name].items()
            }
    if raw.get("confusion") is not None:
        result["confusion"] = {**raw["confusion"], "counts": np.array(raw["confusion"]["counts"], dtype=np.int64)}
    return result


def _with_infinities(value: Any) -> Any:
    """The strings "inf" and "-inf" of a configuration as the numbers they stand for, as before writing."""
    if isinstance(value, dict):
        return {name: _with_infinities(part) for name, part in value.items()}
    return float(value) if value in ("inf", "-inf") else value
