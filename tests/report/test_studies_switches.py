"""Old classes around switches, and what goes with forgetting: by hand, over runs, from files of any age."""

from __future__ import annotations

import numpy as np
import pytest
from report.fabricate import fabricate
from report.studied import diverged, varied
from scipy import stats

from maskcl import metrics
from maskcl.report.figures import style
from maskcl.report.studies.predictors import FEWEST_SETTINGS, MEASURES, measured, predictors, said
from maskcl.report.studies.switches import BEFORE, MOST_FAMILIES, collapse, courses, old_classes
from maskcl.results import Results

MASKS = [None, {"leak": 0.1}, {"value": "-inf"}]
OF = {measure.name: measure.of for measure in MEASURES}
RUN = {
    "confidence": np.array([[0.9, 0.1, 0.0], [0.6, 0.8, 0.0], [0.5, 0.7, 0.9]]),
    "level": np.array([[5.0, 0, 0], [3.0, 4.0, 0], [2.0, 3.0, 6.0]]),
    "weight_shift": np.array([0.9, 0.2, 0.4]),
    "anytime": {
        "step": np.array([10, 20, 30, 40, 50, 60]),
        "task": np.array([0, 0, 1, 1, 2, 2]),
        "confidence": np.array([[0.4, 0, 0], [0.9, 0, 0], [0.3, 0.5, 0], [0.6, 0.8, 0], [0.1, 0.4, 0], [0.5, 0.7, 0]]),
        "level": np.array([[2.0, 0, 0], [5, 0, 0], [1, 2, 0], [3, 4, 0], [0, 1, 0], [2, 3, 0]]),
    },
    "metrics": {"confidence_collapse": 0.3},
}


def test_a_run_by_hand():
    """Tasks end half a step of evaluation after their last one: task 0 at 25, task 1 at 45, task 2 at 65."""
    first, second = old_classes(RUN, "confidence")
    t, places, values = first
    assert t == 1
    np.testing.assert_allclose(places, [10 / 25 - 1, 20 / 25 - 1, 0, 5 / 20, 15 / 20, 1])
    np.testing.assert_allclose(values, [0.4, 0.9, 0.9, 0.3, 0.6, 0.6])
    t, places, values = second
    assert t == 2
    np.testing.assert_allclose(places, [5 / 20 - 1, 15 / 20 - 1, 0, 5 / 20, 15 / 20, 1])
    np.testing.assert_allclose(values, [0.4, 0.7, 0.7, 0.25, 0.6, 0.6])


def test_measures_of_a_run_by_hand():
    assert OF["Confidence collapse"](RUN) == 0.3
    assert OF["Collapse at the first look"](RUN) == pytest.approx(((0.9 - 0.3) + (0.7 - 0.25)) / 2)
    assert OF["Fall of the true class's score"](RUN) == pytest.approx((4 + (3 + 3) / 2) / 2)
    assert OF["Shift of weights"](RUN) == pytest.approx(0.3)  # of the tasks after the first
    assert np.isnan(OF["Stability gap"](RUN))


def test_older_files_lack_measures_and_keep_the_others():
    old = {key: part for key, part in RUN.items() if key not in ("level", "weight_shift", "anytime")}
    assert [name for name, of in OF.items() if not np.isnan(of(old))] == ["Confidence collapse"]
    without = RUN | {"anytime": {k: v for k, v in RUN["anytime"].items() if k != "level"}}
    assert OF["Fall of the true class's score"](without) == pytest.approx(((5 - 3) + (3 - 2 + 4 - 3) / 2) / 2)


def test_a_course_is_the_mean_over_switches_of_each_run():
    runs = fabricate(("er",), MASKS, num_seeds=3, num_tasks=3, anytime=True)
    found = courses(Results(runs))
    assert [course.setting.dial.kind for course in found] == ["none", "leak", "full"]
    for course in found:
        assert course.places[0] >= -BEFORE
        assert course.places[-1] == 1
        place = int(np.flatnonzero(course.places == 0)[0])
        for n, run in enumerate(course.setting.runs):
            for name in ("confidence", "class_incremental"):
                before = np.mean([run[name][t - 1, :t].mean() for t in (1, 2)])
                after = np.mean([run[name][t, :t].mean() for t in (1, 2)])
                assert course.values[name][n, place] == pytest.approx(before)
                assert course.values[name][n, -1] == pytest.approx(after)


