"""The page: one HTML file that needs nothing else, from the answer down to the versions."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

from maskcl.report import story
from maskcl.report.figures import Drawn
from maskcl.report.findings import findings
from maskcl.report.names import amount, joined, pretty
from maskcl.results import Results, flat_config, percent

__all__ = ["page"]

FURTHER = {
    "average_incremental_accuracy": "Average incremental accuracy",
    "backward_transfer": "Backward transfer",
    "stability": "Stability",
    "confidence_collapse": "Confidence collapse",
    "newest_task_bias": "Bias to the newest task",
    "stability_gap": "Stability gap",
    "final_accuracy_task_incremental": "Final accuracy, task-incremental",
    "forgetting_task_incremental": "Forgetting, task-incremental",
}
"""Metrics of the second table, as far as the results have them."""


def page(results: Results, figures: Sequence[Drawn], *, command: str | None = None) -> str:
    """Return the page as HTML.

    Args:
        results: What to report.
        figures: Pictures to embed, in order.
        command: The command that made the results.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("maskcl.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pretty"] = pretty
    experiments = sorted({run["experiment"] for run in results.runs if run["experiment"]})
    return environment.get_template("page.html.jinja").render(
        title=joined(experiments) if experiments else "maskcl",
        answer=story.answer(results),
        compared=story.compared(results),
        findings=findings(results),
        cautions=story.cautions(results),
        table=results.table(),
        further=_further(results),
        figures=[{**figure._asdict(), "data": base64.b64encode(figure.png).decode()} for figure in figures],
        run=_how_it_ran(results, command),
        shared=_shared(results),
    )


def _further(results: Results) -> dict[str, Any]:
    """The second table: names, then every further metric that some run has."""
    names = {metric: name for metric, name in FURTHER.items() if metric in results.metrics}
    rows = [(s.title, s.mask, s.varies, [percent(s.interval(metric)) for metric in names]) for s in results.settings]
    return {"header": list(names.values()), "rows": rows, "varied": any(s.varies for s in results.settings)}


def _how_it_ran(results: Results, command: str | None) -> list[tuple[str, str]]:
    """What ran it, as name and value."""
    seconds = sum(run.get("seconds") or 0.0 for run in results.runs)
    executors = _executors(run["executor"] for run in results.runs if run["executor"])
    versions = sorted({_versions(run["environment"]) for run in results.runs if run["environment"]})
    sizes = sorted({run["num_parameters"] for run in results.runs if run.get("num_parameters")})
    memory = sorted({run["memory_bytes"] for run in results.runs if run.get("memory_bytes")})
    rows = [
        ("Command", command or ""),
        (
            "Runs",
            f"{amount(len(results.runs), 'run')}, {_duration(seconds)} in all (each run's share of the wall time)",
        ),
        ("Executor", "; ".join(executors)),
        ("Versions", "; ".join(versions)),
        ("Network", f"{joined([f'{n:,}' for n in sizes])} parameters" if sizes else ""),
        (
            "Memory",
            f"{joined([f'{n / 1000:,.1f} kB' for n in memory])} of ids, labels and stored logits" if memory else "",
        ),
    ]
    return [(name, value) for name, value in rows if value]


def _executors(used: Iterable[dict[str, Any]]) -> list[str]:
    """What ran the runs, as texts; populations that differ in their size alone are one."""
    sizes: dict[tuple[str, ...], set[int]] = {}
    for executor in used:
        counts = [
            amount(executor[name], noun)
            for name, noun in (("workers", "worker"), ("threads", "thread"))
            if isinstance(executor.get(name), int)
        ]
        key = (str(executor.get("name", "")), ", ".join(counts), str(executor.get("reason") or ""))
        sizes.setdefault(key, set()).add(executor.get("group_size") or 0)
    texts = []
    for (name, counted, reason), found in sorted(sizes.items()):
        group = " to ".join(str(size) for size in dict.fromkeys((min(found), max(found))) if size)
        text = ", ".join(part for part in (name, f"groups of {group}" if group else "", counted) if part)
        texts.append(f"{text} ({reason})" if reason else text)
    return texts


def _versions(environment: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in environment.items() if isinstance(value, (str, int, float)))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _shared(results: Results) -> dict[str, str]:
    """Settings that all runs have in common."""
    flats = [flat_config(s.config) for s in results.settings]
    return {
        name: str(value)
        for name, value in flats[0].items()
        if not name.startswith("seeds.") and value is not None and all(flat.get(name) == value for flat in flats)
    }
