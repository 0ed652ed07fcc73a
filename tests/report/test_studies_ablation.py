"""Which setting is a base, which are one change away from it, what each change costs, and that it is drawn."""

from __future__ import annotations

import copy
import csv

import pytest
from report.fabricate import fabricate
from report.studied import diverged, star

from maskcl import report
from maskcl.report.figures import ablation as figures
from maskcl.report.figures import draw, style
from maskcl.report.studies import ablation as studies
from maskcl.report.studies.ablation import ablation, ablations
from maskcl.results import Results, config_hash, difference


def test_a_base_has_its_changes_in_words_what_costs_most_first():
    results = Results(star())
    (found,) = ablations(results)
    assert (found.base.mask, found.base.config["memory"]) == ("leak=0.1", {"size": 50, "policy": "reservoir"})
    assert [(one.to, one.instead) for one in found.changes] == [
        ("no memory", "50, reservoir"),
        ("no mask", "leak .1"),
        ("optimizer.lr = 0.5", "0.03"),
        ("CFGM step=2", "no CFGM"),
        ("method.alpha = 1.5, method.beta = 2", "0.5, 1"),
    ]


def test_each_base_has_a_name_and_a_panel_with_means_and_intervals_in_points():
    runs = [run for size in (50, 200) for run in star(size)]
    (study,) = ablation(Results(runs), asked=True)
    found = ablations(Results(runs))
    assert [one.name for one in found] == ["DER++, leak .1, 50 slots", "DER++, leak .1, 200 slots"]
    with style.look():
        figure = study.draw()
        figure.draw_without_rendering()
    assert [axes.get_title(loc="left") for axes in figure.axes] == [one.name for one in found]
    for axes, one in zip(figure.axes, found, strict=True):
        for place, (container, change) in enumerate(zip(axes.containers, one.changes, strict=True)):
            expected = difference(change.setting, one.base, "final_accuracy")
            (x,), (y,) = container.lines[0].get_data()
            (bar,) = container.lines[2][0].get_segments()
            assert (x, y) == (pytest.approx(100 * expected.mean), -place)
            assert bar[1][0] - bar[0][0] == pytest.approx(200 * expected.half)
            grey = container.lines[0].get_color() == style.GREY
            assert grey != bool(expected.excludes_zero)
    assert "leak .1, 50 slots" in study.says
    assert study.says.index("no memory") < study.says.index("no mask")
    assert [row.cells[1] for row in study.table.rows][::6] == ["as it is"] * 2
    assert study.table.rows[1].cells[4].startswith("−30")


def test_a_number_that_is_not_set_is_told_by_its_name_and_may_be_missing():
    runs = star(costs={"mask": -0.2, "optimizer": -0.01, "cfgm": 0.0})
    for run in runs:
        run["config"]["training"]["average"] = 0.3
    for run in copy.deepcopy(runs[:4]):
        del run["config"]["training"]["average"]
        run["label"] = "not averaged"
        runs.append(run)
    for run in runs:
        if run["label"].endswith("optimizer"):
            run["config"]["cfgm"] = None  # in other files it is missing
        run["config_hash"] = config_hash(run["config"])
    (found,) = ablations(Results(runs))
    words = {one.to: one.instead for one in found.changes}
    assert words == {
        "no mask": "leak .1",
        "optimizer.lr = 0.5": "0.03",
        "CFGM step=2": "no CFGM",
        "training.average = none": "0.3",
    }


def test_a_grid_has_no_base_and_neither_have_changes_of_one_part_or_two_at_a_time():
    grid = [r for n in (50, 100, 200, 500) for r in fabricate(("er",), [None, {"leak": 0.1}], memory_size=n)]
    assert ablations(Results(grid)) == []
    masks = fabricate(("er",), [None, {"leak": 0.1}, {"leak": 0.3}, {"value": "-inf"}])
    assert ablations(Results(masks)) == []
    twice = star(costs={"mask": -0.2, "optimizer": -0.01})
    for run in twice:
        if run["config"]["mask"] is None:
            run["config"]["optimizer"] = {"name": "sgd", "lr": 0.2}
            run["config_hash"] = config_hash(run["config"])
    assert ablations(Results(twice)) == []


def test_changes_repeated_on_a_grid_have_a_base_each_and_the_grid_is_none_of_them():
    runs = [run for size in (50, 200) for run in star(size, costs={"mask": -0.2, "optimizer": -0.01, "cfgm": 0.0})]
    found = ablations(Results(runs))
    assert [one.name for one in found] == ["DER++, leak .1, 50 slots", "DER++, leak .1, 200 slots"]
    assert [len(one.changes) for one in found] == [3, 3]


