"""Which setting is a base, which are one change away from it, what each change costs, and that it is drawn."""

from __future__ import annotations

import copy

import pytest
from report.fabricate import fabricate
from report.studied import diverged, star

from maskcl.report.figures import ablation as figures
from maskcl.report.figures import draw, style
from maskcl.report.studies.ablation import FEWEST, ablation, ablations
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


def test_a_grid_has_no_base_and_neither_have_changes_of_one_part_or_two_at_a_time():
    grid = [r for n in (50, 100, 200, 500) for r in fabricate(("er",), [None, {"leak": 0.1}], memory_size=n)]
    assert ablations(Results(grid)) == []
    masks = fabricate(("er",), [None, {"leak": 0.1}, {"leak": 0.3}, {"value": "-inf"}])
    assert ablations(Results(masks)) == []
    twice = star(costs={"mask": -0.2, "optimizer": -0.01, "memory": -0.3})
    for run in twice:
        if run["config"]["mask"] is None:
            run["config"]["optimizer"] = {"name": "sgd", "lr": 0.2}
            run["config_hash"] = config_hash(run["config"])
    assert FEWEST == 3
    assert ablations(Results(twice)) == []


def test_changes_repeated_on_a_grid_have_a_base_each_and_the_grid_is_none_of_them():
    runs = [run for size in (50, 200) for run in star(size, costs={"mask": -0.2, "optimizer": -0.01, "cfgm": 0.0})]
    found = ablations(Results(runs))
    assert [one.name for one in found] == ["DER++, leak .1, 50 slots", "DER++, leak .1, 200 slots"]
    assert [len(one.changes) for one in found] == [3, 3]


def test_other_data_and_other_methods_are_no_change():
    runs = star(costs={"mask": -0.2, "optimizer": -0.01})
    for section, other in (("scenario", {"dataset": "mnist", "num_tasks": 3}), ("method", {"name": "er"})):
        for run in copy.deepcopy(runs[:4]):
            run["config"][section] = other
            run["config_hash"], run["label"] = config_hash(run["config"]), section
            runs.append(run)
    assert ablations(Results(runs)) == []


def test_what_diverged_is_left_out_and_one_seed_has_no_interval():
    runs = star(num_seeds=1)
    for run in runs:
        if run["config"]["memory"] is None:
            diverged(run)
    (found,) = ablations(Results(runs))
    assert "no memory" not in [one.to for one in found.changes]
    (drawn,) = draw(Results(runs), ["ablation"])
    assert drawn.name == "ablation"
    assert "±" not in drawn.table.rows[1].cells[4]


def test_of_many_changes_those_that_cost_most_are_drawn_and_all_are_in_the_table(monkeypatch):
    monkeypatch.setattr(figures, "MOST", 2)
    (study,) = ablation(Results(star()), asked=True)
    with style.look():
        (axes,) = study.draw().axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["no memory (50, reservoir)", "no mask (leak .1)"]
    assert len(study.table.rows) == 6


def test_it_is_drawn_only_if_asked_for():
    assert "ablation" not in [figure.name for figure in draw(Results(star()))]
