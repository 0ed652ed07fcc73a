"""How the runs of a report came to be: command, file, date, what ran them, versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from maskcl.report.names import amount, joined
from maskcl.results import Results, flat_config

__all__ = ["how_it_ran", "shared"]

MOST_COMMANDS = 4


def how_it_ran(results: Results, command: str | None) -> list[tuple[str, list[str]]]:
    """What ran it, as names and values; what old result files do not tell is left out.

    Args:
        results: The runs.
        command: The command that made them, named before those that the files tell.
    """
    seconds = sum(run.get("seconds") or 0.0 for run in results.runs)
    sizes = sorted({run["num_parameters"] for run in results.runs if run.get("num_parameters")})
    memory = sorted({run["memory_bytes"] for run in results.runs if run.get("memory_bytes")})
    commands = list(dict.fromkeys(([command] if command else []) + _told(results, "command")))
    more = len(commands) - MOST_COMMANDS
    rows = [
        ("Command", commands[:MOST_COMMANDS] + ([f"and {more} more"] if more > 0 else [])),
        ("Experiment file", _told(results, "file")),
        ("Date", _dates(_told(results, "date"))),
        (
            "Runs",
            [f"{amount(len(results.runs), 'run')}, {_duration(seconds)} in all (each run's share of the wall time)"],
        ),
        ("Executor", _executors(run["executor"] for run in results.runs if run.get("executor"))),
        ("Versions", sorted({_versions(run["environment"]) for run in results.runs if run.get("environment")})),
        ("Network", [f"{joined([f'{n:,}' for n in sizes])} parameters"] if sizes else []),
        (
            "Memory",
            [f"{joined([f'{n / 1000:,.1f} kB' for n in memory])} of ids, labels and stored logits"] if memory else [],
        ),
    ]
    return [(name, values) for name, values in rows if values]


def shared(results: Results) -> dict[str, str]:
    """Settings that all runs have in common."""
    flats = [flat_config(s.config) for s in results.settings]
    return {
        name: str(value)
        for name, value in flats[0].items()
        if not name.startswith("seeds.") and value is not None and all(flat.get(name) == value for flat in flats)
    }


def _told(results: Results, name: str) -> list[str]:
    """What the runs tell of where they come from, each once, sorted."""
    return sorted({str(told) for run in results.runs if (told := (run.get("origin") or {}).get(name))})


def _dates(told: list[str]) -> list[str]:
    """The first and the last day.

    >>> _dates(["2026-01-30T23:59:00+00:00", "2026-01-31T00:01:00+00:00"]), _dates(["2026-01-30T23:59:00+00:00"] * 2)
    (['2026-01-30 to 2026-01-31 (UTC)'], ['2026-01-30 (UTC)'])
    """
    days = sorted({date[:10] for date in told})
    return [" to ".join(dict.fromkeys((days[0], days[-1]))) + " (UTC)"] if days else []


def _executors(used: Iterable[dict[str, Any]]) -> list[str]:
    """What ran the runs, each executor in a few words, whatever the sizes of its populations."""
    alike: dict[str, list[dict[str, Any]]] = {}
    for executor in used:
        alike.setdefault(str(executor.get("name", "")), []).append(executor)
    texts = []
    for name, those in sorted(alike.items()):
        group = _range(those, "group_size")
        counts = [
            f"{found} {noun if found == '1' else f'{noun}s'}"
            for key, noun in (("devices", "device"), ("workers", "worker"), ("threads", "thread"))
            if (found := _range(those, key))
        ]
        text = ", ".join(part for part in (name, f"groups of {group}" if group else "", *counts) if part)
        reasons = {str(executor.get("reason") or "") for executor in those}
        reason = reasons.pop() if len(reasons) == 1 else ""
        texts.append(f"{text} ({reason})" if reason else text)
    return texts


def _range(executors: Iterable[dict[str, Any]], key: str) -> str:
    """The smallest and the largest of a count, as text; empty where it is told by none."""
    found = [executor[key] for executor in executors if isinstance(executor.get(key), int) and executor[key]]
    return " to ".join(dict.fromkeys((str(min(found)), str(max(found))))) if found else ""


def _versions(environment: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in environment.items() if isinstance(value, (str, int, float)))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
