"""Figures and the page: drawn for whatever is there, whole, and without torch."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from report.fabricate import MASKS, fabricate

from maskcl import report
from maskcl.report import grids
from maskcl.report.figures import draw, style
from maskcl.report.figures.placement import place_labels
from maskcl.report.provenance import how_it_ran
from maskcl.results import Results

VOID = {"meta", "img", "br", "link", "hr", "input", "wbr"}


class Checker(HTMLParser):
    """Every tag closed in order; no resource from outside."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            assert name not in ("src", "srcset") or value.startswith("data:"), value
        assert tag not in ("link", "iframe")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check_page(html):
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    assert "url(" not in html
    assert "nan" not in re.sub(r"base64,[^\"]*", "", html)


CASES = {
    "one method, one setting, one seed": lambda: fabricate(methods=("er",), masks=[None], num_seeds=1),
    "no plain setting": lambda: fabricate(methods=("er",), masks=MASKS[1:4], num_seeds=2),
    "all diverged": lambda: fabricate(methods=("er",), masks=[None], num_seeds=2, diverge={("er", 0, 0), ("er", 0, 1)}),
    "one task": lambda: fabricate(masks=[None, {"leak": 0.1}], num_tasks=1, num_seeds=2),
    "a mass, a policy, a method unheard of": lambda: fabricate(
        methods=("novel",), masks=[None, {"mass": 3.0}, {"value": "-inf", "policy": "batch"}], num_seeds=2
    ),
}


@pytest.mark.parametrize("runs", CASES.values(), ids=CASES)
def test_page_is_right_for_lonely_results(runs):
    check_page(report.render(runs(), "html"))


def test_write_makes_page_table_and_figures_and_nothing_half_written(tmp_path):
    runs = fabricate(masks=[None, {"value": "-inf"}, {"leak": 0.1}], num_seeds=3, anytime=True, diverge={("er", 2, 0)})
    path = report.write(tmp_path / "out", runs, command="maskcl run a.toml --set 'x=<1>'")
    names = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    shown = ("plane", "dial", "accuracy", "confidence")
    figures = {f"figures/{name}.{kind}" for name in shown for kind in ("png", "svg")}
    figures |= {f"figures/collapse.{kind}" for kind in ("png", "svg", "csv")}
    assert path == tmp_path / "out" / "report.html"
    assert names == {"report.html", "table.csv", "runs.csv"} | figures
    html = path.read_text(encoding="utf-8")
    check_page(html)
    assert html.count("data:image/png;base64,") == html.count('src="data:image/svg+xml;base64,') == 5
    for words in (
        "digits_masks",
        "learnt digits",
        "maskcl run a.toml --set &#39;x=&lt;1&gt;&#39;",
        "torch 2.13.0+cpu",
        "groups of 16",
    ):
        assert words in html
    for name in figures:
        start = {"png": b"\x89PNG", "svg": b"<?xml", "csv": b"Setting,"}[name[-3:]]
        assert (tmp_path / "out" / name).read_bytes().startswith(start)


def test_populations_that_differ_in_their_size_alone_are_one_line():
    runs = fabricate(methods=("er",), masks=[None], num_seeds=3)
    for run, size in zip(runs, (2, 13, 7), strict=True):
        run["executor"] = {"name": "stack", "group_size": size, "workers": 2, "threads": 1, "reason": "asked for"}
    html = report.render(runs, "html")
    assert "stack, groups of 2 to 13, 2 workers, 1 thread (asked for)" in html
    runs[0]["executor"] = {"name": "loop", "group_size": 1, "workers": 1, "threads": 2, "reason": "asked for"}
    assert "loop, groups of 1, 1 worker, 2 threads (asked for); stack, groups of 7 to 13, 2" in report.render(
        runs, "html"
    )


