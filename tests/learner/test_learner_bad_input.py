"""Bad input: one sentence each, and the learner is as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from maskcl import Learner
from maskcl.errors import ConfigError, DataError, MaskclError

MLP = {"name": "mlp", "hidden": [8]}
INPUTS = np.random.default_rng(0).random((40, 6), np.float32)
LABELS = np.arange(40) % 2


def fitted() -> Learner:
    return Learner(MLP, memory=8, batch_size=8).fit(INPUTS, LABELS)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "eer"}, "method.name: must be one of"),
        ({"method": "joint", "memory": 0}, "must not train on all tasks together, as 'joint' does"),
        ({"method": "bic"}, "must not hold rows out for later, as 'bic' does"),
        ({"method": {"name": "er", "alfa": 1}}, "'alfa'"),
        ({"method": "finetune", "memory": 5}, "has no memory"),
        ({"memory": 0}, "memory.size: must be 1 or more with method 'er'"),
        ({"memory": -1}, "memory.size"),
        ({"memory": "many"}, "memory.size"),
        ({"mask": {"leek": 0.1}}, "'leek'"),
        ({"mask": 0.1}, "mask"),
        ({"lr": -1.0}, "optimizer.lr: must be a number above 0"),
        ({"lr": 0.1, "optimizer": {"lr": 0.1}}, "must be left out where optimizer has an lr"),
        ({"batch_size": 0}, "training.batch_size"),
        ({"training": {"epochs": 3}}, "training.epochs: is not a key of a learner's training"),
        ({"training": {"schedule": {"name": "cosine", "span": "run"}}}, "must be 'task'"),
        ({"device": "banana"}, "device"),
        ({"network": "mpl"}, "Did you mean 'mlp'?"),
        ({"network": 3}, "must be an nn.Module"),
        ({"seed": -1}, "must be a whole number, 0 or more"),
        ({"cfgm": {"step": 0.1, "wait": 1}}, "cfgm"),
    ],
    ids=str,
)
def test_settings_are_refused_where_they_are_given(settings: dict[str, Any], words: str) -> None:
    given = {"network": MLP} | settings
    with pytest.raises(MaskclError) as caught:
        Learner(**given).fit(INPUTS, LABELS)
    assert words in str(caught.value)
    assert str(caught.value).startswith("Learner")
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("inputs", "labels", "words"),
    [
        (INPUTS[:, :5], LABELS, "X has 5 features, but Learner is expecting 6 features"),
        (INPUTS.reshape(40, 1, 2, 3), LABELS, "must have the shape of the first fit's rows, [6], got [1, 2, 3]"),
        (INPUTS[:0], [], "must have rows, and has 0"),
        (INPUTS[0], [0], "must have shape [rows, ...]"),
        (INPUTS * np.nan, LABELS, "row 0 has NaN or inf"),
        (INPUTS, LABELS[:5], "must be one for each of the 40 rows, got 5"),
        (INPUTS, "cats", "must be a sequence of labels, one a row"),
        (INPUTS, np.zeros((40, 2)), "must have one label a row"),
        (INPUTS, [np.nan] * 40, "must be hashable labels that equal themselves"),
        (INPUTS, [[1]] * 40, "must be hashable labels"),
        (INPUTS, np.random.default_rng(1).random(40), "Unknown label type: continuous"),
        (INPUTS, None, "must be given with an array"),
        ([["a"] * 6] * 40, LABELS, "must be numbers, and are strings or paths"),
        (object(), LABELS, "must be"),
        (3, None, "labels: must be given"),
    ],
    ids=range(15),
)
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_rows_are_refused_and_the_learner_is_as_it_was(call: str, inputs: Any, labels: Any, words: str) -> None:
    learner = Learner(MLP, memory=8, batch_size=8, mask={"leak": 0.1, "policy": "batch"}).fit(INPUTS, LABELS)
    before = learner.predict_proba(INPUTS)
    with pytest.raises(DataError) as caught:
        getattr(learner, call)(inputs, labels)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2
    assert (learner.predict_proba(INPUTS) == before).all()
    assert learner.classes_.tolist() == [0, 1]


def test_a_first_fit_that_fails_leaves_an_unfitted_learner() -> None:
    learner = Learner(MLP, memory=8, lr=1e30)
    with pytest.raises(DataError, match="must end with finite weights"):
        learner.fit(INPUTS * 1e6, LABELS, epochs=3)
    with pytest.raises(ValueError, match="must come after the first fit"):
        learner.predict(INPUTS)
    with pytest.raises(DataError, match="two classes to tell apart"):
        learner.fit(INPUTS, LABELS * 0)


def test_a_fit_that_fails_or_is_stopped_leaves_all_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = fitted()
    before, counts = learner.predict_proba(INPUTS), learner._core.state.memories[0]
    learner._core.config = learner._core.config.__class__(
        **vars(learner._core.config) | {"optimizer": type(learner._core.config.optimizer)(lr=1e30)}
    )
    with pytest.raises(DataError, match="finite"):
        learner.fit(INPUTS * 1e3, LABELS + 1)
    assert (learner.predict_proba(INPUTS) == before).all()
    assert learner._core.state.memories[0] is counts
    assert learner.classes_.tolist() == [0, 1]
    learner = fitted()

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maskcl.engine.population.Population._end_task", stop)
    with pytest.raises(KeyboardInterrupt):
        learner.fit(INPUTS, LABELS + 1)
    assert (learner.predict_proba(INPUTS) == before).all()
    monkeypatch.undo()
    again, other = fitted(), learner
    assert (
        again.fit(INPUTS, LABELS + 1).predict_proba(INPUTS) == other.fit(INPUTS, LABELS + 1).predict_proba(INPUTS)
    ).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mask": {"leak": 0.1}}, "mask.policy: must be 'batch' or 'recent' in a stream without tasks, got 'task'"),
        ({"method": "ewc", "memory": 0}, "must not need tasks that end, as 'ewc' does"),
        ({"method": "gdumb"}, "must not need tasks that end, as 'gdumb' does"),
        ({"memory": {"size": 9, "policy": "herding"}}, "must not choose its rows when tasks end, got 'herding'"),
    ],
    ids=str,
)
def test_what_needs_tasks_that_end_takes_no_stream(settings: dict[str, Any], words: str) -> None:
    learner = Learner(**({"network": MLP, "memory": 9} | settings))
    with pytest.raises(ConfigError) as caught:
        learner.partial_fit(INPUTS, LABELS)
    assert words in str(caught.value)


def test_classes_of_a_stream_are_announced_once() -> None:
    learner = Learner(MLP, memory=8).partial_fit(INPUTS[:1], LABELS[:1], classes=[0, 1, 2])
    assert learner.classes_.tolist() == [0, 1, 2]
    learner.partial_fit(INPUTS[1:2], LABELS[1:2], classes=[0, 1, 2])
    with pytest.raises(ConfigError, match="must be those of the first call, or left out"):
        learner.partial_fit(INPUTS, LABELS, classes=[0, 1])


@pytest.mark.parametrize("call", ["predict", "predict_proba", "decision_function", "score", "save"])
def test_nothing_is_asked_of_a_learner_before_its_first_fit(call: str) -> None:
    arguments = {"score": (INPUTS, LABELS), "save": ("x",)}.get(call, (INPUTS,))
    with pytest.raises(ValueError, match="must come after the first fit"):
        getattr(Learner(MLP), call)(*arguments)
    for name in ("classes_", "network_"):
        with pytest.raises(AttributeError, match="is there after the first fit"):
            getattr(Learner(MLP), name)


def test_networks_that_give_no_logits_are_refused() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 2)

        def forward(self, x: torch.Tensor) -> Any:
            return self.layer(x), x

    for network in (Pair(), nn.Sequential(nn.Linear(5, 2)), nn.Flatten(), nn.Sequential(nn.Linear(6, 2), nn.Sigmoid())):
        with pytest.raises(ConfigError) as caught:
            Learner(network, memory=8).fit(INPUTS, LABELS)
        assert len(str(caught.value).splitlines()) <= 2


def pictures(folder: Path, **classes: int) -> Path:
    rng = np.random.default_rng(0)
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / name / f"{i}.png")
    return folder


def test_folders_of_pictures_without_pictures(tmp_path: Path) -> None:
    learner = Learner({"name": "convnet"}, memory=8, batch_size=4)
    (tmp_path / "empty").mkdir()
    for folder, words in (
        ("nowhere", "must be a folder of pictures"),
        ("empty", "must have a folder of pictures for each class"),
    ):
        with pytest.raises(DataError, match=words):
            learner.fit(tmp_path / folder)
    pictures(tmp_path / "one", cat=3)
    with pytest.raises(DataError, match="two classes"):
        learner.fit(tmp_path / "one")
    (tmp_path / "one" / "dog").mkdir()
    with pytest.raises(DataError, match="must hold pictures, and holds none"):
        learner.fit(tmp_path / "one")
    (tmp_path / "one" / "dog" / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="must be a picture"):
        learner.fit(tmp_path / "one")


def test_folders_of_pictures_are_learnt_and_predicted(tmp_path: Path) -> None:
    learner = Learner({"name": "convnet"}, memory=8, batch_size=4).fit(pictures(tmp_path / "a", cat=6, dog=5))
    learner.fit(str(pictures(tmp_path / "b", owl=4)))
    assert learner.classes_.tolist() == ["cat", "dog", "owl"]
    assert len(learner.predict(tmp_path / "a")) == 11
    assert len(learner.predict(tmp_path / "b" / "owl" / "0.png")) == 1
    assert 0 <= learner.score(tmp_path / "b") <= 1
    Image.new("RGB", (9, 8)).save(tmp_path / "b" / "owl" / "odd.png")
    with pytest.raises(DataError, match="must have the size of"):
        learner.fit(tmp_path / "b")


def test_rows_that_must_not_be_written_are_read() -> None:
    inputs = INPUTS.copy()
    inputs.flags.writeable = False
    learner = fitted().fit(inputs, LABELS).partial_fit(inputs, LABELS)
    assert learner.predict(inputs).shape == (40,)
