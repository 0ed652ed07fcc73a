"""The figure of CFGM's samples: there where there are samples, whatever the rows look like."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from matplotlib import pyplot
from report.fabricate import fabricate

from maskcl import report
from maskcl.report.figures import draw, style
from maskcl.report.figures.samples import samples
from maskcl.results import Results

MEASURED = ("confidence_before", "confidence_after", "distance_before", "distance_after", "moved")


def record(task, classes, shape, *, pictures=True, seed=0):
    """What the engine says of one task, made up."""
    rng = np.random.default_rng(seed)
    found = {"task": task, "classes": list(classes)}
    found |= {name: (0.1 + 0.8 * rng.random(len(classes))).tolist() for name in MEASURED}
    if pictures:
        x, made = (rng.integers(256, size=(len(classes), *shape), dtype=np.uint8) for _ in range(2))
        coded = {name: base64.b64encode(bits.tobytes()).decode() for name, bits in (("x", x), ("made", made))}
        found["pictures"] = {"shape": list(shape), **coded}
    return found


def with_samples(*, shape=(1, 8, 8), num_classes=8, num_seeds=2, diverge=(), masks=(None,)):
    """Runs of fine-tuning with CFGM; the last record alone has pictures."""
    runs = fabricate(methods=("finetune",), masks=list(masks), num_seeds=num_seeds, diverge=diverge)
    for run in runs:
        seed = run["seed"]
        few = range(max(1, num_classes // 2))
        first = record(1, few, shape, pictures=False, seed=seed)
        run["samples"] = [first, record(4, range(num_classes), shape, seed=seed)]
    return runs


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    assert pyplot.get_fignums() == []


def names(runs):
    return [figure.name for figure in draw(Results(runs))]


def pictures_of(figure):
    return [axes for axes in figure.axes if axes.images]


def means(axes):
    """The lines of means, without the points of single runs."""
    return [line for line in axes.lines if line.get_marker() != "."]


def drawn(runs):
    with style.look():
        figure = samples(Results(runs))
        if figure is not None:
            assert style.png(figure).startswith(b"\x89PNG")
    return figure


def test_the_figure_is_there_with_samples_and_not_without():
    assert "samples" in names(with_samples())
    assert "samples" not in names(fabricate(methods=("finetune",), masks=[None]))
    runs = fabricate(methods=("finetune",), masks=[None])
    for run in runs:
        run["samples"] = None
    assert "samples" not in names(runs)


def test_old_result_files_without_pictures_draw_the_numbers_alone():
    runs = with_samples()
    for run in runs:
        del run["samples"][-1]["pictures"]
    figure = drawn(runs)
    assert pictures_of(figure) == []
    assert len(figure.axes) == 2


def test_there_are_three_pictures_a_class_and_two_panels_of_numbers():
    figure = drawn(with_samples(num_classes=4))
    assert len(pictures_of(figure)) == 12
    assert len(figure.axes) == 14
    assert [axes.get_title() for axes in figure.axes[:12:3]] == [f"to class {c}" for c in range(4)]


def test_pictures_are_x_what_was_made_and_the_difference():
    runs = with_samples(num_classes=2, num_seeds=1)
    coded = runs[0]["samples"][-1]["pictures"]
    x, made = (np.frombuffer(base64.b64decode(coded[n]), np.uint8).reshape(2, 8, 8) / 255 for n in ("x", "made"))
    shown = [axes.images[0].get_array() for axes in pictures_of(drawn(runs))]
    for found, expected in zip(shown, (x[0], made[0], made[0] - x[0], x[1], made[1], made[1] - x[1]), strict=True):
        np.testing.assert_allclose(found, expected)


def test_numbers_are_means_over_seeds_before_and_after():
    runs = with_samples(num_classes=6, num_seeds=3)
    figure = drawn(runs)
    for axes, name, scale in ((figure.axes[-2], "confidence", 100), (figure.axes[-1], "distance", 1)):
        for line, when in zip(means(axes), ("before", "after"), strict=True):
            expected = scale * np.mean([run["samples"][-1][f"{name}_{when}"] for run in runs], 0)
            np.testing.assert_allclose(line.get_ydata(), expected)
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["x", "x_c"]


@pytest.mark.parametrize("shape", [(7,), (3, 8, 8), (8, 8), (2, 3, 4, 5)], ids=str)
def test_rows_that_are_not_images_of_one_channel_give_numbers_without_pictures(shape):
    figure = drawn(with_samples(shape=shape))
    assert pictures_of(figure) == []
    assert len(figure.axes) == 2


@pytest.mark.parametrize("num_classes", [1, 2, 3, 20])
def test_any_number_of_old_classes_has_its_pictures(num_classes):
    figure = drawn(with_samples(num_classes=num_classes, num_seeds=1))
    assert len(pictures_of(figure)) == 3 * num_classes


@pytest.mark.parametrize("num_classes", [1, 2, 3, 98])
def test_any_number_of_old_classes_has_its_numbers(num_classes):
    figure = drawn(with_samples(num_classes=num_classes, shape=(7,), num_seeds=1))
    for axes in figure.axes[-2:]:
        assert len(axes.get_xticks()) == num_classes
        assert all(len(line.get_xdata()) == num_classes for line in axes.lines)


def test_diverged_runs_are_left_out():
    runs = with_samples(num_seeds=3, diverge={("finetune", 0, 0)})
    for name in MEASURED:  # as a result file gives them back
        runs[0]["samples"][-1][name] = [None] * 8
    figure = drawn(runs)
    expected = 100 * np.mean([run["samples"][-1]["confidence_after"] for run in runs[1:]], 0)
    np.testing.assert_allclose(means(figure.axes[-2])[1].get_ydata(), expected)
    everything = {("finetune", 0, seed) for seed in range(2)}
    assert drawn(with_samples(num_seeds=2, diverge=everything)) is None


def test_the_setting_of_the_highest_final_accuracy_is_shown():
    runs = with_samples(masks=(None, {"leak": 0.1}))
    best = max(Results(runs).settings, key=lambda s: float(s.interval("final_accuracy").mean))
    assert drawn(runs).get_suptitle() == best.name


def test_samples_that_are_x_itself_have_no_difference_and_are_drawn():
    runs = with_samples(num_classes=2, num_seeds=1)
    coded = runs[0]["samples"][-1]["pictures"]
    coded["made"] = coded["x"]
    assert len(pictures_of(drawn(runs))) == 6


def test_the_page_holds_the_figure_and_its_caption(tmp_path):
    html = report.write(tmp_path, with_samples()).read_text(encoding="utf-8")
    assert "What CFGM makes" in html
    assert (tmp_path / "figures" / "samples.png").read_bytes().startswith(b"\x89PNG")
