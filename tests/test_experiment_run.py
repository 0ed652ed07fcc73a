from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maskcl
from maskcl.data import Dataset, from_arrays
from maskcl.engine import run_population
from maskcl.errors import ConfigError, DataError, MaskclWarning
from maskcl.experiment import plan, run
from maskcl.scenario import class_incremental

SMALL: dict[str, Any] = {
    "name": "small",
    "seeds": 2,
    "scenario": {"tasks": [[0, 1], [2, 3]]},
    "memory": {"size": 20},
    "network": {"hidden": [16]},
    "training": {"batch_size": 32},
    "method": "er",
    "grid": {"mask": ["none", {"leak": 0.1}]},
}
ENGINE = "maskcl.experiment.in_process.run_population"


def own_data(shift: float = 0.0) -> Dataset:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    inputs = (rng.normal(size=(200, 6)) + labels[:, None] + shift).astype(np.float32)
    return from_arrays(inputs, labels, inputs, labels, name="own")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_without_out_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = maskcl.run(SMALL, executor="stack")
    assert [(row["label"], row["seed"]) for row in results.rows()] == [
        ("er no mask", 0),
        ("er no mask", 1),
        ("er leak=0.1", 0),
        ("er leak=0.1", 1),
    ]
    assert files(tmp_path) == []


def test_results_tell_where_they_come_from_and_the_class_order_that_a_seed_made(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('name = "own"\nmethod = "finetune"\n[randomness]\nclass_order = "seed"\n')
    first, second = run(tmp_path / "own.toml", seeds=2).runs
    orders = [[c for task in found["tasks"] for c in task] for found in (first, second)]
    assert [sorted(order) for order in orders] == [list(range(10))] * 2
    assert orders[0] != orders[1]
    assert [len(task) for task in first["tasks"]] == [2] * 5
    assert (first["origin"]["file"], first["origin"]["command"]) == ("own.toml", None)
    assert abs(datetime.now(timezone.utc) - datetime.fromisoformat(first["origin"]["date"])) < timedelta(minutes=5)
    counts = first["confusion"]["counts"]
    right = counts.diagonal() / counts.sum(1)
    accuracy = [np.average(right[task], weights=counts.sum(1)[task]) for task in first["tasks"]]
    assert accuracy == pytest.approx(first["class_incremental"][-1])


def test_result_files_say_all_of_a_run(tmp_path: Path) -> None:
    run(SMALL, out=tmp_path, executor="stack")
    paths = files(tmp_path)
    assert [Path(path).name for path in paths] == ["seed-0.json", "seed-1.json"] * 2
    assert all(path.startswith(("er_no_mask-", "er_leak=0.1-")) for path in paths)
    result = json.loads((tmp_path / paths[0]).read_text())
    assert (result["experiment"], result["label"], result["seed"]) == ("small", "er leak=0.1", 0)
    assert result["status"] == "finished"
    assert result["config"]["mask"]["leak"] == 0.1
    assert result["config"]["network"]["hidden"] == [16]
    assert result["config"]["seeds"] == {"run": 0, "class_order": None, "initialisation": 0, "stream": 0}
    assert Path(paths[0]).parent.name.endswith(result["config_hash"])
    assert {"maskcl", "python", "torch", "numpy", "platform", "cpus"} <= set(result["environment"])
    assert {"final_accuracy", "forgetting", "learning_accuracy"} <= set(result["metrics"])
    assert np.array(result["class_incremental"], dtype=float).shape == (2, 2)


def test_finished_runs_are_skipped_and_read(tmp_path: Path, counted: list[int]) -> None:
    first = run(SMALL, out=tmp_path, executor="stack").rows()
    before = {path: (tmp_path / path).stat().st_mtime_ns for path in files(tmp_path)}
    again = run(SMALL, out=tmp_path, executor="stack").rows()
    assert counted == [4]
    assert again == first
    assert {path: (tmp_path / path).stat().st_mtime_ns for path in files(tmp_path)} == before
    run(SMALL, out=tmp_path, executor="stack", seeds=3)
    assert counted == [4, 2]


def test_a_broken_file_is_run_again(tmp_path: Path, counted: list[int]) -> None:
    run(SMALL, out=tmp_path, executor="stack")
    path = tmp_path / files(tmp_path)[0]
    path.write_text("{")
    with pytest.warns(MaskclWarning) as told:
        run(SMALL, out=tmp_path, executor="stack")
    assert counted == [4, 1]
    assert [str(one.message) for one in told] == [
        f"{path}: must be JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)): "
        "it cannot be used, and this run is made again."
    ]
    run(SMALL, out=tmp_path, executor="stack")
    assert counted == [4, 1]


def test_many_broken_files_are_told_of_once(tmp_path: Path, counted: list[int]) -> None:
    run(SMALL, out=tmp_path, executor="stack")
    for name in files(tmp_path)[:3]:
        (tmp_path / name).write_bytes(b"\0")
    with pytest.warns(
        MaskclWarning, match=r"this run is made again \(and 2 more, whose runs are made again too\)"
    ) as told:
        run(SMALL, out=tmp_path, executor="stack")
    assert (counted, len(told)) == ([4, 3], 1)


def test_a_folder_where_a_result_belongs_is_refused_before_anything_runs(tmp_path: Path, counted: list[int]) -> None:
    run(SMALL, out=tmp_path, executor="stack")
    path = tmp_path / files(tmp_path)[0]
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match=r"seed-0\.json: must be a file, or a place for one, and is a folder"):
        run(SMALL, out=tmp_path, executor="stack")
    assert counted == [4]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_fifo_where_a_result_belongs_is_told_before_anything_runs(tmp_path: Path, counted: list[int]) -> None:
    run(SMALL, out=tmp_path, executor="stack")
    path = tmp_path / files(tmp_path)[0]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="must be a file, or a place for one, and is a pipe, a socket or a device"):
        run(SMALL, out=tmp_path, executor="stack")
    assert counted == [4]


