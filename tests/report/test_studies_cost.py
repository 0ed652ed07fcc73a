"""Seconds against accuracy: what is counted, which memory gives the same, what is drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from report.fabricate import fabricate
from report.studied import diverged

from maskcl.report.figures import style
from maskcl.report.studies.cost import cost, matched, priced, seconds_of
from maskcl.results import Results, config_hash


def replay(prices, num_seeds=3, mask=None):
    """ER with memories whose seconds and accuracies are given: {slots: (seconds, accuracy)}."""
    found = []
    for slots, (seconds, accuracy) in prices.items():
        for run in fabricate(("er",), [mask], num_seeds=num_seeds, memory_size=slots, num_tasks=3):
            run["timings"] = {"training": 0.9 * seconds, "planning": 0.1 * seconds, "evaluation": 7.0}
            run["metrics"]["final_accuracy"] = accuracy
            found.append(run)
    return found


def generated(seconds, accuracy, num_seeds=3):
    """Fine-tuning with CFGM and no memory."""
    runs = fabricate(("finetune",), [{"leak": 0.03}], num_seeds=num_seeds, num_tasks=3)
    for run in runs:
        run["config"] |= {"memory": None, "cfgm": {"step": 2.0}}
        run["config_hash"] = config_hash(run["config"])
        run["timings"] = {"training": seconds + 0.01 * run["seed"], "planning": 0.0, "evaluation": 7.0}
        run["metrics"]["final_accuracy"] = accuracy
    return runs


PRICES = {10: (1.0, 0.5), 50: (1.2, 0.7), 200: (2.0, 0.8)}


def test_training_and_planning_count_and_evaluation_does_not():
    (setting,) = Results(replay({10: (1.0, 0.5)})).settings
    assert float(seconds_of(setting).mean) == pytest.approx(1.0)
    for run in setting.runs:
        del run["timings"]
    assert float(seconds_of(setting).mean) == pytest.approx(0.31)  # of older files all seconds


def test_the_memory_that_gives_the_same_lies_between_sizes_that_were_tried():
    found = priced(Results(replay(PRICES) + generated(3.0, 0.75)))
    (one,) = [o for o in found if o.setting.method == "finetune"]
    line = [o for o in found if o.line]
    assert [o.slots for o in line] == [10, 50, 200]
    match = matched(one, line)
    assert match.exact
    assert match.slots == pytest.approx(math.expm1((math.log1p(50) + math.log1p(200)) / 2))
    assert match.seconds == pytest.approx(1.6)


def test_more_than_any_and_less_than_the_least_memory():
    found = priced(Results(replay(PRICES) + generated(3.0, 0.9)))
    line = [o for o in found if o.line]
    (one,) = [o for o in found if not o.line]
    assert math.isinf(matched(one, line).slots)
    (study,) = cost(Results(replay(PRICES) + generated(3.0, 0.9)), asked=False)
    assert "no memory that was tried reaches that" in study.says
    (study,) = cost(Results(replay(PRICES) + generated(3.0, 0.3)), asked=False)
    assert "at most 10 slots in 1 s, 3 times as fast" in study.says
    row = next(row for row in study.table.rows if row.cells[0].startswith("Fine-tuning"))
    assert row.cells[-2:] == ("ER, no mask: ≤ 10", "1")


def test_of_two_lines_the_one_that_gets_there_in_fewer_seconds_is_named():
    cheap = {10: (0.5, 0.6), 50: (0.6, 0.8), 200: (0.7, 0.9)}
    (study,) = cost(Results(replay(PRICES) + replay(cheap, mask={"leak": 0.1}) + generated(3.0, 0.7)), asked=False)
    row = next(row for row in study.table.rows if row.cells[0].startswith("Fine-tuning"))
    assert row.cells[-2].startswith("ER, leak .1: ")
    assert float(row.cells[-1]) == pytest.approx(0.55, abs=0.01)


def test_points_lines_and_stars_are_drawn():
    results = Results(replay(PRICES) + generated(3.0, 0.75))
    (study,) = cost(results, asked=False)
    with style.look():
        (axes,) = study.draw().axes
    marks = {}
    for container in axes.containers:
        line = container.lines[0]
        marks.setdefault(line.get_marker(), []).append((float(line.get_xdata()[0]), float(line.get_ydata()[0])))
    np.testing.assert_allclose(marks["o"], list(PRICES.values()))
    np.testing.assert_allclose(marks["*"], [(3.01, 0.75)])
    (path,) = [line for line in axes.lines if "by slots" in str(line.get_label())]
    np.testing.assert_allclose(path.get_xdata(), [1.0, 1.2, 2.0])
    assert {"10", "50", "200", "CFGM"} <= {text.get_text() for text in axes.texts}


def test_it_is_unasked_where_samples_are_made_beside_a_memory_of_several_sizes():
    assert cost(Results(replay(PRICES)), asked=False) == []
    assert cost(Results(generated(3.0, 0.5)), asked=True) == []
    (study,) = cost(Results(replay(PRICES)), asked=True)
    assert study.says.startswith("Cheapest: ER, no mask, memory.size=10, 1 s for 50.0")


def test_runs_that_diverged_or_took_no_time_are_left_out():
    runs = replay(PRICES)
    for run in runs[:3]:
        diverged(run)
    for run in runs[3:6]:
        run["timings"] = {"training": 0.0, "planning": 0.0}
    assert [one.slots for one in priced(Results(runs))] == [200]


def test_runs_of_different_executors_are_told_to_be_no_rivals():
    runs = replay(PRICES)
    (study,) = cost(Results(runs), asked=True)
    assert "no rivals" not in study.caption
    runs[0]["executor"] = runs[0]["executor"] | {"threads": 2}
    (study,) = cost(Results(runs), asked=True)
    assert "no rivals" in study.caption
