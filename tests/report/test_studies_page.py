"""Figures of studies on the page, in every format, from the shell, from runs of the engine, with names of any kind."""

from __future__ import annotations

import csv
import io
import re

import matplotlib.image
import pytest
from report.fabricate import fabricate
from report.studied import ordered, star, varied

import maskcl
from maskcl import report
from maskcl.cli import main
from maskcl.errors import ConfigError
from maskcl.report.figures import NEEDS, draw
from maskcl.results import Results, result_path, write_result

STUDIES = ("sensitivity", "memory_size", "class_orders", "collapse", "predictors", "cost", "ablation")
EVIL = "$\\frac |x| <b> & 学习] *"


def everything(*, changes=False):
    """Results that every study has something to say about, with names that nobody should trust."""
    runs = ordered(num_orders=3, num_seeds=2, masks=(None, {"leak": 0.1}))
    leaks = [None, *({"leak": leak} for leak in (0.3, 0.1, 0.01))]
    for size in (0, 50, 1000):
        runs += fabricate(("derpp",), leaks, num_seeds=2, num_tasks=3, memory_size=size, anytime=True)
    runs += star() if changes else []
    for run in runs:
        run["method_title"] = f"{EVIL} {run['method_title']}"
        run["config"]["scenario"]["dataset"] = EVIL
    return runs


def test_every_study_is_drawn_with_its_table_and_says_what_it_shows():
    drawn = draw(Results(everything(changes=True)), STUDIES)
    assert {name for figure in drawn for name in STUDIES if figure.name.startswith(name)} == set(STUDIES)
    for figure in drawn:
        assert matplotlib.image.imread(io.BytesIO(figure.png)).shape[1] > 500
        assert figure.svg.lstrip().startswith(b"<?xml")
        assert len(figure.table.rows) >= 2
        assert all(len(row.cells) == len(figure.table.header) for row in figure.table.rows)
        assert figure.width <= 24


def test_the_page_has_each_figure_with_its_numbers_and_names_stay_names():
    html = report.render(everything(), "html")
    found = re.findall(r'<img src="data:image/svg\+xml[^"]*" alt="([^"]*)"', html)
    titles = [alt.split(".")[0] for alt in found]
    assert titles[:4] == [
        "Accuracy and forgetting against memory slots",
        "Spread over class orders and seeds",
        "Old classes around a switch of tasks",
        "Stability and plasticity",
    ]
    assert html.count("<summary>Numbers</summary>") == 3
    assert "<b>" not in html.replace("<figcaption><b>", "").replace('"><b>', "")
    assert "&lt;b&gt;" in html


@pytest.mark.parametrize("format", ["table", "csv", "markdown", "latex"])
def test_every_format_has_the_table(tmp_path, format):
    text = report.draw(tmp_path, everything(), ["class_orders"], format)
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        f"class_orders.{kind}" for kind in ("csv", "png", "svg")
    ]
    assert ("Spread over class orders and seeds" in text) == (format != "csv")
    assert text.count("学习") == (2 if format != "table" else text.count("学习"))
    if format == "markdown":
        assert "\\|x\\| &lt;b>" in text


def test_numbers_of_csv_files_are_numbers(tmp_path):
    report.draw(tmp_path, everything(), ["sensitivity"])
    (path,) = (tmp_path / "figures").glob("*.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == 12
    for row in rows:
        assert 0 <= float(row["Final accuracy"]) <= 100
        assert float(row["Final accuracy ±"]) >= 0
    assert {row["Leak"] for row in rows} == {"no mask", ".01", ".1", ".3"}


def test_pages_of_ordinary_experiments_stay_as_they_were():
    names = [figure.name for figure in draw(Results(fabricate()))]
    assert names == ["plane", "dial", "accuracy", "confidence"]


@pytest.mark.parametrize("name", NEEDS)
def test_what_cannot_be_drawn_is_one_sentence_and_leaves_no_file(tmp_path, name):
    runs = fabricate(("er",), [None], num_seeds=1, num_tasks=1)
    with pytest.raises(ConfigError, match=f"^--figure {name}: needs "):
        report.draw(tmp_path, runs, [name])
    assert list(tmp_path.iterdir()) == []


def save(folder, runs):
    for run in runs:
        write_result(result_path(folder, run["label"], run["config"], run["seed"]), run)


def test_the_shell_draws_what_is_asked_for_and_prints_its_table(tmp_path, capsys):
    save(tmp_path, varied(fabricate(("er",), [None], num_tasks=3), "optimizer.lr", [0.01, 0.1, 1.0]))
    assert main(["report", str(tmp_path), "--figure", "sensitivity", "--format", "markdown"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("### Accuracy and forgetting against learning rate\n\n| Line | Learning rate |")
    assert err.strip() == f"drawn into {tmp_path / 'figures'}"
    assert (tmp_path / "figures" / "sensitivity_optimizer_lr.svg").exists()
    assert main(["report", str(tmp_path), "--format", "html", "--figure", "plane", "--figure", "sensitivity"]) == 0
    html = (tmp_path / "report.html").read_text()
    assert html.count("<figure") == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("colapse", "error: --figure: must be one of plane, dial, "),
        (
            "cost",
            "error: --figure cost: needs three settings or more that finished, and these results do not have that",
        ),
    ],
)
def test_the_shell_refuses_in_one_sentence(tmp_path, capsys, name, said):
    save(tmp_path, fabricate(("er",), [None], num_seeds=1))
    assert main(["report", str(tmp_path), "--figure", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "figures").exists()


def test_runs_of_the_engine_have_all_that_the_studies_need(tmp_path):
    config = {
        "name": "tiny", "seeds": 2, "scenario": {"dataset": "digits", "num_tasks": 5, "subset": 0.2},
        "method": "er", "memory": {"size": 20}, "network": {"name": "mlp", "hidden": [16]},
        "training": {"batch_size": 10, "epochs": 1, "evaluate_every": 3},
        "grid": {"randomness.class_order": [0, 1, 2], "mask": ["none", {"leak": 0.1}], "memory.size": [10, 20, 40]},
    }  # fmt: skip
    maskcl.run(config, out=tmp_path)
    results = Results.load(tmp_path)
    drawn = draw(results, ["memory_size", "class_orders", "collapse", "predictors"])
    assert [figure.name for figure in drawn] == ["memory_size", "class_orders", "collapse", "predictors"]
    measures = {row.cells[0]: row.cells[-2] for row in drawn[3].table.rows}
    assert set(measures.values()) == {"36"}
    assert {"Shift of weights", "Fall of the true class's score", "Collapse at the first look"} <= set(measures)
    assert [row.cells[1:3] for row in drawn[1].table.rows] == [("3", "2")] * 6
