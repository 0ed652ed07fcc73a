"""What is a line, what it is held against, what is drawn and told of it; nothing where nothing varies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from report.fabricate import fabricate
from report.studied import diverged, varied

from maskcl.report.figures import style
from maskcl.report.studies.curves import MOST_LINES, curves, numbers_that_vary
from maskcl.report.studies.sensitivity import memory_size, sensitivity
from maskcl.report.studies.short import as_good, best_of
from maskcl.results import Results, config_hash, difference

LEAKS = [None, *({"leak": leak} for leak in (0.3, 0.1, 0.03, 0.01, 0.001)), {"value": "-inf"}]


def masks(num_seeds=3, sizes=(50,), methods=("er", "derpp")):
    return [r for n in sizes for r in fabricate(methods, LEAKS, num_seeds=num_seeds, memory_size=n, num_tasks=3)]


def axes_of(study):
    with style.look():
        return [axes for axes in study.draw().axes if axes.get_visible()]


def drawn(axes, name):
    """Places and heights of a line's points, bars and connections aside."""
    (container,) = [c for c in axes.containers if c.lines[0].get_color() == name]
    return container.lines[0].get_data()


# -- which settings make a line ---------------------------------------------------------------------------------------


def test_a_whole_number_that_no_float_can_hold_is_on_no_axis():
    found = masks(sizes=(50, 100, 200))
    for k, run in enumerate(found):
        run["config"]["scenario"]["num_tasks"] = 10 ** (400 + k % 3)
    assert "scenario.num_tasks" not in numbers_that_vary(Results(found))


def test_a_line_is_what_is_equal_in_all_but_the_number_and_no_mask_is_its_reference():
    results = Results(masks(sizes=(50, 200)))
    found = curves(results, "mask.leak")
    assert found.panels == ("50 slots", "200 slots")
    assert [line.name for line in found.lines] == ["ER", "ER", "DER++", "DER++"]
    for line in found.lines:
        assert [value for value, _ in line.points] == [0, 0.001, 0.01, 0.03, 0.1, 0.3]
        assert line.points[0][1].dial.kind == "full"  # m = -inf is leak 0
        assert line.plain.dial.kind == "none"
        sizes = {s.config["memory"]["size"] for _, s in line.points} | {line.plain.config["memory"]["size"]}
        assert len(sizes) == 1
        assert not line.tuned


@pytest.mark.parametrize("first", ["leak", "value"])
def test_leak_0_and_m_of_minus_infinity_are_one_point_which_is_the_one_that_says_it(first):
    twins = [{"leak": 0.0}, {"value": "-inf"}]
    ends = twins if first == "leak" else twins[::-1]
    grid = [None, *ends, *({"leak": leak} for leak in (0.3, 0.1)), *({"value": m} for m in (-2.0, 0.0))]
    results = Results(fabricate(("er",), grid, num_seeds=3, memory_size=50, num_tasks=3))
    for key, values in {"mask.leak": [0, 0.1, 0.3], "mask.value": [-math.inf, -2, 0]}.items():
        (line,) = curves(results, key).lines
        assert [value for value, _ in line.points] == values
        own = line.points[0][1].config["mask"]
        assert own.get(key.removeprefix("mask.")) is not None


def test_values_of_m_have_minus_infinity_at_the_edge():
    runs = fabricate(("er",), [None, *({"value": m} for m in ("-inf", -2.0, 0.0, 5.0))], num_tasks=3)
    found = curves(Results(runs), "mask.value")
    assert [v for v, _ in found.lines[0].points] == [-math.inf, -2, 0, 5]
    assert found.axis.is_edge(-math.inf)


def test_what_was_tuned_for_each_value_is_one_line_that_says_so():
    runs = []
    for size in (50, 200, 500):
        one = fabricate(("er",), [None, {"leak": 0.1}], memory_size=size, num_tasks=3)
        runs += varied(one, "optimizer.lr", [size / 1000])
    found = curves(Results(runs), "memory.size")
    assert [(line.name, len(line.points), line.tuned) for line in found.lines] == [
        ("no mask", 3, True),
        ("leak .1", 3, True),
    ]
    assert "chose them for each value" in memory_size(Results(runs), asked=True)[0].caption


def test_two_rates_of_every_size_are_two_lines():
    runs = [r for n in (50, 200, 500) for r in fabricate(("er",), [None], memory_size=n, num_tasks=3)]
    found = curves(Results(varied(runs, "optimizer.lr", [0.1, 0.3])), "memory.size")
    assert sorted((line.panel, len(line.points), line.tuned) for line in found.lines) == [
        ("optimizer.lr = 0.1", 3, False),
        ("optimizer.lr = 0.3", 3, False),
    ]