def test_lines_bands_and_table_are_those_of_the_courses():
    runs = fabricate(("er",), MASKS, num_seeds=3, num_tasks=3, anytime=True)
    results = Results(runs)
    (study,) = collapse(results, asked=False)
    with style.look():
        confidence, accuracy = study.draw().axes
    for axes, name in ((confidence, "confidence"), (accuracy, "class_incremental")):
        lines = [line for line in axes.lines if len(line.get_xdata()) > 2]
        for line, course in zip(lines, courses(results), strict=True):
            np.testing.assert_allclose(line.get_ydata(), course.values[name].mean(0))
    plain = study.table.rows[0].cells
    setting = results.settings[0]
    assert plain[0] == "ER, no mask"
    assert plain[3] == "reference"
    assert plain[2] == f"{100 * setting.interval('confidence_collapse').mean:.1f} ± " + plain[2].split("± ")[1]
    assert study.table.rows[1].cells[3].startswith(("−", "+"))
    assert "ER, no mask: confidence falls by" in study.says


def test_nothing_is_drawn_without_evaluations_within_tasks_or_with_one_task():
    assert collapse(Results(fabricate(("er",), MASKS)), asked=True) == []
    assert collapse(Results(fabricate(("er",), MASKS, num_tasks=1, anytime=True)), asked=True) == []


def test_runs_that_diverged_or_have_gaps_are_left_out():
    runs = fabricate(("er", "derpp"), [None], num_seeds=3, num_tasks=3, anytime=True)
    diverged(runs[0])
    runs[0]["confidence"][:] = np.nan
    runs[3]["anytime"]["confidence"][5] = np.nan
    (course,) = courses(Results(runs))
    assert course.values["confidence"].shape[0] == 2
    assert course.setting.method == "er"


def test_one_seed_has_no_band_and_many_families_are_cut():
    runs = varied(fabricate(("er",), [None], num_seeds=1, num_tasks=3, anytime=True), "optimizer.lr", range(1, 8))
    (study,) = collapse(Results(runs), asked=False)
    assert f"The first {MOST_FAMILIES} of 7 combinations." in study.caption
    with style.look():
        assert len(study.draw().axes) == 2 * MOST_FAMILIES
    assert len(study.table.rows) == 7


# -- what goes with forgetting ----------------------------------------------------------------------------------------


def test_correlations_are_spearmans_over_all_runs():
    results = Results(fabricate(masks=[None, *({"leak": 0.1 * i} for i in range(1, 9))], num_seeds=2, anytime=True))
    (study,) = predictors(results, asked=True)
    found = measured(results)
    assert len(found.forgetting) == 36
    collapse_of = [run["metrics"]["confidence_collapse"] for s in results.settings for run in s.runs]
    expected = stats.spearmanr(collapse_of, found.forgetting).statistic
    assert found.measures[0].found.value == pytest.approx(expected)
    assert study.table.header == ("Measure", "All runs", "ER", "DER++", "Runs", "Settings")
    assert study.table.rows[0].cells[1] == said(found.measures[0].found)
    own = np.array([name == "ER" for name in found.method])
    alone = metrics.rank_correlation(found.measures[0].values[own], found.forgetting[own], found.setting[own])
    assert study.table.rows[0].cells[2] == said(alone)
    assert study.table.rows[0].cells[-2:] == ("36", "18")


def test_every_run_is_a_point_of_every_measure_that_it_has():
    runs = fabricate(masks=MASKS, num_seeds=3, anytime=True)
    diverged(runs[0])
    (study,) = predictors(Results(runs), asked=True)
    with style.look():
        panels = [axes for axes in study.draw().axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in panels] == [measure.axis for measure in MEASURES]
    assert [sum(len(line.get_xdata()) for line in axes.lines) for axes in panels] == [17] * len(MEASURES)
    assert len({row.cells[0] for row in study.table.rows}) == len(MEASURES)


def test_a_few_settings_are_no_population_and_a_few_runs_say_nothing():
    few = fabricate(masks=MASKS, num_seeds=5)
    assert predictors(Results(few), asked=False) == []
    assert predictors(Results(few[:7]), asked=True) == []
    many = [None, *({"leak": 0.02 * i} for i in range(1, FEWEST_SETTINGS))]
    (study,) = predictors(Results(fabricate(("er",), many, num_seeds=1)), asked=False)
    names = [row.cells[0] for row in study.table.rows]
    assert names == [
        "Confidence collapse",
        "Fall of the true class's score",
        "Shift of weights",
        "Bias to the newest task",
    ]


def test_a_measure_that_does_not_vary_has_no_correlation():
    runs = fabricate(masks=MASKS, num_seeds=2)
    for run in runs:
        run["metrics"]["newest_task_bias"] = 0.25
    (study,) = predictors(Results(runs), asked=True)
    assert {row.cells[0]: row.cells[1] for row in study.table.rows}["Bias to the newest task"] == "–"


def test_correlations_read_as_in_print():
    assert said(metrics.Bounded(-0.104, -0.5, 0.004)) == "−.10 (−.50 to .00)"
    assert said(metrics.Bounded(1.0, float("nan"), float("nan"))) == "1.00"
