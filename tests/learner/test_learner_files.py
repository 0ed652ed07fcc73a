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
from maskcl.learner.header import FORMAT, digest_of

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
    "auto": {"mask": {"leak": "auto"}, "memory": 12},
    "auto, recent": {"mask": {"leak": "auto", "policy": "recent", "recent_rows": 30}, "memory": 12},
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


@pytest.mark.parametrize("name", ["recent", "auto, recent"])
def test_a_stream_goes_on_to_the_last_bit(name: str, tmp_path: Path) -> None:
    first = made(name).partial_fit(*rows(0, 1, 2))
    first.save(tmp_path / "a.learner")
    second = loaded(tmp_path / "a.learner", name)
    inputs, labels = rows(2, 3, 0)
    for learner in (first, second):
        learner.partial_fit(inputs, labels)
    assert (second.predict_proba(inputs) == first.predict_proba(inputs)).all()


@pytest.mark.parametrize("change", [lambda t: t.double(), lambda t: t + 9, lambda t: t[None]])
def test_last_rows_that_are_no_classes_are_refused(change: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.learner"
    made("auto, recent").partial_fit(*rows(0, 1, 2)).save(path)
    altered(path, tensors={"recent": change})
    with pytest.raises(DataError, match=r"must hold a whole learner \(ValueError: recent is "):
        Learner.load(path)


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


GONE = object()
"""In place of a value: the key is taken out."""


def altered(path: Path, **changes: Any) -> None:
    """The same file with another header and its digest; `tensors` has functions of tensors, `without` names of some."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    without, changed = changes.pop("without", ()), changes.pop("tensors", {})
    tensors = {name: value for name, value in tensors.items() if name not in without}
    params = header["params"] | changes.pop("params", {})
    header = header | {"params": {name: value for name, value in params.items() if value is not GONE}} | changes
    header = {name: value for name, value in header.items() if value is not GONE}
    tensors |= {name: value(tensors[name]) for name, value in changed.items()}
    header.pop("digest", None)
    save_file(tensors, path, {KEY: json.dumps(header | {"digest": digest_of(header, tensors)})})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": GONE}, "must hold the header of a learner (KeyError)"),
        ({"maskcl": GONE}, "and 'maskcl' in it is wrong (Field required)"),
        ({"torch": 3}, "and 'torch' in it is wrong"),
        ({"extra": 3}, "and 'extra' in it is wrong"),
        ({"fingerprint": GONE}, "and 'fingerprint' in it is wrong"),
        ({"num_classes": "x"}, "and 'num_classes' in it is wrong"),
        ({"num_classes": 7}, "with a name for each of 7 outputs"),
        ({"tasks": 3}, "and 'tasks' in it is wrong"),
        ({"tasks": []}, "and 'tasks' in it is wrong"),
        ({"tasks": [[0, 1], [2]]}, "each in one task at most, got [[0, 1], [2]]"),
        ({"tasks": [[0, 1], [1]]}, "each in one task at most, got [[0, 1], [1]]"),
        ({"input_range": None}, "and 'input_range' in it is wrong"),
        ({"input_range": [0, float("inf")]}, "and 'input_range.1' in it is wrong"),
        ({"streaming": 1}, "and 'streaming' in it is wrong"),
        ({"position": 1e99}, "and 'position' in it is wrong"),
        ({"steps": "x"}, "and 'steps' in it is wrong"),
        ({"updates": -1}, "and 'updates' in it is wrong"),
        ({"num_seen": 10**30}, "and 'num_seen' in it is wrong"),
        ({"params": {"extra": 1}}, "must hold the arguments of a learner, and 'extra' is unknown"),
        ({"params": {"lr": GONE}}, "must hold the arguments of a learner, and 'lr' is missing"),
        ({"params": {"lr": -1.0}}, "Learner: optimizer.lr: must be a number above 0, got -1.0"),
        ({"params": {"classes": "ab"}}, "must hold the header of a learner (TypeError)"),
        ({"params": {"input_range": 3}}, "must hold the header of a learner (TypeError)"),
        ({"names": [["a"], "b"]}, "must hold the header of a learner (TypeError)"),
        ({"names": ["a"]}, "with a name for each of 2 outputs"),
        ({"names": ["a", "b", "c"]}, "with a name for each of 2 outputs"),
        ({"names": ["a", "a"]}, "must name each class once, got ['a', 'a']"),
        ({"without": ("rows",)}, "must hold a whole learner (KeyError"),
        ({"without": ("state.weights.params.1.weight",)}, "must hold a whole learner (KeyError"),
        ({"tensors": {"rows": lambda t: t + 1}}, "the memory's rows, labels and counts do not fit together"),
        ({"tensors": {"labels": lambda t: t + 5}}, "the memory's rows, labels and counts do not fit together"),
        ({"tensors": {"labels": lambda t: t.double()}}, "the memory's rows, labels and counts do not fit together"),
        ({"tensors": {"class_counts": lambda t: t[:1]}}, "the memory's rows, labels and counts do not fit together"),
        ({"tensors": {"last_seen": lambda t: t.double()}}, "last_seen is float64 [2]"),
        ({"tensors": {"slots": lambda t: t[:2]}}, "slots are float32 [2, 6]"),
        ({"tensors": {"state.weights.params.1.weight": lambda t: t * torch.nan}}, "has values that are not finite"),
    ],
    ids=range(36),
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


def test_a_file_of_another_format_is_told_by_who_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "a.learner"
    Learner(MLP, memory=4).fit(*rows(0, 1)).save(path)
    altered(path, format=1)
    with pytest.raises(DataError, match=f"must have format {FORMAT}, got 1.\nhint: it was written by maskcl "):
        Learner.load(path)


def test_any_byte_that_has_changed_is_noticed(tmp_path: Path) -> None:
    path, rng = tmp_path / "a.learner", np.random.default_rng(0)
    Learner(MLP, memory=4).fit(*rows(0, 1)).save(path)
    whole = path.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    places = [*rng.integers(end, len(whole), 10), *(whole.index(b'"steps') + 9 + np.arange(2)), len(whole) - 1]
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 + int(rng.integers(0, 7))
        path.write_bytes(changed)
        with pytest.raises(DataError) as caught:
            Learner.load(path)
        assert len(str(caught.value).splitlines()) == 1
    path.write_bytes(whole)
    assert Learner.load(path).classes_.tolist() == [0, 1]


@pytest.mark.parametrize("path", ["", "a\0b", None, 3, b"a", "\ud800"], ids=repr)
@pytest.mark.parametrize("call", ["save", "export_onnx", "load"])
def test_what_is_no_path_is_refused(call: str, path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    learner = Learner(MLP, memory=4).fit(*rows(0, 1))
    with pytest.raises(
        ConfigError, match=rf"Learner\.{call}: path: must be the path of a file, a string or a Path, got "
    ):
        getattr(learner, call)(path)
    assert not list(tmp_path.iterdir())


def test_home_is_where_it_is_for_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Learner(MLP, memory=4).fit(*rows(0, 1)).save("~/a.learner")
    assert (tmp_path / "a.learner").is_file()
    assert Learner.load("~/a.learner").classes_.tolist() == [0, 1]


def test_a_graph_is_never_written_over_a_learner(tmp_path: Path) -> None:
    path = tmp_path / "a.learner"
    learner = Learner(MLP, memory=4).fit(*rows(0, 1))
    learner.save(path)
    (tmp_path / "link").symlink_to(path)
    for target in (path, str(path), tmp_path / "link"):
        with pytest.raises(
            ConfigError, match="must be another file than one that holds a learner, which would be lost"
        ):
            learner.export_onnx(target)
    assert Learner.load(path).classes_.tolist() == [0, 1]


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
