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


def test_of_two_lines_the_one_that_gets_there_with_fewer_slots_is_named():
    """It takes longer; its line has no CFGM itself, since the question is what replay alone costs."""
    small = {10: (1.5, 0.6), 50: (1.6, 0.8), 200: (1.7, 0.9)}
    both = replay(dict.fromkeys(small, (9.0, 0.95)), mask={"leak": 0.03})
    for run in both:
        run["config"] |= {"cfgm": {"step": 2.0}}
        run["config_hash"] = config_hash(run["config"])
    runs = replay(PRICES) + replay(small, mask={"leak": 0.1}) + both + generated(3.0, 0.7)
    (study,) = cost(Results(runs), asked=False)
    row = next(row for row in study.table.rows if row.cells[0].startswith("Fine-tuning"))
    assert row.cells[-2] == "ER, leak .1: 23"
    assert float(row.cells[-1]) == pytest.approx(1.55, abs=0.01)


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
    assert study.says.startswith("Cheapest: ER, no mask, 10 slots, 1 s for 50.0")


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


def many_of_cfgm():
    """Two settings of CFGM without a memory, and two lines of growing memory whose settings have long names."""
    runs = replay(PRICES) + replay(PRICES, mask={"leak": 0.1}) + generated(3.0, 0.75) + generated(4.0, 0.8)
    for run in runs[-3:]:
        run["config"] |= {"mask": {"leak": 0.3}, "cfgm": {"step": 4.8, "num_steps": 2, "draw": "balanced"}}
    for run in runs:
        name, mask = run["config"]["method"]["name"], run["config"]["mask"]
        run["config"]["network"]["hidden"] = [100] if name == "er" else [200]
        run["config"]["optimizer"]["lr"] = 0.03 if mask is None else 0.05
        run["config_hash"] = config_hash(run["config"])
        run["label"] += " long" if run["metrics"]["final_accuracy"] == 0.8 and name == "finetune" else ""
    return runs


def test_names_are_short_and_lines_stand_together_by_slots():
    (study,) = cost(Results(many_of_cfgm()), asked=False)
    assert [(row.cells[0], row.cells[1], row.first) for row in study.table.rows] == [
        ("Fine-tuning, leak .03, CFGM", "0", True),
        ("Fine-tuning, leak .3, CFGM", "0", False),
        *(("ER, no mask", slots, slots == "10") for slots in ("10", "50", "200")),
        *(("ER, leak .1", slots, slots == "10") for slots in ("10", "50", "200")),
    ]
    with style.look():
        figure = study.draw()
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"CFGM, leak .3", "CFGM, leak .03"} <= set(texts)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ER, no mask, by slots", "ER, leak .1, by slots"]


def test_a_legend_of_long_names_is_not_cut_off():
    runs = [r for lr in (0.01, 0.1) for r in replay(PRICES) if not r["config"]["optimizer"].update(lr=lr)]
    for run in runs:
        run["config_hash"] = config_hash(run["config"])
        run["label"] += f" lr={run['config']['optimizer']['lr']}"
        run["method_title"] = "ER with a name as long as some of our own are"
    (study,) = cost(Results(runs), asked=True)
    with style.look():
        figure = study.draw()
        figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [text.get_text().split("optimizer.")[1] for text in legend.get_texts()] == [
        "lr=0.01, by slots",
        "lr=0.1, by slots",
    ]
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
