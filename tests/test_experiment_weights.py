"""`training.save_weights`: a file beside each result, from which the network predicts as it did in the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import maskcl
from maskcl import data
from maskcl.data import Dataset, from_arrays
from maskcl.errors import ConfigError, MaskclError, MaskclWarning
from maskcl.experiment import plan, run
from maskcl.weights import NetworkInfo, network_info

SMALL: dict[str, Any] = {
    "name": "small",
    "seeds": 2,
    "scenario": {"tasks": [[3, 1], [2, 0]]},
    "memory": {"size": 20},
    "network": {"hidden": [16]},
    "training": {"batch_size": 32, "save_weights": True},
    "method": "er",
}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def pixels() -> Dataset:
    """The digits as 8-bit images."""
    digits = data.load("digits")
    train, test = (np.round(x * 255).astype(np.uint8) for x in (digits.train_inputs, digits.test_inputs))
    return from_arrays(train, digits.train_labels, test, digits.test_labels, name="pixels")


def accuracies(module: nn.Module, inputs: np.ndarray, labels: np.ndarray, tasks: Any) -> list[float]:
    """Share of rows of each task whose largest logit of any class met so far is theirs."""
    with torch.no_grad():
        logits = module(torch.from_numpy(inputs)).numpy()
    met = np.array([c for classes in tasks for c in classes])
    guesses = met[logits[:, met].argmax(1)]
    return [float((guesses == labels)[np.isin(labels, classes)].mean()) for classes in tasks]


@pytest.mark.parametrize("executor", ["loop", "stack"])
@pytest.mark.parametrize("name", ["mlp", "convnet"])
def test_a_loaded_network_predicts_as_in_the_run(tmp_path: Path, name: str, executor: str) -> None:
    results = run(SMALL | {"network": {"name": name, "hidden": [8]}}, out=tmp_path, executor=executor)
    assert names(tmp_path) == ["seed-0.json", "seed-0.safetensors", "seed-1.json", "seed-1.safetensors"]
    digits = data.load("digits")
    for result in results.runs:
        (path,) = tmp_path.rglob(f"seed-{result['seed']}.safetensors")
        module = maskcl.load_network(path)
        assert not module.training
        info = module.maskcl_info
        assert (info.tasks, info.num_classes, info.input_shape) == (((3, 1), (2, 0)), 10, (1, 8, 8))
        assert (info.input_range, info.input_scaling) == ((0.0, 1.0), None)
        assert info.about["final_accuracy"] == result["metrics"]["final_accuracy"]
        found = accuracies(module, digits.test_inputs, digits.test_labels, info.tasks)
        np.testing.assert_allclose(found, result["class_incremental"][-1], rtol=0, atol=1e-12)


def test_the_header_says_how_raw_inputs_become_the_networks(tmp_path: Path) -> None:
    training = SMALL["training"] | {"augment": {"crop": 1, "normalise": [[0.3], [0.25]]}}
    dataset = pixels()
    results = run(SMALL | {"seeds": 1, "training": training}, out=tmp_path, dataset=dataset)
    (path,) = tmp_path.rglob("*.safetensors")
    module = maskcl.load_network(path)
    info = module.maskcl_info
    assert info.input_scaling == {"values": "value / 255", "normalise": [[0.3], [0.25]]}
    assert info.input_range == (0.0, 1.0)
    (mean,), (std,) = info.input_scaling["normalise"]
    inputs = ((dataset.test_inputs.astype(np.float32) / 255 - mean) / std).astype(np.float32)
    found = accuracies(module, inputs, dataset.test_labels, info.tasks)
    np.testing.assert_allclose(found, results.runs[0]["class_incremental"][-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("normalise", [[[0.5], [0.25]], None])
def test_rows_of_the_data_set_prepared_as_documented_give_the_results_accuracy(
    tmp_path: Path, normalise: Any, raw: bool, dtype: str
) -> None:
    augment = {"crop": 1} if normalise is None else {"crop": 1, "normalise": normalise}
    training = SMALL["training"] | {"augment": augment, "dtype": dtype, "epochs": 10}
    dataset = pixels() if raw else data.load("digits")
    joint = {name: part for name, part in SMALL.items() if name != "memory"} | {
        "method": "joint",
        "seeds": 1,
        "optimizer": {"lr": 0.1},
    }
    result = run(joint | {"training": training}, out=tmp_path, dataset=dataset).runs[0]
    (path,) = tmp_path.rglob("*.safetensors")
    module = maskcl.load_network(path)
    expected = result["class_incremental"][-1]
    for rows in (dataset.test_inputs, torch.from_numpy(dataset.test_inputs)):
        inputs = module.maskcl_info.prepare(rows, dtype=getattr(torch, dtype)).numpy()
        found = accuracies(module, inputs, dataset.test_labels, module.maskcl_info.tasks)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    if raw:  # rows that were scaled already are not scaled twice
        scaled = module.maskcl_info.prepare(dataset.test_inputs / 255, dtype=getattr(torch, dtype)).numpy()
        assert np.abs(scaled - inputs).max() < 1e-5
    if normalise is not None:  # without it the network guesses
        values = dataset.test_inputs.astype(dtype)
        found = accuracies(module, values, dataset.test_labels, module.maskcl_info.tasks)
        assert np.mean(found) < np.mean(expected) - 0.2


@pytest.mark.parametrize(
    ("scaling", "rows", "text"),
    [
        (
            None,
            np.zeros((2, 1, 8, 8), np.uint8),
            "rows: must be floating, as what it was trained on, got .torch.uint8",
        ),
        ({"values": "value / 255"}, np.zeros((2, 1, 8, 8), int), "rows: must be uint8 or floating, got 'torch.int64'"),
        (None, np.zeros((1, 8, 8), np.float32), r"rows: must have shape \[N, \*\(1, 8, 8\)\], got \(8, 8\)"),
        (None, "x", "rows: must be a tensor, an array, or lists of numbers, got 'str'"),
        (None, [[1.0], [1.0, 2.0]], "rows: must be a tensor, an array, or lists of numbers, got 'list'"),
        (None, {"a": 1}, "rows: must be a tensor, an array, or lists of numbers, got 'dict'"),
        ("halved", np.zeros((2, 1, 8, 8), np.float32), "must be done by hand, as the file says .* got 'halved'"),
        ({"values": "value / 2"}, np.zeros((2, 1, 8, 8), np.float32), "must be done by hand"),
    ],
)
def test_rows_that_cannot_be_prepared_are_refused(scaling: Any, rows: Any, text: str) -> None:
    info = NetworkInfo(network={"name": "mlp"}, input_shape=(1, 8, 8), num_classes=10, input_scaling=scaling)
    with pytest.raises(MaskclError, match="^prepare.*" + text) as error:
        info.prepare(rows)
    assert "\n" not in str(error.value)


def test_a_network_of_ones_own_is_loaded_with_its_factory(tmp_path: Path) -> None:
    def own(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2))
        return nn.Sequential(layers, nn.Linear(12, num_classes))

    without = {name: part for name, part in SMALL.items() if name != "network"}
    results = run(without | {"seeds": 1}, out=tmp_path, network=own)
    (path,) = tmp_path.rglob("*.safetensors")
    module = maskcl.load_network(path, network=own)
    digits = data.load("digits")
    found = accuracies(module, digits.test_inputs, digits.test_labels, module.maskcl_info.tasks)
    np.testing.assert_allclose(found, results.runs[0]["class_incremental"][-1], rtol=0, atol=1e-12)


def test_a_run_without_its_weights_is_not_finished(tmp_path: Path, counted: list[int]) -> None:
    without = SMALL | {"training": {"batch_size": 32}}
    first = run(without, out=tmp_path, executor="stack")
    assert names(tmp_path) == ["seed-0.json", "seed-1.json"]
    again = run(SMALL, out=tmp_path, executor="stack")
    assert counted == [2, 2]
    assert [r["config_hash"] for r in again.runs] == [r["config_hash"] for r in first.runs]
    assert [r["metrics"] for r in again.runs] == [r["metrics"] for r in first.runs]
    run(SMALL, out=tmp_path, executor="stack")
    run(without, out=tmp_path, executor="stack")
    assert counted == [2, 2]
    next(tmp_path.rglob("seed-1.safetensors")).unlink()
    run(without, out=tmp_path, executor="stack")
    run(SMALL, out=tmp_path, executor="stack")
    assert counted == [2, 2, 1]


@pytest.mark.parametrize("damage", ["cut", "garbage", "another run's"])
def test_broken_weights_are_made_again(tmp_path: Path, counted: list[int], damage: str) -> None:
    run(SMALL, out=tmp_path, executor="stack")
    (path,), (other,) = (list(tmp_path.rglob(f"seed-{seed}.safetensors")) for seed in (0, 1))
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:-1], "garbage": b"x" * 50, "another run's": other.read_bytes()}[damage])
    if damage == "another run's":  # whole, and of no use here
        run(SMALL, out=tmp_path, executor="stack")
    else:
        with pytest.warns(MaskclWarning, match=r"seed-0\.safetensors: must be a whole .* this run is made again"):
            run(SMALL, out=tmp_path, executor="stack")
    assert counted == [2, 1]
    assert network_info(path).about["seed"] == 0


def test_no_result_lacks_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("maskcl.experiment.in_process.write_result", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(SMALL, out=tmp_path, executor="loop", threads=1)  # two workers may write two
    assert names(tmp_path) == ["seed-0.safetensors"]
    run(SMALL, out=tmp_path, executor="loop")
    assert len(names(tmp_path)) == 4


def test_runs_that_diverged_have_no_weights(tmp_path: Path, counted: list[int]) -> None:
    wild = SMALL | {"optimizer": {"lr": 1e30}, "seeds": 1}
    assert run(wild, out=tmp_path).runs[0]["status"] == "diverged"
    assert names(tmp_path) == ["seed-0.json"]
    run(wild, out=tmp_path)
    assert counted == [1]


def test_weights_need_a_place(tmp_path: Path) -> None:
    for use in (run, plan):
        with pytest.raises(
            ConfigError, match=r"training.save_weights: must be false where nothing is written, got True"
        ):
            use(SMALL)


def test_results_say_nothing_of_weights(tmp_path: Path) -> None:
    run(SMALL | {"seeds": 1}, out=tmp_path)
    (path,) = tmp_path.rglob("*.json")
    assert "save_weights" not in json.loads(path.read_text())["config"]["training"]