def test_how_it_was_run_is_told_by_the_files():
    runs = fabricate(methods=("er",), masks=[None], num_seeds=3)
    for run, day in zip(runs, (3, 1, 2), strict=True):
        command = f"maskcl run experiments/a.toml --seeds {1 + (day > 1)}"
        run["origin"] = {"file": "experiments/a.toml", "command": command, "date": f"2026-05-0{day}T10:00:00+00:00"}
    told = dict(how_it_ran(Results(runs), None))
    assert told["Command"] == ["maskcl run experiments/a.toml --seeds 1", "maskcl run experiments/a.toml --seeds 2"]
    assert told["Experiment file"] == ["experiments/a.toml"]
    assert told["Date"] == ["2026-05-01 to 2026-05-03 (UTC)"]
    assert told["Versions"] == ["maskcl 0.1.0, python 3.11.9, torch 2.13.0+cpu, numpy 2.4.6, cpus 2"]
    for run in runs:
        run["origin"] = {"file": None, "command": None, "date": None}
    assert {"Command", "Experiment file", "Date"}.isdisjoint(dict(how_it_ran(Results(runs), None)))


def test_executors_are_a_line_whatever_was_measured_for_each():
    runs = fabricate(methods=("er",), masks=[None], num_seeds=9)
    for run in runs:
        run["executor"] = {"name": "stack", "group_size": 9, "workers": 2, "threads": 1, "reason": f"{run['seed']} ms"}
    assert dict(how_it_ran(Results(runs), None))["Executor"] == ["stack, groups of 9, 2 workers, 1 thread"]


def test_what_varies_is_a_column_of_both_tables():
    runs = [r for size in (50, 200) for r in fabricate(methods=("er",), masks=[None], memory_size=size, num_seeds=2)]
    for grid in (grids.settings(Results(runs)), grids.further(Results(runs))):
        names = [column["name"] for column in grid["columns"]]
        assert names[:3] == ["Method", "Mask", "memory.size"]
        assert [row["cells"][2]["text"] for row in grid["rows"]] == ["50", "200"]
        assert {len(row["cells"]) for row in grid["rows"]} == {len(names)}


def test_the_same_results_give_the_same_page():
    runs = fabricate(methods=("er",), masks=[None, {"leak": 0.1}], num_seeds=2)
    assert report.render(runs, "html") == report.render(runs, "html")


def test_figures_appear_only_where_there_is_something_to_show():
    def names(runs):
        return [figure.name for figure in draw(Results(runs))]

    assert names(fabricate(methods=("er",), masks=[None], num_seeds=1)) == ["accuracy", "confidence"]
    assert names(fabricate(methods=("er",), masks=[None], num_tasks=1)) == []
    joint = fabricate(methods=("joint",), masks=[None], num_seeds=2)
    for run in joint:
        for matrix in ("class_incremental", "task_incremental", "confidence"):
            run[matrix][:-1] = np.nan
        run["metrics"]["forgetting"] = run["metrics"]["learning_accuracy"] = np.nan
    assert names(joint) == []


def test_two_hundred_tasks_are_drawn():
    assert len(draw(Results(fabricate(methods=("er",), masks=[None, {"leak": 0.1}], num_seeds=1, num_tasks=200)))) == 4


def test_labels_of_crowded_points_do_not_overlap():
    points = np.random.default_rng(0).normal(0.5, 0.06, (14, 2))
    with style.look():
        figure, axes = style.canvas(1, 1, size=(5, 5))
        axes[0, 0].set(xlim=(0, 1), ylim=(0, 1))
        figure.draw_without_rendering()
        place_labels(axes[0, 0], points, [f"label {i}" for i in range(14)], ["k"] * 14, fontsize=8)
        boxes = [text.get_window_extent() for text in axes[0, 0].texts]
    overlapping = [(i, j) for i, a in enumerate(boxes) for j, b in enumerate(boxes) if i < j and a.overlaps(b)]
    assert overlapping == []


def test_figures_leave_matplotlibs_settings_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    draw(Results(fabricate(methods=("er",), masks=[None], num_seeds=1)))
    assert dict(mpl.rcParams) == before


def test_report_and_results_import_no_torch_and_nothing_heavy():
    code = """
import sys
import maskcl.report.figures.plane, maskcl.report.page, maskcl.report.tables, maskcl.results
heavy = {"torch", "matplotlib", "scipy", "jinja2", "rich", "pandas"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
