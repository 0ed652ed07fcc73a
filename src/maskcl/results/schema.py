"""What a result file may hold: a rule for each key, and how the sizes of its arrays hang together.

Keys that are not in the table may stand in a file: they came later. What is in it is what the report counts on.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from typing import Any

from maskcl.cfgm import Cfgm
from maskcl.errors import DataError, is_number, is_whole, message
from maskcl.mask import Mask
from maskcl.results.rules import (
    Rule,
    Short,
    each,
    is_count,
    is_text,
    leaf,
    must,
    numbers,
    or_null,
    plain,
    settings,
    table,
)

__all__ = ["REQUIRED", "RESULT", "SAMPLE", "SCHEMA", "STATUSES", "check_document"]

SCHEMA = 1
STATUSES = ("finished", "diverged")
REQUIRED = ("label", "seed", "status", "config", "metrics", "class_incremental", "task_incremental")
"""Keys without which a file is no result; others came later, or can be done without."""
ROUNDING = 1e-6
"""How far above 1 a mean of probabilities in float32 can come out."""
UNSIGNED = (
    "final_accuracy", "average_incremental_accuracy", "learning_accuracy", "newest_task_share",
    "average_anytime_accuracy", "worst_case_accuracy",
)  # fmt: skip
"""Metrics that are 0 or more, with every suffix; all others are differences, -1 to 1, or may be."""
COLUMNS = ("experiment", "label", "config_hash", "method", "mask", "seed", "seeds", "status", "seconds", "diverged")
"""Of a table of runs or settings, so that no metric can be called like this."""
SAMPLE = ("confidence_before", "confidence_after", "distance_before", "distance_after")
"""Numbers of a record of samples, one for each class."""


def _metrics(value: Any, where: str) -> None:
    must(isinstance(value, Mapping), where, "a table", value)
    for name, number in value.items():
        known = re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name) is not None and name not in COLUMNS
        must(known, where, "fractions by the names of metrics", name)
        low = 0 if name.startswith(UNSIGNED) else -1
        good = number is None or (is_number(number) and low - ROUNDING <= number <= 1 + ROUNDING)
        must(good, f"{where}.{name}", f"a fraction, {low} to 1, or null", number)


def _sample(value: Any, where: str) -> None:
    table({"classes": _COUNTS, **{name: _FRACTIONS if name.startswith("conf") else _LARGE for name in SAMPLE}},
          ("classes", *SAMPLE))(value, where)  # fmt: skip
    length = len(value["classes"])
    for name in SAMPLE:
        must(len(value[name]) == length, f"{where}.{name}", f"one number for each of {length} classes", value[name])
    pictures, place = value.get("pictures"), f"{where}.pictures"
    if pictures is None:
        return
    table({"shape": _COUNTS}, ("shape", "x", "made"))(pictures, place)
    for name in ("x", "made"):
        size = length * math.prod(pictures["shape"])
        must(_num_bytes(pictures[name]) == size, f"{place}.{name}", f"{size} bytes in base64", pictures[name])


def _num_bytes(coded: Any) -> int:
    """How many bytes stand in a base64 text; -1 if it is none."""
    try:
        return len(base64.b64decode(coded, validate=True)) if isinstance(coded, str) else -1
    except ValueError:
        return -1


def _fraction(value: float) -> bool:
    return 0 <= value <= 1 + ROUNDING


def _large(value: Any, where: str) -> None:
    must(
        value in (None, "inf") or (is_number(value) and 0 <= value < 1e300),
        where,
        "a number, 0 or more, or null",
        value,
    )


_TEXT = leaf("text, of a sane length", is_text)
_NAME = leaf("text, of one letter or more", lambda v: is_text(v) and bool(v))
_COUNT = leaf("a whole number, 0 or more", is_count)
_FROM_ONE = leaf("a whole number, 1 or more", lambda v: is_count(v) and v >= 1)
_NUMBER = leaf("a number, 0 or more", lambda v: is_number(v) and 0 <= v < 1e15)
_SHARE = or_null(leaf("a number above 0, to 1", lambda v: is_number(v) and 0 < v <= 1))
_COUNTS = each(_COUNT, "a list of whole numbers")
_LARGE = each(_large, "a list of numbers")
_FRACTIONS = numbers("a fraction, 0 to 1", _fraction)
_MATRIX = each(_FRACTIONS, "a matrix of fractions, a list of rows")
_LEVELS = each(numbers("a number below 1e300 in size", lambda v: abs(v) < 1e300), "a matrix, a list of rows")
_SHIFTS = numbers("a number, 0 or more", lambda v: 0 <= v < 1e300)

CONFIG: dict[str, Rule] = {
    "method": table({"name": _NAME}, ("name",), others=plain),
    "mask": or_null(settings(Mask)),
    "cfgm": or_null(settings(Cfgm, needed="step")),
    "memory": or_null(table({"size": _COUNT}, others=plain)),
    "scenario": or_null(
        table(
            {
                "dataset": or_null(_TEXT),
                "validation_fraction": or_null(leaf("a number, 0 to 1", lambda v: is_number(v) and 0 <= v <= 1)),
                "subset": _SHARE,
                "eval_subset": _SHARE,
            },
            others=plain,
        )
    ),
    "network": or_null(table({"name": _NAME}, others=plain)),
    "training": or_null(table({"epochs": _FROM_ONE, "batch_size": _FROM_ONE}, others=plain)),
    "seeds": or_null(table({}, others=or_null(leaf("a whole number", is_whole)))),
}
"""Sections that the report reads; all others may hold any settings."""

RESULT: dict[str, Rule] = {
    "experiment": _TEXT,
    "label": _NAME,
    "seed": leaf("a whole number, 0 or more", lambda v: is_whole(v) and 0 <= v < 2**128),
    "method_title": or_null(_TEXT),
    "status": leaf(f"one of {', '.join(STATUSES)}", lambda v: isinstance(v, str) and v in STATUSES),
    "diverged": or_null(table({"task": _COUNT, "reason": _TEXT})),
    "config": table(CONFIG, ("method",), others=plain),
    "config_hash": leaf("8 hex digits", lambda v: isinstance(v, str) and re.fullmatch("[0-9a-f]{8}", v) is not None),
    "environment": table({}, others=plain),
    "origin": or_null(table({}, others=or_null(_TEXT))),
    "tasks": or_null(each(_COUNTS, "a list of tasks, each with its classes")),
    "executor": or_null(
        table(
            {"name": _TEXT, "reason": or_null(_TEXT), "threads": or_null(_FROM_ONE), "devices": _FROM_ONE},
            others=plain,
        )
    ),
    "seconds": _NUMBER,
    "timings": or_null(table({}, others=_NUMBER)),
    "metrics": _metrics,
    "class_incremental": _MATRIX,
    "task_incremental": _MATRIX,
    "confidence": or_null(_MATRIX),
    "newest_share": or_null(_FRACTIONS),
    "level": or_null(_LEVELS),
    "weight_shift": or_null(_SHIFTS),
    "untrained": or_null(table({}, others=_FRACTIONS)),
    "anytime": or_null(
        table(
            {
                "step": _COUNTS,
                "task": _COUNTS,
                "class_incremental": _MATRIX,
                "confidence": _MATRIX,
                "level": or_null(_LEVELS),
                "weight_shift": or_null(_SHIFTS),
            },
            ("step", "task", "class_incremental", "confidence"),
        )
    ),
    "confusion": or_null(
        table(
            {"by": leaf("class or task", lambda v: v in ("class", "task")), "counts": each(_COUNTS, "a list of rows")},
            ("by", "counts"),
        )
    ),
    "samples": or_null(each(_sample, "a list of records, one or more")),
    "num_parameters": _COUNT,
    "memory_bytes": _COUNT,
}


def check_document(raw: Mapping[str, Any], where: str) -> None:
    """Raise DataError for the first key of a parsed file that is not as maskcl writes it.

    Args:
        raw: What stands in the file, "schema" among it, as JSON has it: NaN is None, infinities are texts.
        where: The file, for the message.
    """
    _check_version(raw["schema"], raw.get("environment"), where)
    for key in REQUIRED:
        if key not in raw:
            raise DataError(message(f"{where}: {key}", "must be there, and is missing"))
    for key, rule in RESULT.items():
        if key in raw:
            rule(raw[key], f"{where}: {key}")
    _check_together(raw, f"{where}: ")


def _check_version(found: Any, environment: Any, where: str) -> None:
    """A file of another layout is refused, with who wrote it as far as it says so."""
    if is_whole(found) and found == SCHEMA:
        return
    writer = environment.get("maskcl") if isinstance(environment, Mapping) else None
    by = f" {writer}" if isinstance(writer, str) and len(writer) < 40 and writer.isprintable() else ""
    age = ("a newer" if found > SCHEMA else "an older") if is_number(found) else None
    hint = None if age is None else f"it was written by {age} maskcl{by}"
    raise DataError(message(f"{where}: schema", f"must be {SCHEMA}", Short(found), hint=hint))


def _check_together(raw: Mapping[str, Any], where: str) -> None:
    """Hold sizes against each other: T tasks, E evaluations within tasks."""
    num_tasks, anytime, confusion = len(raw["class_incremental"]), raw.get("anytime"), raw.get("confusion")
    for name in ("class_incremental", "task_incremental", "confidence", "level"):
        if raw.get(name) is not None:
            _check_sizes(raw[name], num_tasks, num_tasks, f"{where}{name}")
    vectors = {name: raw.get(name) for name in ("newest_share", "weight_shift", "tasks")}
    vectors |= {f"untrained.{name}": values for name, values in (raw.get("untrained") or {}).items()}
    for name, values in vectors.items():
        if values is not None:
            must(len(values) == num_tasks, f"{where}{name}", f"of {num_tasks} tasks", values)
    if anytime is not None:
        steps, tasks, place = anytime["step"], anytime["task"], f"{where}anytime"
        must(steps == sorted(steps), f"{place}.step", "numbers that do not fall", steps)
        must(len(tasks) == len(steps), f"{place}.task", f"of {len(steps)} evaluations", tasks)
        must(max(tasks) < num_tasks, f"{place}.task", f"tasks below {num_tasks}", max(tasks))
        for name in ("class_incremental", "confidence", "level"):
            if anytime.get(name) is not None:
                _check_sizes(anytime[name], len(steps), num_tasks, f"{place}.{name}")
        moved = anytime.get("weight_shift")
        must(moved is None or len(moved) == len(steps), f"{place}.weight_shift", f"of {len(steps)} evaluations", moved)
    if confusion is not None:
        counts, place = confusion["counts"], f"{where}confusion.counts"
        _check_sizes(counts, len(counts), len(counts), place)
        highest = max((c for classes in raw.get("tasks") or [] for c in classes), default=-1)
        fits = len(counts) == num_tasks if confusion["by"] == "task" else highest < len(counts)
        must(fits, place, f"counts of every {confusion['by']}", f"{len(counts)} rows")
    diverged = raw.get("diverged")
    must(raw["status"] == "diverged" or diverged is None, f"{where}diverged", "null in a finished run", diverged)
    task = (diverged or {}).get("task", 0)
    must(task < num_tasks, f"{where}diverged.task", f"a task below {num_tasks}", task)


def _check_sizes(rows: list[list[Any]], height: int, width: int, where: str) -> None:
    must(len(rows) == height, where, f"a matrix of {height} rows", f"{len(rows)} rows")
    for row in rows:
        must(len(row) == width, where, f"a matrix of {height} by {width}", f"a row of {len(row)}")
