"""A folder that several commands write to: the page shows all of it, the terminal what the command was asked for."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from test_cli import SMALL

import maskcl
from maskcl.cli import main
from maskcl.report import figures
from maskcl.results import Results

DRAW = figures.draw
OTHER = """
seeds = 2
method = "derpp"
[scenario]
dataset = "mnist_small"
num_tasks = 5
subset = 0.1
eval_subset = 0.2
[network]
hidden = [8]
[training]
batch_size = 32
[grid]
mask = ["none", { leak = 0.3 }]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "other.toml").write_text(OTHER)
    monkeypatch.setattr("maskcl.report.figures.draw", lambda results, names: [])  # they take seconds a page
    return tmp_path


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def rows_of(shown: str) -> list[str]:
    """The rows of a printed table."""
    return [line.strip() for line in shown.splitlines() if line.strip().startswith(("ER ", "DER++ "))]


def text_of(page: Path) -> str:
    return " ".join(
        re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", "", page.read_text(), flags=re.S)).split()
    )


def test_other_settings_join_the_page_and_the_terminal_shows_its_own(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "small.toml", "--out", "out", "-q"])
    assert capsys.readouterr().out.splitlines()[-1] == "report: out/report.html"
    before = {path: path.read_bytes() for path in Path("out").rglob("seed-*.json")}
    assert main(["run", "small.toml", "--out", "out", "-q", "--set", "grid.mask=[{leak = 0.5}, {leak = 0.7}]"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "report: out/report.html (with 2 settings from before)"
    assert [row.split()[1] for row in rows_of(out)] == ["leak=0.7", "leak=0.5"]
    assert {path: path.read_bytes() for path in before} == before
    masks = {"no mask", "leak=0.1", "leak=0.5", "leak=0.7"}
    assert {row["mask"] for row in table(Path("out/table.csv"))} == masks
    assert {row["mask"] for row in table(Path("out/runs.csv"))} == masks
    shown = text_of(Path("out/report.html")).replace("\u00a0", "")
    assert all(mask.replace(" ", "") in shown.replace(" ", "") for mask in masks)
    assert main(["report", "out", "--format", "csv"]) == 0
    assert capsys.readouterr().out.rstrip() == Path("out/table.csv").read_text().rstrip()


def test_more_seeds_from_before_are_counted_and_stay_in_the_report(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "small.toml", "--out", "out", "-q", "--seeds", "3"])
    capsys.readouterr()
    assert main(["run", "small.toml", "--out", "out", "-q", "--seeds", "1"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "report: out/report.html (with 4 runs from before)"
    assert "One seed" in out
    assert [row["seeds"] for row in table(Path("out/table.csv"))] == ["3", "3"]


def test_python_returns_the_runs_that_were_asked_for_alone(folder: Path) -> None:
    maskcl.run("small.toml", out="out")
    results = maskcl.run("small.toml", out="out", overrides={"mask": {"leak": 0.5}})
    assert {row["mask"] for row in results.rows()} == {"leak=0.5"}


def test_a_folder_that_has_a_run_twice_is_said_and_the_command_reports_its_own(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "small.toml", "--out", "out", "-q"])
    first = next(Path("out").glob("er_leak*"))
    first.with_name("copy").mkdir()
    (first.with_name("copy") / "seed-0.json").write_bytes((first / "seed-0.json").read_bytes())
    capsys.readouterr()
    assert main(["run", "small.toml", "--out", "out", "-q"]) == 0
    shown = capsys.readouterr()
    assert "warning: the report has the runs of this command alone: out: must hold each run once" in shown.err
    assert shown.out.splitlines()[-1] == "report: out/report.html"


def test_the_demo_shows_what_its_folder_holds(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskcl.experiment.shipped", {"demo.toml": Path("small.toml")}.__getitem__)
    main(["run", "other.toml", "--out", "out", "-q"])
    assert main(["demo", "--out", "out", "--seeds", "1", "-q"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "report: out/report.html (with 2 settings from before)"


def test_experiments_on_other_data_and_networks_are_told_apart_and_not_held_against_each_other(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "small.toml", "--out", "out", "-q", "--seeds", "2"])
    main(["run", "other.toml", "--out", "out", "-q"])
    main(
        ["run", "other.toml", "--out", "out", "-q", "--set", "network.hidden=[12]", "--set", "grid.mask=[{leak = 0.3}]"]
    )
    capsys.readouterr()
    assert main(["report", "out"]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert len(rows) == 5
    assert all(("scenario.dataset=digits" in row) == row.startswith("ER ") for row in rows)
    assert all(("scenario.dataset=mnist_small" in row) == row.startswith("DER++ ") for row in rows)
    assert all("network.hidden=" in row for row in rows)
    assert sum("reference" in row for row in rows) == 2
    (alone,) = (row for row in rows if "[12]" in row)
    assert re.search(r" –  +2$", alone), alone
    assert len(DRAW(Results.load("out"))) >= 3  # of classes and tasks that differ in number
    page = text_of(Path("out/report.html"))
    note = "Settings differ in the data and the number of tasks: compare those alone that agree in it."
    assert note in page
    assert "small" in page.split("Masking")[0]
    assert "other" in page
    names = table(Path("out/table.csv"))[0]
    assert {"scenario.dataset", "network.hidden"} <= set(names)


# --- which setting a mask is held against


def documents(**changes: Any) -> list[dict[str, Any]]:
    from report.fabricate import fabricate

    runs = fabricate(
        methods=("er",), masks=[None, {"leak": 0.1}], num_seeds=2, experiment=changes.pop("experiment", "a")
    )
    for run in runs:
        for name, value in changes.items():
            section, _, key = name.partition("__")
            run["config"].setdefault(section, {})[key] = value
        run["label"] += str(changes)
        run["config_hash"] = maskcl_hash(run["config"])
    return runs


def maskcl_hash(config: dict[str, Any]) -> str:
    from maskcl.results import config_hash

    return config_hash(config)


def pairs(runs: list[dict[str, Any]]) -> list[tuple[bool, int]]:
    return [(family.plain is not None, len(family.masked)) for family in Results(runs).families]


@pytest.mark.parametrize(
    ("change", "held"),
    [
        ({"optimizer__lr": 0.7}, True),
        ({"memory__size": 99}, False),
        ({"network__hidden": [7]}, False),
        ({"randomness__class_order": "seed"}, False),
        ({"scenario__dataset": "other"}, False),
    ],
)
def test_a_masked_setting_is_held_against_no_mask_of_equal_conditions_alone(change: Any, held: bool) -> None:
    plain = [run for run in documents() if run["config"]["mask"] is None]
    masked = [run for run in documents(**change, experiment="b") if run["config"]["mask"] is not None]
    assert (pairs(plain + masked) == [(True, 1)]) == held


def test_another_experiment_in_the_folder_takes_no_reference_away() -> None:
    tuned = [run for run in documents(optimizer__lr=0.7, experiment="a") if run["config"]["mask"] is not None]
    own = [run for run in documents(experiment="a") if run["config"]["mask"] is None]
    other = [run for run in documents(optimizer__lr=0.9, experiment="b") if run["config"]["mask"] is None]
    assert pairs(own + tuned) == [(True, 1)]
    assert sorted(pairs(own + tuned + other)) == [(True, 0), (True, 1)]


def test_held_out_rows_beside_test_rows_are_said() -> None:
    from maskcl.report.story import cautions

    runs = documents() + documents(scenario__validation_fraction=0.2)
    note = "Settings differ in the rows that judge (test or held out): compare those alone that agree in it."
    assert note in cautions(Results(runs))
    assert note not in cautions(Results(documents()))


def test_a_result_that_comes_while_the_page_is_drawn_is_on_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["run", "small.toml", "--out", "from", "-q"]) == 0
    theirs = sorted(Path("from").glob("*/seed-*.json"))

    def draw(results: Any, names: Any) -> list[Any]:
        for path in theirs[:1]:  # another process ends a run
            (Path("out") / path.parent.name).mkdir(exist_ok=True)
            theirs.pop(0).rename(Path("out", *path.parts[1:]))
        return []

    monkeypatch.setattr("maskcl.report.figures.draw", draw)
    assert main(["run", "other.toml", "--out", "out", "-q"]) == 0
    written = {(row["label"], row["seed"]) for row in table(Path("out/runs.csv"))}
    assert written == {(run["label"], str(run["seed"])) for run in Results.load("out").runs}
    assert theirs == []