def test_a_file_of_other_settings_is_not_taken_for_the_run(tmp_path: Path, counted: list[int]) -> None:
    run(SMALL, out=tmp_path, executor="stack")
    masked, plain = files(tmp_path)[0], files(tmp_path)[-1]
    (tmp_path / plain).write_bytes((tmp_path / masked).read_bytes())
    run(SMALL, out=tmp_path, executor="stack")
    assert counted == [4, 1]


def test_a_grown_grid_finds_what_has_run_under_shorter_labels(tmp_path: Path, counted: list[int]) -> None:
    run(SMALL, out=tmp_path, executor="stack")
    grown = SMALL | {"grid": SMALL["grid"] | {"memory.size": [20, 40]}}
    run(grown, out=tmp_path, executor="stack")
    assert counted == [4, 4]
    run(grown, out=tmp_path, executor="stack")
    assert counted == [4, 4]


def test_interrupted_runs_keep_what_was_finished(
    tmp_path: Path, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(specs: Any, **options: Any) -> Any:
        run_population(specs[:3], **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ENGINE, interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(SMALL, out=tmp_path, executor="stack")
    assert len(files(tmp_path)) == 3
    run(SMALL, out=tmp_path, executor="stack")
    assert counted == [1]


def test_diverged_runs_are_results_too(tmp_path: Path, counted: list[int]) -> None:
    wild = SMALL | {"grid": {"optimizer.lr": [0.1, 1e30]}, "seeds": 1}
    first = run(wild, out=tmp_path, executor="stack")
    assert sorted(row["status"] for row in first.rows()) == ["diverged", "finished"]
    run(wild, out=tmp_path, executor="stack")
    assert counted == [2]


def test_overrides_and_seeds_take_the_place_of_the_files(tmp_path: Path) -> None:
    planned = plan(SMALL, overrides={"mask": "none", "grid.memory.size": [5, 10]}, seeds=[4, 7])
    assert [(run.label, run.seed) for run in planned.runs] == [
        ("er no mask memory.size=5", 4),
        ("er no mask memory.size=5", 7),
        ("er no mask memory.size=10", 4),
        ("er no mask memory.size=10", 7),
    ]


def test_methods_without_a_memory_run_once_however_the_memory_varies() -> None:
    grid = {"method": ["finetune", "er"], "memory.size": [5, 10]}
    raw = {name: part for name, part in SMALL.items() if name != "method"} | {"grid": grid, "seeds": 1}
    assert plan(raw).labels == ["finetune no mask", "er no mask memory.size=5", "er no mask memory.size=10"]


def test_a_memory_that_no_method_uses_is_refused_unless_the_method_was_overridden() -> None:
    with pytest.raises(ConfigError, match=r"\[memory\]: must not be given, for no method here has a memory"):
        plan(SMALL | {"grid": {"method": ["finetune", "joint"]}})
    assert plan(SMALL, overrides={"method": "finetune"}).runs[0].spec.memory is None
    with pytest.raises(ConfigError, match=r"\[memory\]: must not be given, for no method here has a memory"):
        plan(SMALL, overrides={"method": "finetune", "memory.size": 5})


def test_own_data_take_the_place_of_the_files(tmp_path: Path) -> None:
    own = {"scenario": {"num_tasks": 2}, "method": "er", "seeds": 1, "training": {"batch_size": 10}}
    first, second = (
        run(own, dataset=data, out=tmp_path, executor="loop") for data in (own_data(), own_data(shift=0.5))
    )
    assert first.runs[0]["config"]["scenario"]["dataset"] == "own"
    assert first.runs[0]["config_hash"] != second.runs[0]["config_hash"]
    assert plan(own, dataset=own_data(), out=tmp_path).pending == ()


def test_an_own_scenario_takes_the_place_of_the_section() -> None:
    scenario = class_incremental(own_data(), tasks=[[3], [0, 1]])
    planned = plan({"method": "er", "training": {"batch_size": 10}}, scenario=scenario)
    assert planned.runs[0].spec.scenario is scenario
    assert planned.runs[0].config["scenario"]["tasks"] == [[3], [0, 1]]


def test_settings_that_own_data_would_silently_replace_are_refused() -> None:
    data = own_data()
    scenario = class_incremental(data, num_tasks=2)
    with pytest.raises(ConfigError, match=r"scenario.dataset: must be left out"):
        plan({"method": "er", "scenario": {"dataset": "digits"}}, dataset=data)
    with pytest.raises(ConfigError, match=r"\[scenario\]: must be left out"):
        plan({"method": "er", "scenario": {"num_tasks": 2}}, scenario=scenario)
    with pytest.raises(ConfigError, match=r"\[scenario\]: must be left out"):
        plan({"method": "er", "grid": {"scenario.num_tasks": [2, 4]}}, scenario=scenario)
    with pytest.raises(ConfigError, match=r"\[scenario\]: must be left out"):
        plan({"method": "er"}, overrides={"scenario.num_tasks": 2}, scenario=scenario)
    with pytest.raises(ConfigError, match=r"randomness.class_order: must be left out"):
        plan({"method": "er", "randomness": {"class_order": "seed"}}, scenario=scenario)
    with pytest.raises(ConfigError, match=r"dataset: must not be given together with a scenario"):
        plan({"method": "er"}, dataset=data, scenario=scenario)


@pytest.mark.parametrize(
    ("inputs", "labels", "words"),
    [
        ([[0.0], [float("nan")]], [0, 1], "must be finite numbers"),
        ([[0.0], [1.0]], [0, -1], "must be classes from 0 to"),
        ([[0.0], [1.0]], [0], "must have shape"),
    ],
)
def test_own_data_that_cannot_be_learnt_from_are_refused(inputs: Any, labels: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        run({"method": "er"}, dataset=from_arrays(inputs, labels, [[0.5]], [0], num_classes=2))


def test_nothing_runs_and_nothing_is_written_if_any_setting_is_wrong(tmp_path: Path, counted: list[int]) -> None:
    wrong = SMALL | {"grid": {"mask": ["none", {"leak": -1}]}}
    with pytest.raises(ConfigError, match=r"experiment: mask.leak: must be"):
        run(wrong, out=tmp_path / "out")
    assert counted == []
    assert files(tmp_path) == []


def test_progress_adds_up_to_all_runs() -> None:
    told: list[float] = []
    run(SMALL, executor="stack", on_progress=told.append)
    assert sum(told) == pytest.approx(4)
