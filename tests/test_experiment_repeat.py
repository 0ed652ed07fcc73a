from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import maskcl
from maskcl.data import from_arrays
from maskcl.errors import ConfigError, DataError, MaskclError, MissingDataError
from maskcl.experiment import restore
from maskcl.experiment.comparing import ROUNDING, compare, explanations
from maskcl.results import read_result, write_result

SMALL: dict[str, Any] = {
    "name": "small",
    "scenario": {"num_tasks": 5, "subset": 0.3},
    "memory": {"size": 20},
    "network": {"hidden": [16]},
    "training": {"batch_size": 16},
    "method": "er",
}


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("seed-*.json"))


def edited(path: Path, **changes: Any) -> Path:
    """A copy of a result with other values by key."""
    result = json.loads(path.read_text())
    result.pop("checksum", None)
    other = path.with_name("edited.json")
    other.write_text(json.dumps(result | changes))
    return other


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A population of four: two leaks, two seeds, class orders of their own."""
    out = tmp_path_factory.mktemp("made")
    raw = SMALL | {"grid": {"mask": [{"leak": 0.1}, {"leak": 0.3}]}, "randomness": {"class_order": "seed"}}
    maskcl.run(raw, seeds=2, out=out, threads=1)
    return out


def test_each_member_of_a_population_is_identical_alone(made: Path) -> None:
    assert {read_result(path)["executor"]["group_size"] for path in files(made)} == {4}
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    for path in files(made):
        found = maskcl.repeat(path)
        assert (found.word, found.differences, found.largest) == ("identical", (), 0.0)
        assert found.here["executor"]["name"] == "stack"
        assert found.here["executor"]["group_size"] == 1
        assert found.compared > 150
        assert found.explanations == [("executor group_size", "4", "1")]
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


def test_another_executor_is_equal_to_rounding_and_named_as_what_explains_it(made: Path) -> None:
    found = maskcl.repeat(files(made)[0], executor="loop")
    assert not found.identical
    assert found.word == "equal to rounding"
    assert 0 < found.largest < ROUNDING
    assert ("executor name", "stack", "loop") in found.explanations
    assert str(found).startswith(
        f"equal to rounding: er leak=0.1, seed 0; {sum(d.count for d in found.differences)} of "
    )


def test_the_executor_of_the_file_runs_it_again(tmp_path: Path) -> None:
    maskcl.run(SMALL, seeds=1, out=tmp_path, executor="loop")
    found = maskcl.repeat(files(tmp_path)[0])
    assert found.identical
    assert found.here["executor"]["name"] == "loop"


def test_threads_of_a_convolutional_run_are_those_of_the_file(tmp_path: Path) -> None:
    raw = SMALL | {"network": {"name": "convnet", "hidden": [4]}}
    maskcl.run(raw, seeds=1, out=tmp_path, threads=2)
    run = restore(files(tmp_path)[0])
    assert (run.executor, run.threads) == ("loop", 2)
    found = run.repeat()
    assert found.identical
    assert found.here["executor"]["threads"] == 2
    assert maskcl.repeat(files(tmp_path)[0], threads=1).here["executor"]["threads"] == 1


def test_diverged_runs_are_repeated_in_the_same_task_for_the_same_reason(tmp_path: Path) -> None:
    wild = SMALL | {"grid": {"optimizer.lr": [0.1, 1e30]}}
    maskcl.run(wild, seeds=1, out=tmp_path)
    (path,) = (path for path in files(tmp_path) if read_result(path)["status"] == "diverged")
    found = maskcl.repeat(path)
    assert found.identical
    assert found.here["diverged"] == read_result(path)["diverged"] is not None


def test_a_result_that_was_changed_differs_and_where_is_told(made: Path) -> None:
    path = files(made)[0]
    result = read_result(path)
    matrix = result["class_incremental"].tolist()
    matrix[4][1] += 0.25
    found = maskcl.repeat(edited(path, class_incremental=matrix, status="diverged"))
    assert found.word == "differs"
    assert [(one.where, one.count, one.size) for one in found.differences] == [
        ("status", 1, 1),
        ("class_incremental[4, 1]", 1, 25),
    ]
    assert found.differences[1].largest == pytest.approx(0.25)
    assert "some are not comparable" in str(found)


def test_samples_evaluations_within_tasks_and_streams_are_repeated(tmp_path: Path) -> None:
    raw = SMALL | {
        "cfgm": {"step": 1.0},
        "scenario": SMALL["scenario"] | {"blurry": 0.1, "imbalance": 0.5},
        "training": SMALL["training"] | {"evaluate_every": 3, "schedule": "cosine"},
    }
    maskcl.run(raw, seeds=1, out=tmp_path)
    found = maskcl.repeat(files(tmp_path)[0])
    assert found.identical
    assert found.file["samples"]
    assert found.file["anytime"] is not None


# --- runs that cannot be made from their file


def own_data(shift: float = 0.0) -> Any:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 4
    inputs = (rng.normal(size=(120, 6)) + labels[:, None] + shift).astype(np.float32)
    return from_arrays(inputs, labels, inputs, labels, name="own")


def narrow(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, num_classes))


def test_data_of_ones_own_are_asked_for_and_checked_by_their_content(tmp_path: Path) -> None:
    raw = {"method": "er", "scenario": {"num_tasks": 2}, "training": {"batch_size": 10}}
    maskcl.run(raw, dataset=own_data(), seeds=1, out=tmp_path)
    (path,) = files(tmp_path)
    with pytest.raises(ConfigError, match=r"scenario.dataset: must be one that is known by name .*, got 'own'"):
        maskcl.repeat(path)
    assert maskcl.repeat(path, dataset=own_data()).identical
    with pytest.raises(DataError, match=r"scenario.dataset: must be the data that the result is of"):
        maskcl.repeat(path, dataset=own_data(0.5))


def test_a_scenario_of_ones_own_is_asked_for(tmp_path: Path) -> None:
    scenario = maskcl.class_incremental(own_data(), tasks=[[3], [0, 1]])
    maskcl.run({"method": "er", "training": {"batch_size": 10}}, scenario=scenario, seeds=1, out=tmp_path)
    (path,) = files(tmp_path)
    with pytest.raises(ConfigError, match=r"scenario: must be told by settings, and was given in Python"):
        maskcl.repeat(path)
    assert maskcl.repeat(path, scenario=scenario).identical


def test_a_network_of_ones_own_is_asked_for(tmp_path: Path) -> None:
    raw = {name: part for name, part in SMALL.items() if name != "network"}
    maskcl.run(raw, network=narrow, seeds=1, out=tmp_path)
    (path,) = files(tmp_path)
    with pytest.raises(ConfigError, match=r"network: must be one that is known by name, and was given in Python"):
        maskcl.repeat(path)
    assert maskcl.repeat(path, network=narrow).identical
    with pytest.raises(ConfigError, match=r"network\.\w+: must be as the result has it"):
        maskcl.repeat(path, network="mlp")


def test_missing_data_are_asked_for_as_ever(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKCL_DATA", str(tmp_path))
    config = copy.deepcopy(read_result(files(made)[0])["config"])
    config["scenario"]["dataset"] = "mnist"
    path = edited(files(made)[0], config=config, config_hash=maskcl_hash(config))
    with pytest.raises(MissingDataError, match="maskcl data download mnist"):
        maskcl.repeat(path, data_root=tmp_path)


def maskcl_hash(config: dict[str, Any]) -> str:
    from maskcl.results import config_hash

    return config_hash(config)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 7}, "schema"),
        ({"config_hash": "00000000"}, r"config_hash: must be that of its config, \w+, got '00000000'"),
        ({"seed": 5}, r"seeds.class_order: must be as the result has it, 0, got 5"),
        ({"config": {"method": {"name": "mine"}}}, r"method.name: must be one of .*, got 'mine'"),
        ({"config": {"method": {"name": "er", "gamma": 1.0}}}, r"'gamma' is not a key of 'er', got 1.0"),
        ({"config": {"network": {"name": "timm/no_such"}}}, r"no_such"),
        ({"config": {"optimizer": {"lr": "fast"}}}, r"optimizer.lr"),
        (
            {"executor": {"device": "NVIDIA H100"}},
            r"executor.device: must be one that is here \(cpu\), got 'NVIDIA H100'",
        ),
        ({"executor": {"threads": "two"}}, r"executor.threads: must be a whole number, 1 or more, got 'two'"),
        ({"executor": {"threads": [1]}}, r"executor.threads: must be a whole number, 1 or more"),
        ({"executor": {"threads": 0}}, r"executor.threads: must be a whole number, 1 or more"),
        ({"label": 3}, "label"),
    ],
)
def test_what_cannot_be_repeated_is_one_sentence_that_names_the_file(change: Any, words: str, made: Path) -> None:
    path = files(made)[0]
    result = json.loads(path.read_text())
    if isinstance(change.get("config"), dict):
        config = result["config"] | change["config"]
        change = {"config": config, "config_hash": maskcl_hash(config)}
    elif "executor" in change:
        change = {"executor": result["executor"] | change["executor"]}
    with pytest.raises(MaskclError, match=words) as caught:
        maskcl.repeat(edited(path, **change))
    assert "edited.json" in str(caught.value)
    assert len(str(caught.value).partition("\nhint: ")[0].splitlines()) == 1


@pytest.mark.parametrize("executor", [None, {}])
def test_a_result_that_tells_of_no_executor_is_repeated(executor: Any, made: Path) -> None:
    assert maskcl.repeat(edited(files(made)[0], executor=executor)).word == "identical"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"executor": "fast"}, "executor: must be one of auto, stack, loop, got 'fast'"),
        ({"device": "gpu"}, "device: must be one of"),
        ({"threads": 0}, "threads: must be 1 or more"),
        ({"data_root": 3}, "data root: must be a folder"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(arguments: Any, words: str, made: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        maskcl.repeat(files(made)[0], **arguments)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="result: must be a file, by its path, got 3"):
        maskcl.repeat(3)  # type: ignore[arg-type]
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(DataError, match="must be a"):
            maskcl.repeat(path)


# --- comparing


def test_old_results_are_compared_in_what_they_tell(made: Path) -> None:
    path = files(made)[0]
    result = json.loads(path.read_text())
    for name in ("tasks", "confusion", "origin", "checksum"):
        result.pop(name, None)
    result["metrics"] = {"final_accuracy": result["metrics"]["final_accuracy"]}
    write_result(path.with_name("old.json"), result)
    assert maskcl.repeat(path.with_name("old.json")).identical


@pytest.mark.parametrize(
    ("mine", "other", "count", "rounds"),
    [
        ({"metrics": {"a": 0.5}}, {"metrics": {"a": 0.5 + ROUNDING / 2}}, 1, True),
        ({"metrics": {"a": 0.5}}, {"metrics": {"a": 0.5 + ROUNDING * 2}}, 1, False),
        ({"metrics": {"a": 500.0}}, {"metrics": {"a": 500.0 + 200 * ROUNDING}}, 1, True),
        ({"metrics": {"a": np.nan}}, {"metrics": {"a": np.nan}}, 0, True),
        ({"metrics": {"a": np.nan}}, {"metrics": {"a": 0.5}}, 1, False),
        ({"metrics": {"a": 0.5}}, {"metrics": {}}, 1, False),
        ({"metrics": {}}, {"metrics": {"new": 0.5}}, 0, True),
        ({"samples": None}, {"samples": [{"task": 1}]}, 1, False),
        ({"samples": [{"task": 1, "moved": [0.5, None]}]}, {"samples": [{"task": 1, "moved": [0.5, np.nan]}]}, 0, True),
        ({"samples": [{"task": 1}]}, {"samples": [{"task": 1}, {"task": 2}]}, 0, True),
        ({"samples": [{"task": 1}, {"task": 2}]}, {"samples": [{"task": 1}]}, 1, False),
        ({"confidence": np.ones((2, 2))}, {"confidence": np.ones((3, 3))}, 1, False),
        ({"tasks": [[0, 1], [2]]}, {"tasks": [[1, 0], [2]]}, 2, False),
        ({"diverged": None}, {"diverged": {"task": 1, "reason": "r"}}, 1, False),
        ({"seconds": 1.0, "label": "a"}, {"seconds": 2.0, "label": "b"}, 0, True),
        ({"samples": [{"pictures": {"x": "AAEC"}}]}, {"samples": [{"pictures": {"x": "AAED"}}]}, 1, True),
        ({"samples": [{"pictures": {"x": "AAEC"}}]}, {"samples": [{"pictures": {"x": "AAEF"}}]}, 1, False),
    ],
)
def test_differences_are_counted_and_rounding_is_told_from_others(
    mine: Any, other: Any, count: int, rounds: bool
) -> None:
    found, _ = compare(mine, other)
    assert sum(one.count for one in found) == count
    assert all(one.rounds for one in found) == rounds


def test_the_place_of_the_largest_difference_is_told() -> None:
    mine = np.zeros((3, 3))
    other = mine.copy()
    other[2, 0], other[1, 1] = 0.5, np.nan
    (found,), compared = compare({"confidence": mine}, {"confidence": other})
    assert (found.where, found.largest, found.count, compared) == ("confidence[1, 1]", np.inf, 2, 9)
    other[1, 1] = -0.25
    (found,), _ = compare({"confidence": mine}, {"confidence": other})
    assert (found.where, found.file, found.here, found.largest) == ("confidence[2, 0]", 0.0, 0.5, 0.5)


def test_versions_machine_and_executor_may_explain_it() -> None:
    mine = {"environment": {"torch": "2.4", "cpus": 2}, "executor": {"name": "loop", "threads": 1, "reason": "x"}}
    other = {"environment": {"torch": "2.5", "cpus": 2, "cuda": "12"}, "executor": {"name": "loop", "threads": 8}}
    assert explanations(mine, other) == [
        ("torch", "2.4", "2.5"),
        ("cuda", "not told", "12"),
        ("executor threads", "1", "8"),
    ]