def test_settings_without_a_memory_have_no_slots():
    runs = [r for n in (50, 200, 500) for r in fabricate(("er",), [None], memory_size=n, num_tasks=3)]
    alone = fabricate(("finetune",), [None], num_tasks=3)
    for run in alone:
        run["config"]["memory"] = None
    found = curves(Results(runs + alone), "memory.size")
    assert {line.name: [v for v, _ in line.points] for line in found.lines} == {
        "Fine-tuning": [0],
        "ER": [50, 200, 500],
    }
    assert found.axis.is_edge(0)


def test_a_random_search_has_no_lines():
    runs = []
    for i in range(12):
        one = varied(fabricate(("er",), [{"leak": 0.1 + 0.01 * i}], num_seeds=1), "optimizer.lr", [0.01 + 0.003 * i])
        runs += varied(one, "training.batch_size", [10 + i])
    results = Results(runs)
    assert {"mask.leak", "optimizer.lr", "training.batch_size"} <= set(numbers_that_vary(results))
    assert curves(results, "training.batch_size") is None
    assert sensitivity(results, asked=True) == []


@pytest.mark.parametrize("runs", [fabricate(num_seeds=1, masks=[None]), fabricate(masks=[None, {"leak": 0.1}])])
def test_nothing_is_drawn_where_nothing_varies(runs):
    assert sensitivity(Results(runs), asked=True) == []
    assert memory_size(Results(runs), asked=True) == []


def test_numbers_of_seeds_and_orders_are_no_axis():
    runs = varied(fabricate(("er",), [None]), "randomness.class_order", range(5))
    assert numbers_that_vary(Results(runs)) == []


# -- what is drawn ----------------------------------------------------------------------------------------------------


def test_means_and_intervals_of_every_point_are_drawn():
    results = Results(masks())
    (study,) = sensitivity(results, asked=True)
    accuracy, forgetting = axes_of(study)
    found = curves(results, "mask.leak")
    for i, line in enumerate(found.lines):
        for axes, metric in ((accuracy, "final_accuracy"), (forgetting, "forgetting")):
            places, heights = drawn(axes, style.colour(i))
            known = [s.interval(metric) for _, s in line.points]
            np.testing.assert_allclose(heights, [float(k.mean) for k in known])
            span = found.axis.limits[1] - found.axis.limits[0]
            np.testing.assert_allclose(places, [found.axis.at(v) for v, _ in line.points], atol=0.05 * span)
    assert [text.get_text() for text in forgetting.get_xticklabels()] == ["0", ".001", ".01", ".03", ".1", ".3"]
    levels = {line.get_ydata()[0] for line in accuracy.lines if list(line.get_xdata()) == [0, 1]}
    assert levels == {float(line.plain.interval("final_accuracy").mean) for line in found.lines}


def test_values_that_diverged_are_crosses_and_named():
    runs = masks(methods=("er",))
    for run in runs:
        if run["config"]["mask"] == {"leak": 0.3} or (run["config"]["mask"] == {"leak": 0.1} and run["seed"] == 0):
            diverged(run)
    results = Results(runs)
    (study,) = sensitivity(results, asked=True)
    accuracy = axes_of(study)[0]
    (cross,) = [line for line in accuracy.lines if line.get_marker() == "x"]
    assert len(cross.get_xdata()) == 1
    row = {r.cells[1]: r.cells for r in study.table.rows}
    assert row[".3"][2:] == ("–", "–", "–", "0 of 3")
    assert row[".1"][-1] == "2 of 3"
    assert "Runs diverged at .1 and .3." in study.table.notes


def test_where_all_diverged_there_is_a_picture_without_points():
    runs = [diverged(run) for run in masks(num_seeds=1, methods=("er",))]
    (study,) = sensitivity(Results(runs), asked=True)
    assert study.says == ""
    assert len(axes_of(study)) == 1


def test_one_task_has_no_forgetting_and_no_panel_of_it():
    runs = fabricate(("er",), LEAKS, num_seeds=2, num_tasks=1)
    (study,) = sensitivity(Results(runs), asked=True)
    assert len(axes_of(study)) == 1


