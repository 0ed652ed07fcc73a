"""A learner in a file: it goes on to the last bit, and what is no such file is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from maskcl import Learner
from maskcl.errors import ConfigError, DataError, MissingDataError

MLP = {"name": "mlp", "hidden": [8]}
KEY = "maskcl.learner"


def rows(*classes: int, count: int = 20) -> tuple[Any, Any]:
    labels = np.repeat(classes, count)
    return np.random.default_rng(sum(classes)).random((len(labels), 6), np.float32) + np.eye(9, 6)[labels], labels


SETTINGS: dict[str, dict[str, Any]] = {
    "er": {"mask": {"leak": 0.1}, "memory": 12},
    "derpp": {"method": {"name": "derpp", "alpha": 0.3}, "memory": {"size": 12, "policy": "class_balanced"}},
    "icarl": {"method": "icarl", "memory": 12},
    "ewc": {"method": "ewc", "memory": 0, "optimizer": {"name": "adam", "lr": 0.01}},
    "si": {"method": "si", "memory": 0, "lr": 0.05},
    "zero memory": {"method": "finetune", "memory": 0, "mask": {"leak": 0.1}, "cfgm": {"step": 0.1}},
    "recent": {"mask": {"value": -np.inf, "policy": "recent", "recent_rows": 7}, "memory": 12},
    "dropout": {"network": {"name": "dropped"}, "memory": 12},
}


def dropped(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(*shape, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, num_classes))


def made(name: str) -> Learner:
    settings = {"network": MLP, "batch_size": 4, "seed": 2} | SETTINGS[name]
    if name == "dropout":
        settings["network"] = dropped
    return Learner(**settings)


def loaded(path: Path, name: str) -> Learner:
    return Learner.load(path, network=dropped if name == "dropout" else None)


@pytest.mark.parametrize("name", SETTINGS)
def test_it_goes_on_to_the_last_bit(name: str, tmp_path: Path) -> None:
    first = made(name).fit(*rows(0, 1), epochs=2).fit(*rows(2, 3))
    first.save(tmp_path / "a.learner")
    second = loaded(tmp_path / "a.learner", name)
    assert second.get_params().keys() == first.get_params().keys()
    assert second.classes_.tolist() == first.classes_.tolist()
    inputs, _ = rows(0, 1, 2, 3, 4)
    assert (second.predict_proba(inputs) == first.predict_proba(inputs)).all()
    for learner in (first, second):
        learner.fit(*rows(1, 4), epochs=2)
    assert (second.predict_proba(inputs) == first.predict_proba(inputs)).all()
    weights = first.network_.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in second.network_.state_dict().items())


def test_a_stream_goes_on_to_the_last_bit(tmp_path: Path) -> None:
    first = made("recent").partial_fit(*rows(0, 1, 2))
    first.save(tmp_path / "a.learner")
    second = loaded(tmp_path / "a.learner", "recent")
    inputs, labels = rows(2, 3, 0)
    for learner in (first, second):
        learner.partial_fit(inputs, labels)
    assert (second.predict_proba(inputs) == first.predict_proba(inputs)).all()


@pytest.mark.parametrize(
    "labels", [["a", "b"], [True, False], [(1, "x"), None], [0.5, 1.5], [3, "3"], [-1, 2**70]], ids=str
)
def test_labels_come_back_as_they_were(labels: list[Any], tmp_path: Path) -> None:
    inputs, numbers = rows(0, 1)
    learner = Learner(MLP, memory=4).fit(inputs, [labels[n] for n in numbers])
    learner.save(tmp_path / "a.learner")
    names = Learner.load(tmp_path / "a.learner")._names.names
    assert names == learner._names.names
    assert list(map(type, names)) == list(map(type, learner._names.names))


def test_a_label_that_json_has_not_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    inputs, numbers = rows(0, 1)
    learner = Learner(MLP, memory=4).fit(inputs, [[b"a", b"b"][n] for n in numbers])
    with pytest.raises(ConfigError, match="must have labels that are strings, numbers"):
        learner.save(tmp_path / "a.learner")
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_ones_own_has_to_be_given_again(tmp_path: Path) -> None:
    path = tmp_path / "a.learner"
    module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    first = Learner(module, memory=4).fit(*rows(0, 1))
    first.save(path)
    with pytest.raises(ConfigError, match="must be given, for the file holds a network of one's own"):
        Learner.load(path)
    second = Learner.load(path, network=module)
    inputs, _ = rows(0, 1)
    assert (second.predict_proba(inputs) == first.predict_proba(inputs)).all()
    with pytest.raises((ConfigError, DataError), match=r"a\.learner"):
        Learner.load(path, network=nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)))
    with pytest.raises(ConfigError, match=r"must be the network of the file"):
        Learner.load(path, network=nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)))
    named = Learner(MLP, memory=4).fit(*rows(0, 1))
    named.save(path)
    with pytest.raises(ConfigError, match="must be left out, for the file names its network"):
        Learner.load(path, network=module)


def altered(path: Path, **changes: Any) -> None:
    """The same file with another header; None takes a key out."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    without = changes.pop("without", ())
    tensors = {name: value for name, value in tensors.items() if name not in without}
    header = {name: value for name, value in (header | changes).items() if value is not None}
    save_file(tensors, path, {KEY: json.dumps(header)})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 99}, "must have format 1, got 99"),
        ({"format": None}, "must hold the header of a learner"),
        ({"params": 3}, "must hold the header of a learner"),
        ({"num_classes": 7}, "must hold a whole learner"),
        ({"tasks": 3}, "must hold a whole learner"),
        ({"input_range": None}, "must hold a whole learner"),
        ({"without": ("rows",)}, "must hold a whole learner"),
        ({"without": ("state.weights.params.1.weight",)}, "must hold a whole learner"),
        ({"names": [["a"], "b"]}, "must hold the header of a learner"),
    ],
    ids=str,
)
def test_a_damaged_file_is_refused_in_a_sentence(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.learner"
    Learner(MLP, memory=4).fit(*rows(0, 1)).save(path)
    altered(path, **change)
    with pytest.raises(DataError) as caught:
        Learner.load(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_no_file_of_a_learner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="is not there"):
        Learner.load(tmp_path / "none")
    with pytest.raises(MissingDataError):
        Learner.load(tmp_path)
    path = tmp_path / "a.learner"
    Learner(MLP, memory=4).fit(*rows(0, 1)).save(path)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="must be a whole safetensors file"):
            Learner.load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(DataError, match="must hold a learner"):
        Learner.load(path)


def test_saving_before_the_first_fit_and_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must come after the first fit"):
        Learner(MLP).save(tmp_path / "a.learner")
    learner = Learner(MLP, memory=4).fit(*rows(0, 1))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="must be a file that can be written"):
        learner.save(tmp_path / "file" / "a.learner")
