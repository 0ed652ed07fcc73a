"""Means with intervals in the tables of docs/studies are those of the results files that the page's commands make."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path

import pytest
from pages import MarkdownTable, tables

from maskcl.metrics import interval

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "studies").glob("*.md"))
PAIR = re.compile(r"([+−]?\d+\.\d) ± (\d+\.\d)")
COMMAND = re.compile(r"experiments/([a-z0-9_]+)\.toml")
BESIDE = {"auto-leak": ("zero_memory_split_mnist",), "best-split-mnist": ()}
"""Results that a page takes from another page, to which it links."""
DERIVED = {
    ("sensitivity", "DER++", "no mask", "best m"): "differences between two masks",
    ("memory-and-order", "setting", "mean", "worst order"): "in 2 tasks two of the orders are one, and have one mean",
}
"""Tables, by page and first three columns, that are computed from several rows of a file, and how."""
ORDERS = ("randomness.class_order", "scenario.tasks")
"""Columns that say which classes come when: tables have means over them."""
FROM_RUNS = {"confidence": ("confidence before", "vs no mask"), "best-split-mnist": ("against it",)}
"""Columns that runs have and a line of a results file has not."""


def without(table: MarkdownTable, columns: tuple[str, ...]) -> str:
    """The cells of a table in other columns, a line each."""
    cells = [pair for row in table.rows for pair in zip(table.header, row, strict=True)]
    return "\n".join(cell for word, cell in cells if word not in columns)


def known(name: str) -> set[tuple[float, float]]:
    """Means and intervals of all metrics of a results file, differences, and means over class orders."""
    path = ROOT / "experiments" / "results" / f"{name}.csv"
    if not path.exists():
        return set()
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    metrics = [key for key in rows[0] if f"{key}_interval" in rows[0]]
    found = {
        (float(row[m]), float(row[f"{m}_interval"])) for row in rows for m in metrics if row[m] and row[f"{m}_interval"]
    }
    return found | {over_orders(members) for members in by_all_but_order(rows) if len(members) > 2}


def by_all_but_order(rows: list[dict[str, str]]) -> list[list[dict[str, str]]]:
    """Rows whose runs all finished, those together that differ in their class order alone."""
    columns = list(rows[0])
    if not set(ORDERS) & set(columns):
        return []
    told = [key for key in columns[columns.index("method") : columns.index("seeds")] if key not in ORDERS]
    groups: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        if int(row["diverged"]) == 0:
            groups[tuple(row[key] for key in told)].append(row)
    return list(groups.values())


def over_orders(rows: list[dict[str, str]]) -> tuple[float, float]:
    """Mean final accuracy over class orders, each the mean over its seeds, and its interval."""
    found = interval([float(row["final_accuracy_percent"]) for row in rows])
    return float(found.mean), float(found.half)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_means_and_intervals_are_those_of_the_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = {*COMMAND.findall(text), *BESIDE.get(page.stem, ())}
    pairs = set().union(*(known(name) for name in names))
    checked = []
    for table in tables(text):
        if (page.stem, *table.header[:3]) in DERIVED:
            continue
        for mean, half in PAIR.findall(without(table, FROM_RUNS.get(page.stem, ()))):
            stated = float(mean.replace("−", "-")), float(half)
            close = [p for p in pairs if abs(p[0] - stated[0]) < 0.0501 and abs(p[1] - stated[1]) < 0.0501]
            assert close, f"{page.name}: {mean} ± {half} is in no results file of {sorted(names)}"
            checked.append(stated)
    assert checked, f"{page.name} has no table of results"


def test_every_derived_table_is_there() -> None:
    heads = [(page.stem, *table.header[:3]) for page in PAGES for table in tables(page.read_text(encoding="utf-8"))]
    for header in DERIVED:
        assert heads.count(header) == 1, header