def test_a_leak_from_counts_is_a_level_as_no_mask_is():
    auto = fabricate(("er", "derpp"), [{"leak": "auto"}], num_seeds=3, num_tasks=3)
    results = Results(masks() + auto)
    (study,) = sensitivity(results, asked=True)
    accuracy, forgetting = axes_of(study)
    autos = [line.auto for line in curves(results, "mask.leak").lines]
    assert [s.dial.kind for s in autos] == ["auto", "auto"]
    for axes, metric in ((accuracy, "final_accuracy"), (forgetting, "forgetting")):
        levels = {line.get_ydata()[0]: line.get_color() for line in axes.lines if list(line.get_xdata()) == [0, 1]}
        assert len(levels) == 4
        for i, s in enumerate(autos):
            assert levels[float(s.interval(metric).mean)] == style.colour(i)
    with style.look():
        (legend,) = study.draw().legends
    assert [text.get_text() for text in legend.get_texts()] == ["ER", "DER++", "no mask", "leak auto"]
    assert "from counts" in study.caption
    assert [row.cells[1] for row in study.table.rows].count("leak auto") == 2
    (without,) = sensitivity(Results(masks()), asked=True)
    assert "from counts" not in without.caption


@pytest.mark.parametrize(("spread", "bands"), [(0.01, 1), (0.3, 0)])
def test_an_interval_that_would_cover_all_is_no_band(spread, bands):
    runs = fabricate(("er",), LEAKS, num_seeds=2, num_tasks=3)
    for run in runs:
        run["metrics"]["final_accuracy"] = 0.5 + spread * (run["seed"] - 0.5)
    (study,) = sensitivity(Results(runs), asked=True)
    assert len(axes_of(study)[0].patches) == bands


def scaled(peak, num_seeds=3):
    """Masks with and without a leak, whose gradient of inactive logits is scaled."""
    scales = [{"leak": leak, "old_scale": scale} for leak in (1.0, 0.1) for scale in (0.1, 0.3, 3.0)]
    runs = fabricate(("er",), [None, {"leak": 0.1}, *scales], num_seeds=num_seeds, num_tasks=3)
    for run in runs:
        mask = run["config"]["mask"]
        if mask is not None:
            mask.setdefault("old_scale", 1.0)
            run["config_hash"] = config_hash(run["config"])
        run["metrics"]["final_accuracy"] = peak - 0.1 * abs(math.log10((mask or {}).get("old_scale", 1.0)))
    return runs


def test_no_mask_is_the_scale_1_of_a_leak_of_1():
    found = curves(Results(scaled(0.8)), "mask.old_scale")
    assert {line.name: [v for v, _ in line.points] for line in found.lines} == {
        "leak 1": [0.1, 0.3, 1.0, 3.0],
        "leak .1": [0.1, 0.3, 1.0, 3.0],
    }
    (first, second) = found.lines
    assert dict(first.points)[1.0].dial.kind == "none"
    assert dict(second.points)[1.0].dial.kind == "leak"
    assert first.plain is second.plain is dict(first.points)[1.0]
    (study,) = [s for s in sensitivity(Results(scaled(0.8)), asked=True) if s.name.endswith("old_scale")]
    assert [row.cells[1] for row in study.table.rows] == [".1", ".3", "1", "3", ".1", ".3", "1", "3", "no mask"]
    accuracy = axes_of(study)[0]
    levels = [line for line in accuracy.lines if list(line.get_xdata()) == [0, 1]]
    assert len(levels) == 1  # both lines are held against one setting


def test_masks_that_share_a_leak_of_1_are_no_line_against_leak():
    results = Results(scaled(0.8) + fabricate(("er",), [{"leak": leak} for leak in (0.01, 0.3)], num_tasks=3))
    assert [line.name for line in curves(results, "mask.leak").lines] == ["ER"]


def test_the_same_lines_are_drawn_in_all_panels():
    many = [None, *({"leak": 0.02 * i} for i in range(1, 15)), {"leak": "auto"}]
    runs = [
        r for n in (50, 200, 500) for r in fabricate(("er", "derpp"), many, num_seeds=1, memory_size=n, num_tasks=3)
    ]
    for run in runs:
        if run["config"]["mask"] == {"leak": "auto"}:
            run["metrics"]["final_accuracy"] = 0.01
    found = curves(Results(runs), "memory.size")
    names = {panel: [line.name for line in found.shown if line.panel == panel] for panel in found.panels}
    assert list(names) == ["ER", "DER++"]
    assert names["ER"] == names["DER++"]
    assert len(names["ER"]) == MOST_LINES
    assert {"no mask", "leak auto"} <= set(names["ER"])


