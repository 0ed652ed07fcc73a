"""A step, or a fit, happens as a whole or not at all: names, outputs, weights and memory stay together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from maskcl import Learner
from maskcl.errors import ConfigError, DataError
from maskcl.learner.core import Core

SETTINGS: dict[str, dict[str, Any]] = {
    "er": {"memory": 12},
    "derpp": {"method": "derpp", "memory": {"size": 12, "policy": "class_balanced"}},
    "adam": {"memory": 12, "optimizer": {"name": "adam", "lr": 0.01, "weight_decay": 0.01}},
    "normed": {"memory": 12, "network": nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))},
    "recent": {"memory": 12, "mask": {"leak": 0.1, "policy": "recent", "recent_rows": 12}},
}


def rows(*classes: int, count: int = 10) -> tuple[Any, Any]:
    labels = np.repeat(classes, count)
    return np.random.default_rng(sum(classes)).random((len(labels), 6), np.float32) + np.eye(9, 6)[labels], labels


def begun(name: str = "er") -> Learner:
    settings = {"network": {"name": "mlp", "hidden": [8]}, "batch_size": 10} | SETTINGS[name]
    return Learner(**settings).partial_fit(*rows(0, 1))


def whole(learner: Learner) -> list[Any]:
    """All that a step may change."""
    state, memory = learner._core.state, learner._core.state.memories[0]
    assert memory is not None
    weights = [
        *learner.network_.state_dict().values(),
        *(slot for slots in state.optimizer.values() for slot in slots),
        state.stored,
    ]
    arrays = [memory.rows, memory.labels, memory.class_counts, np.array(memory.num_seen), *state.last_seen]
    counters = [state.position, state.steps, state.updates, learner._core.slots]
    tensors = [tensor.detach().clone().numpy() for tensor in weights]
    return [*tensors, *(np.array(part) for part in (*arrays, *counters, learner.classes_))]


def same(one: list[Any], other: list[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("classes", [(0, 1), (2,)], ids=["old classes", "a new class"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_step_that_is_stopped_after_weights_moved_is_undone(
    name: str, classes: tuple[int, ...], error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, other = begun(name), begun(name)
    before = whole(learner)

    def stop(self: Any, step: Any) -> Any:
        self._train(step)
        self.state.steps += 1
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("maskcl.engine.training.TaskTraining.run_one", stop)
        with pytest.raises(error):
            learner.partial_fit(*rows(*classes))
    assert same(whole(learner), before)
    assert len(learner.classes_) == learner._core.num_classes == 2
    for each in (learner, other):  # and it goes on as if nothing had been
        each.partial_fit(*rows(3)).partial_fit(*rows(0, 1))
    assert same(whole(learner), whole(other))


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("classes", [(0, 1), (2,)], ids=["old classes", "a new class"])
def test_a_step_whose_loss_runs_away_is_undone(name: str, classes: tuple[int, ...], tmp_path: Path) -> None:
    learner, other = begun(name), begun(name)
    before = whole(learner)
    inputs, labels = rows(*classes, count=10 // len(classes))  # one step
    with pytest.raises(DataError, match=r"Learner\.partial_fit: must"):
        learner.partial_fit(inputs * np.float32(1.5e38), labels)
    assert same(whole(learner), before)
    for each in (learner, other):
        each.partial_fit(*rows(3, 4))
    assert same(whole(learner), whole(other))
    assert learner.classes_.tolist() == [0, 1, 3, 4]
    learner.save(tmp_path / "a")


def test_weights_that_run_away_in_a_step_of_a_finite_loss_are_refused() -> None:
    learner = Learner({"name": "mlp", "hidden": [8]}, memory=8, lr=1e30, batch_size=20)
    with pytest.raises(DataError, match="must leave weights that are finite"):
        learner.partial_fit(*rows(0, 1))
    with pytest.raises(ValueError, match="must come after the first fit"):
        learner.predict(rows(0)[0])


def test_classes_appear_with_the_step_that_has_them() -> None:
    learner = Learner({"name": "mlp", "hidden": [8]}, memory=8, batch_size=10, input_range=(0, 3e38))
    learner.partial_fit(*rows(0, 1))
    old, kinds = rows(0)
    new, labels = rows(2)
    with pytest.raises(DataError, match="finite"):
        learner.partial_fit(np.concatenate([old, new * np.float32(1e38)]), np.concatenate([kinds, labels]))
    assert learner.classes_.tolist() == [0, 1]
    assert learner.predict_proba(new).shape == (10, 2)
    assert int(learner._core.state.steps[0]) == 3, "the step on old rows was done"


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_ctrl_c_when_all_is_done_finds_as_many_names_as_outputs(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, name = begun(), {"fit": "fit", "partial_fit": "step"}[call]
    done = getattr(Core, name)

    def late(*args: Any, **kwargs: Any) -> Any:
        done(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(Core, name, late)
    with pytest.raises(KeyboardInterrupt):
        getattr(learner, call)(*rows(2, count=5))
    assert len(learner.classes_) == learner._core.num_classes == learner.predict_proba(rows(0)[0]).shape[1] == 3


def test_a_fit_that_is_stopped_while_it_is_put_down_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = begun()
    before = whole(learner)

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Core, "_rest", stop)
        with pytest.raises(KeyboardInterrupt):
            learner.fit(*rows(2, 3))
    assert same(whole(learner), before)
    assert len(learner.classes_) == learner._core.num_classes == 2
    assert learner.fit(*rows(2, 3)).classes_.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("call", ["predict", "predict_proba", "decision_function", "score"])
def test_scores_that_are_not_finite_are_no_answer(call: str) -> None:
    network = nn.Linear(6, 2)
    nn.init.constant_(network.weight, 10.0)
    inputs, labels = rows(0, 1)
    learner = Learner(network, memory=8, lr=1e-3).fit(inputs, labels)
    inputs[3] = 3e38
    with pytest.raises(DataError) as caught:
        getattr(learner, call)(*((inputs, labels) if call == "score" else (inputs,)))
    words = (
        f"Learner.{call}: inputs: must be rows for which the network gives finite scores, and those of row 3 are not."
    )
    assert str(caught.value).splitlines()[0] == words


def test_hidden_classes_are_no_reason_to_refuse() -> None:
    mask = {"leak": 0.1, "visible": "seen"}
    learner = Learner({"name": "mlp", "hidden": [8]}, memory=8, classes=range(4), mask=mask).fit(*rows(0, 1))
    assert learner.predict_proba(rows(0)[0])[:, 2:].max() == 0


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1, 2], r"must be one number for each of the 20 rows, shape \[20\], got \[2\]"),
        (np.ones((20, 1)), r"shape \[20\], got \[20, 1\]"),
        (np.zeros(20), "must be finite, 0 or more, and not all 0"),
        (-np.ones(20), "must be finite, 0 or more, and not all 0"),
        (np.full(20, np.nan), "must be finite, 0 or more, and not all 0"),
        ("abc", "must be 20 numbers, one a row, got 'abc'"),
    ],
    ids=range(6),
)
def test_weights_of_a_score_are_checked(weights: Any, words: str) -> None:
    with pytest.raises(DataError, match=r"Learner\.score: sample_weight: .*" + words):
        begun().score(*rows(0, 1), sample_weight=weights)


CHANGES: dict[str, Any] = {
    "lr": 0.5, "method": "derpp", "memory": 5, "seed": 3, "batch_size": 3, "device": "auto", "classes": [0, 1, 2],
    "mask": {"leak": 0.1}, "network": "convnet", "input_range": (0, 9),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("call", ["fit", "partial_fit", "save"])
def test_settings_that_were_changed_after_the_first_fit_are_refused(call: str, name: str, tmp_path: Path) -> None:
    learner = begun().set_params(**{name: CHANGES[name]})
    before = whole(learner)
    with pytest.raises(ConfigError) as caught:
        getattr(learner, call)(*((tmp_path / "a",) if call == "save" else rows(0, 1)))
    assert f"Learner.{call}: {name}: must stay as at the first fit, " in str(caught.value)
    assert same(whole(learner), before)
    assert not list(tmp_path.iterdir())


def test_settings_that_were_changed_in_place_are_refused_and_never_saved(tmp_path: Path) -> None:
    memory = {"size": 12}
    learner = Learner({"name": "mlp", "hidden": [8]}, memory=memory).fit(*rows(0, 1))
    memory["size"] = 5
    for call in (lambda: learner.fit(*rows(0, 1)), lambda: learner.save(tmp_path / "a")):
        with pytest.raises(ConfigError, match="memory: must stay as at the first fit"):
            call()
    memory["size"] = 12
    learner.set_params(memory={"size": 12}, image_size=8).fit(*rows(2, 3)).save(tmp_path / "a")
    assert Learner.load(tmp_path / "a").image_size == 8


def test_a_memory_of_set_classes_is_refused_at_the_first_fit() -> None:
    for call in ("fit", "partial_fit"):
        with pytest.raises(ConfigError) as caught:
            getattr(Learner("mlp", method="agem", memory=20), call)(*rows(0, 1))
        assert "must be told beforehand with a memory policy whose slots belong to classes" in str(caught.value)
        assert "'policy': 'reservoir'" in str(caught.value)
    learner = Learner("mlp", method="agem", memory={"size": 20, "policy": "reservoir"}).fit(*rows(0, 1))
    assert learner.fit(*rows(2, 3)).classes_.tolist() == [0, 1, 2, 3]
    assert Learner("mlp", method="agem", memory=20).partial_fit(*rows(0, 1), classes=[0, 1]).classes_.tolist() == [0, 1]


def test_a_trained_network_answers_before_the_first_fit() -> None:
    network = nn.Linear(6, 2)
    learner = Learner(network, known=["a", "b"], method="finetune", memory=0)
    inputs, _ = rows(0, 1)
    with torch.no_grad():
        expected = network(torch.from_numpy(inputs.astype(np.float32))).softmax(1).numpy()
    assert np.allclose(learner.predict_proba(inputs), expected, atol=1e-6)
    assert learner.classes_.tolist() == ["a", "b"]
    assert learner.predict(inputs).tolist() == [["a", "b"][i] for i in expected.argmax(1)]
    assert not learner._fitted
    with pytest.raises(ValueError, match="must come after the first fit"):
        learner.save("a")


class Locked(nn.Linear):
    """A network with something in it that cannot be copied."""

    def __init__(self) -> None:
        super().__init__(6, 2)
        self.lock = (row for row in ())


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.LazyLinear(2), "must have all its weights, and 'weight' is made by the first forward"),
        (nn.Linear(6, 2, device="meta"), "must have values, and 'weight' is on the meta device"),
        (Locked(), "must be a module that can be copied, which raised TypeError"),
    ],
    ids=["lazy", "meta", "locked"],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_networks_that_cannot_be_copied_or_have_no_values_are_refused(network: nn.Module, words: str) -> None:
    for known in (None, [0, 1]):
        with pytest.raises(ConfigError) as caught:
            Learner(network, known=known, memory=8).fit(*rows(2, 3))
        assert f"Learner: network: {words}" in str(caught.value)


def test_a_script_is_no_network_to_train() -> None:
    with pytest.warns(DeprecationWarning, match="jit"), pytest.raises(ConfigError, match="must be a plain"):
        Learner(torch.jit.script(nn.Linear(6, 2)))


def test_what_is_told_of_progress_must_be_callable() -> None:
    with pytest.raises(ConfigError, match=r"Learner\.fit: on_progress: must be callable .*, got 3\."):
        begun().fit(*rows(0, 1), on_progress=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "setting"),
    [({"memory": 10**12}, "memory.size"), ({"batch_size": 10**12}, "training.batch_size")],
    ids=["memory", "batch"],
)
def test_what_does_not_fit_is_told_before_it_is_taken(settings: dict[str, Any], setting: str) -> None:
    learner = Learner("mlp", **settings)
    with pytest.raises(ConfigError) as caught:
        learner.fit(*rows(0, 1))
    assert f"Learner: {setting}: must fit into the " in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_too_many_epochs_and_too_large_networks_are_told_before_they_are_begun() -> None:
    learner = begun()
    with pytest.raises(ConfigError, match=r"Learner\.fit: epochs: must fit into the .* GB that are free"):
        learner.fit(*rows(0, 1), epochs=10**12)
    with pytest.raises(ConfigError, match=r"Learner: network of [0-9,]+ parameters: must fit into the "):
        Learner({"name": "mlp", "hidden": [10**6, 10**6]}, memory=8).fit(*rows(0, 1))


class Table:
    """As much of a data frame as a learner looks at."""

    def __init__(self, values: Any, columns: Any) -> None:
        self.values, self.columns, self.iloc = values, columns, None

    def to_numpy(self) -> Any:
        return self.values


def test_columns_of_a_table_are_known_by_name(tmp_path: Path) -> None:
    inputs, labels = rows(0, 1)
    names = list("abcdef")
    learner = Learner({"name": "mlp", "hidden": [8]}, memory=8).fit(Table(inputs, names), labels)
    assert learner.feature_names_in_.tolist() == names
    learner.save(tmp_path / "a")
    for each in (learner, Learner.load(tmp_path / "a")):
        assert each.predict(Table(inputs, names)).shape == (20,)
        for name in ("predict", "fit", "score"):
            call, more = getattr(each, name), () if name == "predict" else (labels,)
            with pytest.raises(DataError, match="in the same order"):
                call(Table(inputs, names[::-1]), *more)
            with pytest.raises(DataError, match="and column 'z' is new"):
                call(Table(inputs, [*names[:-1], "z"]), *more)
        with pytest.warns(UserWarning, match="X does not have valid feature names, but Learner was fitted with"):
            each.predict(inputs)
    bare = Learner({"name": "mlp", "hidden": [8]}, memory=8).fit(Table(inputs, range(6)), labels)
    assert not hasattr(bare, "feature_names_in_")
    with pytest.warns(UserWarning, match="X has feature names, but Learner was fitted without"):
        bare.predict(Table(inputs, names))
