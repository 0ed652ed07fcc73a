"""What figures show: titles above their own panels, intervals where numbers can be, no panel for one point alone."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from matplotlib.text import Text
from report.fabricate import fabricate

from maskcl import report
from maskcl.report import figures
from maskcl.report.figures import style
from maskcl.report.figures.confusion import confusion
from maskcl.report.figures.dial import dial
from maskcl.report.figures.over_time import accuracy_over_time, confidence_over_time
from maskcl.report.figures.plane import plane
from maskcl.results import Results, config_hash

FIGURES = [plane, dial, accuracy_over_time, confidence_over_time, confusion]
WILD = {"leak": 0.1}


def grid(masks=(None, WILD), num_seeds=2):
    """Runs whose settings have long names."""
    runs = []
    for size in (50, 1000):
        runs += fabricate(methods=("er",), masks=list(masks), num_seeds=num_seeds, memory_size=size, num_tasks=3)
    for run in runs:
        run["config"]["optimizer"]["lr"] = run["config"]["memory"]["size"] / 12345
        run["config_hash"] = config_hash(run["config"])
    return counted(runs)


def counted(runs, *, orders=False):
    """The same runs with counts: class i is taken for class i nine times, and once for the class after it."""
    for run in runs:
        tasks = len(run["class_incremental"])
        classes = np.random.default_rng(run["seed"] if orders else 0).permutation(2 * tasks).tolist()
        run["tasks"] = [classes[2 * t : 2 * t + 2] for t in range(tasks)]
        counts = 9 * np.eye(2 * tasks, dtype=np.int64) + np.roll(np.eye(2 * tasks, dtype=np.int64), 1, 1)
        run["confusion"] = {"by": "class", "counts": counts}
    return runs


@pytest.mark.parametrize("figure", FIGURES)
def test_titles_and_panels_do_not_overlap(figure):
    with style.look():
        drawn = figure(Results(grid()))
        style.png(drawn)
        texts = [
            t for axes in drawn.axes for t in (axes._left_title, *axes.texts) if t.get_text() and t.get_in_layout()
        ]
        boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
        panels = [axes.get_window_extent() for axes in drawn.axes if axes.get_visible()]
    titles = [box for text, box in boxes if text.startswith(("ER", "memory"))]
    assert titles or figure is dial  # which has a legend
    for (_, a), (_, b) in itertools.combinations(boxes, 2):
        if a in titles or b in titles:
            assert not a.overlaps(b)
    assert not [1 for title in titles for panel in panels if title.overlaps(panel)]
    assert all(box.x0 >= 0 and box.x1 <= drawn.bbox.x1 and box.y1 <= drawn.bbox.y1 + 1 for box in titles)


@pytest.mark.parametrize("figure", [accuracy_over_time, confidence_over_time])
def test_bands_end_where_accuracies_do(figure):
    runs = grid()
    for run in runs:  # two seeds far apart: an interval of several hundred points
        for name in ("class_incremental", "confidence"):
            run[name] = np.where(np.isnan(run[name]), np.nan, float(run["seed"]) * 0.9)
    with style.look():
        drawn = figure(Results(runs))
    edges = [path.vertices[:, 1] for axes in drawn.axes for band in axes.collections for path in band.get_paths()]
    assert edges
    assert min(map(min, edges)) == 0
    assert max(map(max, edges)) == 1


def test_error_bars_end_where_metrics_do():
    assert style.inside([0.9, 0.5], [0.3, np.nan], 0.0, 1.0).tolist() == pytest.approx(np.array([[0.3, 0], [0.1, 0]]))


def test_every_run_is_a_point_where_there_are_several():
    def points(num_seeds):
        with style.look():
            (axes,) = plane(Results(fabricate(methods=("er",), masks=[None, WILD], num_seeds=num_seeds))).axes
        return sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == ".")

    assert (points(5), points(1)) == (10, 0)


def test_there_is_no_panel_for_one_star():
    runs = fabricate(masks=[None, WILD], num_seeds=2)
    alone = [run for run in runs if run["config"]["method"]["name"] == "derpp" and run["config"]["mask"] is None]
    pair = [run for run in runs if run["config"]["method"]["name"] == "er"]
    with style.look():
        (axes,) = plane(Results(pair + alone)).axes
        assert axes.get_title(loc="left") == "ER"
        assert plane(Results(alone)) is None


def test_methods_without_masks_share_a_panel():
    with style.look():
        (axes,) = plane(Results(fabricate(masks=[None], num_seeds=2))).axes
    assert {"ER", "DER++"} <= {text.get_text() for text in axes.texts}


def test_a_page_says_nothing_of_what_cannot_be_compared():
    html = report.render(fabricate(masks=[None], num_seeds=2), "html")
    assert "nothing to compare" not in html
    assert '<section class="finding' not in html


# -- what is taken for what -------------------------------------------------------------------------------------------


def panels(runs):
    with style.look():
        drawn = confusion(Results(runs))
    return [] if drawn is None else [axes for axes in drawn.axes if axes.get_visible()]


def test_counts_are_shares_of_each_class_in_the_order_of_tasks():
    runs = counted(fabricate(methods=("er",), masks=[None, WILD], num_seeds=2))
    plain, best = panels(runs)
    assert [axes.get_title(loc="left") for axes in (plain, best)] == ["ER, no mask", "ER, leak .1"]
    order = [c for task in runs[0]["tasks"] for c in task]
    assert [label.get_text() for label in plain.get_yticklabels()] == [str(c) for c in order]
    (image,) = plain.images
    shares = np.asarray(image.get_array())
    for i, j in itertools.product(range(10), repeat=2):
        expected = 0.9 if i == j else 0.1 if order[j] == (order[i] + 1) % 10 else 0.0
        assert shares[i, j] == pytest.approx(expected)


def test_class_orders_of_their_own_are_counted_by_task():
    runs = counted(fabricate(methods=("er",), masks=[None], num_seeds=3), orders=True)
    (axes,) = panels(runs)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "3", "4", "5"]
    (image,) = axes.images
    by_hand = np.zeros((5, 5))
    for run in runs:
        home = {c: t for t, classes in enumerate(run["tasks"]) for c in classes}
        for (i, j), count in np.ndenumerate(run["confusion"]["counts"]):
            by_hand[home[i], home[j]] += count
    np.testing.assert_allclose(np.asarray(image.get_array()), by_hand / by_hand.sum(1, keepdims=True))


def test_old_results_have_no_such_figure():
    assert panels(fabricate(methods=("er",), masks=[None])) == []


# -- names ------------------------------------------------------------------------------------------------------------


def test_names_are_drawn_as_they_are_in_any_script():
    runs = counted(fabricate(methods=("er",), masks=[None, WILD], num_seeds=2))
    for run in runs:
        run["method_title"] = "$\\frac 学习 _<b>"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        html = report.render(runs, "html")
    assert "$\\frac 学习 _&lt;b&gt;" in html
    assert "<b>" not in html.replace("<b>What", "").replace("<figcaption><b>", "").replace('"><b>', "")


def test_panels_that_have_no_other_beside_them_stand_in_pairs():
    runs = [r for size in (50, 100, 200) for r in fabricate(methods=("er",), masks=[None], memory_size=size)]
    with style.look():
        drawn = accuracy_over_time(Results(runs))
        drawn.draw_without_rendering()
    places = [axes.get_position() for axes in drawn.axes if axes.get_visible()]
    assert [round(place.y0, 3) == round(places[0].y0, 3) for place in places] == [True, True, False]


def test_masks_from_counts_are_in_the_figures_and_tables_by_name(tmp_path):
    masks = [None, {"leak": "auto"}, {"leak": "auto", "memory_rows": "plain"}, {"leak": 0.1}]
    runs = fabricate(methods=("er", "derpp"), masks=masks, num_seeds=3, anytime=True)
    results = Results(counted(runs))
    assert "leak=auto memory_rows=plain" in str(results.table())
    with style.look():
        for figure in FIGURES:
            assert figure(results) is not None
        texts = [t.get_text() for t in plane(results).findobj(Text)]
    assert any("leak auto" in text for text in texts)
    assert "leak\u00a0=\u00a0auto" in report.write(tmp_path, results).read_text(encoding="utf-8")


def test_a_leak_from_counts_stands_beyond_a_break_of_the_dial_and_is_on_no_line():
    masks = [None, {"leak": "auto"}, {"leak": 0.3}, {"leak": 0.1}, {"value": 0.0}, {"value": "-inf"}]
    results = Results(fabricate(methods=("er", "derpp"), masks=masks, num_seeds=3, num_tasks=3))
    autos = {s.title: s for s in results.settings if s.dial.kind == "auto"}
    colours = {family.name: style.colours(results.families)[family.name] for family in results.families}
    with style.look():
        drawn = dial(results)
    for axes, metric in zip(drawn.axes, np.repeat(["final_accuracy", "forgetting"], 2), strict=True):
        places = axes.get_xticks()
        assert places[-1] - places[-2] > max(np.diff(places[:-1]))
        for name, colour in colours.items():
            (mark,) = [c.lines[0] for c in axes.containers if c.lines[0].get_marker() == style.AUTO
                       and c.lines[0].get_color() == colour]  # fmt: skip
            np.testing.assert_allclose(mark.get_ydata(), [float(autos[name].interval(metric).mean)])
            assert mark.get_xdata()[0] == pytest.approx(places[-1], abs=0.2)
            (line,) = [part for part in axes.lines if part.get_label() == name]
            assert max(line.get_xdata()) < places[-1] - 0.5
    assert [axes.get_xticklabels()[-1].get_text() for axes in drawn.axes[2:]] == ["leak\nauto"] * 2
    (shown,) = figures.draw(results, ["dial"])
    others = [run for s in results.settings if s.dial.kind != "auto" for run in s.runs]
    (without,) = figures.draw(Results(others), ["dial"])
    assert ["beyond the break" in one.caption for one in (shown, without)] == [True, False]


def test_no_run_is_cut_off_the_dial():
    runs = fabricate(methods=("er",), masks=[None, {"leak": 0.3}, {"leak": 0.1}], num_seeds=9, num_tasks=3)
    runs[0]["metrics"]["final_accuracy"], runs[1]["metrics"]["final_accuracy"] = 0.05, 0.999
    with style.look():
        accuracy = dial(Results(runs)).axes[0]
    low, high = accuracy.get_ylim()
    assert low < 0.05
    assert high > 0.999


def test_families_of_one_colour_have_other_lines_on_the_dial():
    sizes = range(10, 19)
    runs = [r for n in sizes for r in fabricate(("er",), [None, {"leak": 0.1}], num_seeds=2, memory_size=n)]
    with style.look():
        lines = dial(Results(runs)).legends[0].get_lines()
    looks = [(line.get_color(), line.get_linestyle()) for line in lines]
    assert looks[0][0] == looks[8][0]
    assert len(set(looks)) == len(sizes)


def test_of_many_masks_those_that_differ_in_the_dial_alone_are_on_it():
    scales = [{"leak": 1.0, "old_scale": scale} for scale in (0.01, 0.1, 0.3, 3.0, 10.0, 30.0)]
    masks = [None, {"leak": 0.3}, {"leak": 0.1}, {"value": "-inf"}]
    few, many = (Results(fabricate(("er", "derpp"), masks + scales[:n], num_seeds=2, num_tasks=3)) for n in (1, 6))
    with style.look():
        labels = [[text.get_text() for text in dial(results).legends[0].get_texts()] for results in (few, many)]
        drawn = dial(many)
        drawn.draw_without_rendering()
    assert labels == [["ER", "ER (old_scale=0.01)", "DER++", "DER++ (old_scale=0.01)"], ["ER", "DER++"]]
    assert [text.get_text() for text in drawn.axes[-1].get_xticklabels()] == ["no\nmask", ".3", ".1", "m =\n−∞"]
    captions = [figures.draw(results, ["dial"])[0].caption for results in (few, many)]
    assert ["left out" in caption for caption in captions] == [False, True]
    alone = Results(fabricate(("er",), [{"leak": 0.1, "old_scale": 1.5 + i} for i in range(20)], num_seeds=1))
    with style.look():
        assert len(dial(alone).legends[0].get_texts()) == 12
