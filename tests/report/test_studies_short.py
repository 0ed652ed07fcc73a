"""Curves in one line each: best value, how wide, against no mask, at another panel's best; memory by size."""

from __future__ import annotations

import math

import pytest
from report.fabricate import fabricate
from report.studied import diverged

from maskcl import report
from maskcl.report.figures import draw
from maskcl.report.studies.curves import curves
from maskcl.report.studies.sensitivity import LONG, memory_size, sensitivity
from maskcl.report.studies.short import in_short, ranges
from maskcl.report.tables import markdown
from maskcl.results import Results

LEAKS = (0.001, 0.01, 0.1, 0.3)
HEIGHTS = {2: (0.5, 0.7, 0.9, 0.6), 5: (0.4, 0.8, 0.5, 0.1), 10: (0.45, 0.71, 0.7, 0.3)}
"""Accuracy by number of tasks and leak; without a mask 0.55."""


def peaks(heights=HEIGHTS, masks=(None, *({"leak": leak} for leak in LEAKS))):
    """Runs whose accuracies are given, seeds a little apart; of 10 tasks two leaks change places seed by seed."""
    found = []
    for num_tasks, high in heights.items():
        for run in fabricate(("er",), list(masks), num_seeds=4, num_tasks=num_tasks):
            leak = (run["config"]["mask"] or {}).get("leak")
            shift = 0.02 * (-1) ** run["seed"] if (num_tasks, leak) == (10, 0.1) else 0.0
            base = high[LEAKS.index(leak)] if leak in LEAKS else 0.55
            run["metrics"]["final_accuracy"] = base + shift + 0.002 * run["seed"]
            found.append(run)
    return found


def cells(table):
    return {row.cells[0]: dict(zip(table.header[1:], row.cells[1:], strict=True)) for row in table.rows}


def test_a_line_has_its_best_and_what_is_as_good_better_and_worse_than_no_mask():
    table = in_short(curves(Results(peaks()), "mask.leak"))
    found = cells(table)
    assert list(found) == ["ER, 2 tasks", "ER, 5 tasks", "ER, 10 tasks"]
    two, five, ten = found.values()
    assert (two["Best"], two["Final accuracy"], two["No mask"]) == (".1", "90.3 ± 0.4", "55.3 ± 0.4")
    assert (two["As good"], two["Better than it"], two["Worse than it"]) == (".1", ".01 to .3", ".001")
    assert (five["Best"], five["Better than it"], five["Worse than it"]) == (".01", ".01", ".001, .1 to .3")
    assert ten["As good"] == ".01 to .1"
    assert "Leak auto" not in table.header


def test_what_the_best_of_another_number_of_tasks_costs():
    found = cells(in_short(curves(Results(peaks()), "mask.leak")))
    two, five, ten = found.values()
    assert [two[f"Best of {n} tasks"] for n in (2, 5, 10)] == ["–", "−20.0 ± 0.0", "−20.0 ± 0.0"]
    assert [five[f"Best of {n} tasks"] for n in (2, 5, 10)] == ["−30.0 ± 0.0", "–", "0"]
    assert ten["Best of 5 tasks"] == "0"
    assert ten["Best of 2 tasks"].startswith("−1.0 ± ")


def test_one_panel_has_nothing_to_transfer_to_and_methods_none_to_each_other():
    header = in_short(curves(Results(peaks({5: HEIGHTS[5]})), "mask.leak")).header
    assert not any(name.startswith("Best of") for name in header)
    many = [None, *({"leak": 0.02 * i} for i in range(1, 10))]
    runs = [r for n in (2, 5, 10) for r in fabricate(("er", "derpp"), many, num_seeds=1, num_tasks=n)]
    found = curves(Results(runs), "scenario.num_tasks")
    assert found.panels == ("ER", "DER++")
    assert not any(name.startswith("Best of") for name in in_short(found).header)


def test_a_leak_from_counts_has_a_column():
    masks = (None, *({"leak": leak} for leak in LEAKS), {"leak": "auto"})
    table = in_short(curves(Results(peaks(masks=masks)), "mask.leak"))
    assert {row["Leak auto"] for row in cells(table).values()} == {"55.3 ± 0.4"}


def test_where_all_runs_diverged_a_value_is_worse_and_no_best_is_found():
    runs = peaks({5: HEIGHTS[5]})
    (row,) = cells(in_short(curves(Results([diverged(r) if (r["config"]["mask"] or {}).get("leak") == 0.01 else r
                                            for r in runs]), "mask.leak"))).values()  # fmt: skip
    assert (row["Best"], row["Worse than it"]) == (".1", "all")
    (row,) = cells(in_short(curves(Results([diverged(r) for r in peaks({5: HEIGHTS[5]})]), "mask.leak"))).values()
    assert set(row.values()) == {"–"}


def test_one_seed_tells_nothing_about_width_or_no_mask():
    runs = [run for run in peaks({5: HEIGHTS[5]}) if run["seed"] == 0]
    (row,) = cells(in_short(curves(Results(runs), "mask.leak"))).values()
    assert (row["Best"], row["Final accuracy"]) == (".01", "80.0")
    assert {row[name] for name in ("As good", "Better than it", "Worse than it")} == {"–"}


def test_memory_slots_are_columns():
    runs = [r for n in (50, 200, 500) for r in fabricate(("er",), [None, {"leak": 0.1}], num_seeds=2, memory_size=n)]
    alone = fabricate(("finetune",), [None], num_seeds=2)
    for run in runs + alone:
        run["metrics"]["final_accuracy"] = run["config"]["memory"]["size"] / 1000
    for run in alone:
        run["config"]["memory"] = None
    table = in_short(curves(Results(runs + alone), "memory.size"))
    assert table.header == ("Line", "0", "50", "200", "500")
    found = {row.cells[0]: [cell.split(" ")[0] for cell in row.cells[1:]] for row in table.rows}
    assert found["ER, no mask"] == found["ER, leak .1"] == ["–", "5.0", "20.0", "50.0"]
    assert found["Fine-tuning, no mask"] == ["5.0", "–", "–", "–"]


def test_values_with_a_flag_are_told_as_ranges():
    assert ranges([False, True, True, False, True, False], [-math.inf, -5, 0, 1, 2, 3]) == "−5 to 0, 2"


@pytest.mark.parametrize("find", [sensitivity, memory_size])
def test_long_tables_are_shown_in_short_and_files_have_all(tmp_path, find):
    masks = [None, *({"leak": leak} for leak in (0.3, 0.1, 0.03, 0.01, 0.003))]
    runs = [
        r for n in (50, 200, 500) for r in fabricate(("er", "derpp"), masks, num_seeds=2, memory_size=n, num_tasks=3)
    ]
    (study,) = find(Results(runs), asked=True)
    assert len(study.table.rows) > LONG >= len(study.short.rows)
    (few,) = find(Results([run for run in runs if run["config"]["method"]["name"] == "er"]), asked=True)
    assert len(few.table.rows) <= LONG
    assert few.short is None
    name = find.__name__
    (drawn,) = draw(Results(runs), [name])
    assert report.draw(tmp_path, runs, [name], "markdown") == f"### {drawn.title}\n\n{markdown(study.short)}"
    (path,) = (tmp_path / "figures").glob("*.csv")
    assert len(path.read_text().splitlines()) == len(study.table.rows) + 1
    html = report.write(tmp_path, runs, names=[name]).read_text()
    assert html.index(f"{drawn.title}: in short") < html.index(f"{drawn.title}: numbers")