def test_other_data_and_other_methods_are_no_change_and_how_often_one_looks_is_none():
    runs = star(costs={"mask": -0.2, "optimizer": -0.01})
    others = {"scenario": {"dataset": "mnist", "num_tasks": 3}, "method": {"name": "er"}}
    others["training"] = runs[0]["config"]["training"] | {"evaluate_every": 5}
    for section, other in others.items():
        for run in copy.deepcopy(runs[:4]):
            run["config"][section] = other
            run["config_hash"], run["label"] = config_hash(run["config"]), section
            runs.append(run)
    found = ablations(Results(runs))
    assert {change.to for one in found for change in one.changes} == {"no mask", "optimizer.lr = 0.5"}


def test_of_equal_settings_the_one_with_most_runs_counts():
    runs = star()
    again = copy.deepcopy([run for run in runs if run["seed"] < 2])
    for run in again:
        run["label"] = f"again {run['label']}"
    (found,) = ablations(Results(runs + again))
    assert len(found.changes) == 5
    assert found.base.num_finished == 4


def test_what_diverged_stands_last_with_a_cross_and_one_seed_has_no_interval():
    runs = star(num_seeds=1)
    for run in runs:
        if run["config"]["memory"] is None:
            diverged(run)
    (study,) = ablation(Results(runs), asked=True)
    last = study.table.rows[-1].cells
    assert (last[1], last[4], last[5], last[-1]) == ("no memory", "–", "0", "0 of 1")
    assert "±" not in "".join(study.table.rows[1].cells)
    assert "one seed: no intervals" in study.table.notes[0]
    assert "diverged" in study.table.notes[1]
    assert "One seed" in study.caption
    assert "Crosses" in study.caption
    assert "Bars" not in study.caption
    with style.look():
        (axes,) = study.draw().axes
    assert [line.get_marker() for line in axes.lines].count("x") == 1
    (drawn,) = draw(Results(runs), ["ablation"])
    assert drawn.name == "ablation"


def test_only_seeds_that_both_have_are_compared_and_their_number_is_told():
    runs = [run for run in star() if not (run["config"]["mask"] is None and run["seed"] < 3)]
    runs = [run for run in runs if not (run["config"].get("cfgm") is not None and run["seed"] > 0)]
    runs = [
        run for run in runs if not (run["config"].get("cfgm") is None and run["config"]["mask"] and run["seed"] == 0)
    ]
    (study,) = ablation(Results(runs), asked=True)
    pairs = {row.cells[1]: (row.cells[5], row.cells[-1]) for row in study.table.rows}
    assert pairs["no mask"] == ("1", "1")
    assert pairs["CFGM step=2"] == ("0", "1")
    assert pairs["optimizer.lr = 0.5"] == ("3", "3")
    assert study.table.rows[-1].cells[1] == "CFGM step=2"
    assert "CFGM" not in study.says


def test_the_sentence_has_what_is_clearly_lower_and_higher():
    (study,) = ablation(Results(star()), asked=True)
    lower, _, higher = study.says.partition("; clearly higher: ")
    assert "clearly lower: no memory (−30" in lower
    assert "no mask (−20" in lower
    assert higher.startswith("method.alpha = 1.5, method.beta = 2 (+5")
    assert "CFGM" not in study.says
    (unclear,) = ablation(Results(star(costs={"cfgm": 0.0, "optimizer": -0.0001})), asked=True)
    assert unclear.says.endswith("as it is; no change makes a clear difference.")


def test_of_more_bases_than_there_is_room_for_those_with_most_changes_are_shown(monkeypatch):
    monkeypatch.setattr(studies, "MOST", 1)
    runs = star(50, costs={"mask": -0.2, "optimizer": -0.01}) + star(
        200, costs={"mask": -0.2, "optimizer": 0.1, "cfgm": 0}
    )
    (study,) = ablation(Results(runs), asked=True)
    assert {row.cells[0] for row in study.table.rows} == {"DER++, leak .1, 200 slots"}
    assert "Of 2 settings with changes the 1 with most are shown." in study.caption


def test_gains_are_numbers_in_csv_files(tmp_path):
    report.draw(tmp_path, star(), ["ablation"])
    rows = list(csv.DictReader((tmp_path / "figures" / "ablation.csv").read_text().splitlines()))
    assert sorted(float(row["Difference"]) > 0 for row in rows if row["Difference"])[-1]


def test_of_many_changes_those_that_cost_most_are_drawn_and_all_are_in_the_table(monkeypatch):
    monkeypatch.setattr(figures, "MOST", 2)
    (study,) = ablation(Results(star()), asked=True)
    with style.look():
        (axes,) = study.draw().axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["no memory (50, reservoir)", "no mask (leak .1)"]
    assert len(study.table.rows) == 6


def test_it_is_drawn_only_if_asked_for():
    assert "ablation" not in [figure.name for figure in draw(Results(star()))]