def test_a_panel_of_which_no_line_is_drawn_is_left_out():
    """ER-ACE's one mask is none of the best."""
    many = [None, *({"leak": 0.02 * i} for i in range(1, 15))]
    ace = {"value": -5.0}
    runs = [r for n in (50, 200, 500) for method, masks in (("er", many), ("derpp", many), ("er_ace", [ace]))
            for r in fabricate((method,), masks, num_seeds=1, memory_size=n, num_tasks=3)]  # fmt: skip
    for run in runs:
        if run["config"]["method"]["name"] == "er_ace":
            run["metrics"]["final_accuracy"] = 0.01
    assert curves(Results(runs), "memory.size").panels == ("ER", "ER-ACE", "DER++")
    (study,) = memory_size(Results(runs), asked=True)
    assert [axes.get_title(loc="left") for axes in axes_of(study) if axes.get_title(loc="left")] == ["ER", "DER++"]


def test_of_many_lines_no_mask_and_the_best_are_drawn_and_all_are_in_the_table():
    many = [None, *({"leak": 0.02 * i} for i in range(1, 15))]
    runs = [r for n in (50, 200, 500) for r in fabricate(("er",), many, num_seeds=2, memory_size=n, num_tasks=3)]
    results = Results(runs)
    found = curves(results, "memory.size")
    assert (len(found.lines), len(found.shown)) == (15, MOST_LINES)
    assert found.shown[0].name == "no mask"
    (study,) = memory_size(results, asked=False)
    assert "Of 15 lines" in study.caption
    assert len(study.table.rows) == 45


# -- what is told -----------------------------------------------------------------------------------------------------


def test_the_best_value_and_how_wide_it_is():
    peak = {0.001: 0.6, 0.01: 0.8, 0.03: 0.81, 0.1: 0.795, 0.3: 0.5}
    runs = fabricate(("er",), [{"leak": v} for v in peak], num_seeds=4, num_tasks=3)
    for run in runs:  # seed by seed .01 and .03 change places; .1 is always the worse
        shift = 0.02 * (-1) ** run["seed"] if run["config"]["mask"]["leak"] == 0.01 else 0.0
        run["metrics"]["final_accuracy"] = peak[run["config"]["mask"]["leak"]] + shift + 0.001 * run["seed"]
    results = Results(runs)
    (line,) = curves(results, "mask.leak").lines
    assert best_of(line)[0] == 0.03
    assert as_good(line) == (0.01, 0.03)
    (study,) = sensitivity(results, asked=True)
    assert study.says.startswith("Best leak by final accuracy: ER: .03 (81.")
    assert "as good from .01 to .03" in study.says
    cells = {row.cells[1]: row.cells[4] for row in study.table.rows}
    settings = dict(line.points)
    assert cells[".03"] == "best"
    assert float(cells[".1"].split(" ")[0].replace("−", "-")) == pytest.approx(
        100 * difference(settings[0.1], settings[0.03], "final_accuracy").mean, abs=0.06
    )


def test_with_one_seed_nothing_is_called_as_good():
    (study, *_) = sensitivity(Results(masks(num_seeds=1)), asked=True)
    assert "as good" not in study.says


def test_masks_are_drawn_unasked_where_the_dial_has_too_many_and_rates_always():
    few, many = masks()[:15], fabricate(("er",), [None, *({"leak": 0.1 * i} for i in range(1, 10))], num_tasks=3)
    assert sensitivity(Results(few), asked=False) == []
    assert [s.name for s in sensitivity(Results(many), asked=False)] == ["sensitivity_mask_leak"]
    rates = varied(fabricate(("er",), [None], num_tasks=3), "optimizer.lr", [0.01, 0.1, 1.0])
    assert [s.name for s in sensitivity(Results(rates), asked=False)] == ["sensitivity_optimizer_lr"]
    others = varied(fabricate(("er",), [None], num_tasks=3), "training.batch_size", [1, 10, 100])
    assert sensitivity(Results(others), asked=False) == []
    assert [s.name for s in sensitivity(Results(others), asked=True)] == ["sensitivity_training_batch_size"]


def test_memory_says_what_more_slots_bring():
    runs = [r for n in (50, 200, 500) for r in fabricate(("er",), [None], memory_size=n, num_tasks=3)]
    for run in runs:
        run["metrics"]["final_accuracy"] = run["config"]["memory"]["size"] / 1000
    (study,) = memory_size(Results(runs), asked=False)
    assert study.says == "Final accuracy by memory slots: ER: 5.0 ± 0.0 % with 50, 50.0 ± 0.0 % with 500."
