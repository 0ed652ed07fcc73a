"""The table in each format."""

from __future__ import annotations

import csv
import io

import pytest
from report.fabricate import MASKS, fabricate

from maskcl import report
from maskcl.errors import ConfigError
from maskcl.report import tables
from maskcl.results import Results


@pytest.fixture(scope="module")
def results():
    return Results(fabricate(diverge={("er", 1, 0)}))


def test_terminal_table_fits_eighty_columns_and_is_plain_when_it_goes_to_a_file(results):
    text = report.render(results, "table")
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    for setting in results.settings:
        assert f" {setting.mask} " in text


def test_terminal_table_has_colours_on_request(results):
    assert "\x1b[32m" in tables.terminal(results.table(), colour=True, width=100)


def test_terminal_table_is_never_cut():
    runs = [
        r for size in (50, 200) for r in fabricate(masks=[None, {"value": "-inf", "policy": "batch"}], memory_size=size)
    ]
    text = report.render(runs, "table")
    assert text.count("m=-inf policy=batch") == 4
    assert "…" not in text


def test_csv_has_one_row_a_setting_in_percent_and_is_empty_where_undefined(results):
    rows = list(csv.DictReader(io.StringIO(report.render(results, "csv"))))
    assert [row["mask"] for row in rows] == [s.mask for s in results.settings]
    row, setting = rows[1], results.settings[1]
    assert float(row["final_accuracy_percent"]) == pytest.approx(
        100 * setting.interval("final_accuracy").mean, abs=1e-4
    )
    assert float(row["forgetting_percent_difference"]) < 0
    assert rows[0]["final_accuracy_percent_difference"] == ""
    assert (rows[9]["seeds"], rows[9]["diverged"]) == ("4", "1")
    assert "final_accuracy_task_incremental_percent" in row


def test_csv_files_have_a_column_for_each_setting_that_varies():
    runs = [r for size in (50, 200) for r in fabricate(methods=("er",), masks=[None], memory_size=size, num_seeds=3)]
    for run in runs:
        run["config"]["network"]["hidden"] = [run["config"]["memory"]["size"]]
    results = Results(runs)
    settings, seeds = (list(csv.DictReader(io.StringIO(f(results)))) for f in (tables.to_csv, tables.runs_to_csv))
    assert [row["memory.size"] for row in settings] == ["50", "200"]
    assert [row["network.hidden"] for row in settings] == ["[50]", "[200]"]
    assert [(row["memory.size"], row["seed"]) for row in seeds] == [(m, s) for m in ("50", "200") for s in "012"]
    by_hand = [100 * r["metrics"]["final_accuracy"] for s in results.settings for r in s.runs]
    assert [float(row["final_accuracy_percent"]) for row in seeds] == pytest.approx(by_hand, abs=1e-4)
    assert seeds[0]["seconds"] == "0.31"


def test_markdown_has_as_many_cells_in_every_line(results):
    lines = [line for line in report.render(results, "markdown").splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 20
    assert {line.count("|") for line in lines} == {8}
    assert sum("**" in line for line in lines) == 2


def test_latex_is_a_booktabs_table_without_bare_special_characters(results):
    text = report.render(results, "latex")
    assert text.count(r"\midrule") == 2
    assert text.count(r" \\") == 21
    assert r"$m=-\infty$" in text
    assert not [c for c in text if c in "±−–"]
    assert all(text[i - 1] == "\\" for i, c in enumerate(text) if c == "%" and i > 0)


def test_formats_escape_what_a_configuration_may_hold():
    runs = fabricate(methods=("er",), masks=[None], num_seeds=1) + fabricate(methods=("er",), masks=[None], num_seeds=1)
    for run, name in zip(runs, ("a|b_c", "<b>&%"), strict=True):
        run["config"]["scenario"]["dataset"] = run["label"] = name
        run["config_hash"] = name
    assert r"a\|b_c" in report.render(runs, "markdown")
    assert r"a|b\_c" in report.render(runs, "latex")
    html = report.render(runs, "html")
    assert "<b>&%" not in html
    assert "&lt;b&gt;&amp;%" in html


def test_an_unknown_format_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigError, match="Did you mean 'markdown'"):
        report.render(fabricate(masks=MASKS[:1]), "mardown")


def test_gains_in_anytime_accuracy_are_in_the_csv_where_it_was_measured() -> None:
    masks, names = [None, {"leak": 0.1}], "average_anytime_accuracy_percent_difference"
    rows = {anytime: list(csv.DictReader(io.StringIO(report.render(
        fabricate(methods=("er",), masks=masks, anytime=anytime), "csv")))) for anytime in (True, False)}  # fmt: skip
    assert names not in rows[False][0]
    assert [bool(row[names]) for row in rows[True]] == [False, True]
