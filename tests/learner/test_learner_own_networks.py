"""Networks of one's own that raise, or give the wrong thing: told as settings, or let through as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import maskcl
from maskcl import Learner
from maskcl.errors import ConfigError

INPUTS = np.random.default_rng(0).random((33, 6), np.float32)
LABELS = np.arange(33) % 2


class Given(nn.Module):
    """Gives what a function makes of logits."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.function = nn.Linear(6, 2), function

    def forward(self, inputs: Tensor) -> Any:
        return self.function(self.layer(inputs))


class Careful(nn.Module):
    """Refuses large values."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.max() > 5:
            raise ValueError("too large\nfor me")
        return self.layer(inputs)  # type: ignore[no-any-return]


def batch_norm() -> nn.Module:
    return nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 2))


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda logits: None, "'NoneType'"),
        (lambda logits: (logits, 1), "'tuple'"),
        (lambda logits: {"logits": logits}, "'dict'"),
        (lambda logits: logits.detach().numpy(), "'ndarray'"),
        (lambda logits: logits.sum(), "'torch.float32 []'"),
        (lambda logits: logits[:1], "'torch.float32 [1, 2]'"),
        (lambda logits: logits.argmax(1), "'torch.int64 [2]'"),
    ],
    ids=range(7),
)
def test_a_forward_that_gives_no_logits_is_told_what_it_gives(function: Callable[[Tensor], Any], got: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Learner(Given(function), memory=8).fit(INPUTS, LABELS)
    must = "Learner: network: must map inputs [2, 6] to logits, floating, [2, classes], got "
    assert str(caught.value) == f"{must}{got}."


def test_logits_without_a_gradient_are_refused_as_the_networks_fault() -> None:
    for learn in (
        lambda: Learner(Given(Tensor.detach), memory=8).fit(INPUTS, LABELS),
        lambda: maskcl.run({"method": "er"}, network=lambda shape, n: Cut(shape[1] * shape[2], n), seeds=1),
    ):
        with pytest.raises(ConfigError, match="network: must give logits that have a gradient: nothing in its forward"):
            learn()


class Cut(nn.Module):
    """Gives logits that nothing leads back from."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            return self.layer(inputs.flatten(1))  # type: ignore[no-any-return]


def test_a_factory_that_gives_its_only_module_is_refused_and_the_module_is_as_it_was() -> None:
    module = nn.Linear(6, 2)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(
        ConfigError, match=r"Learner: network: must be built anew in each call of its factory"
    ) as caught:
        Learner(lambda shape, num_classes: module, memory=8).fit(INPUTS, LABELS)
    assert str(caught.value).endswith("hint: return copy.deepcopy(module)")
    assert all(tensor.equal(before[name]) for name, tensor in module.state_dict().items())
    assert {tensor.device.type for tensor in module.parameters()} == {"cpu"}


def test_one_row_by_itself_through_batch_norm_is_refused_as_a_setting_and_changes_nothing() -> None:
    words = r"Learner: training.batch_size: must leave no row that passes this network by itself, .* got 32\.\nhint: "
    learner = Learner(batch_norm(), method="finetune", memory=0)
    with pytest.raises(ConfigError, match=words):
        learner.fit(INPUTS, LABELS)
    learner.fit(INPUTS[:32], LABELS[:32])
    before = learner.predict_proba(INPUTS)
    with pytest.raises(ConfigError, match=words):
        learner.fit(INPUTS, LABELS)
    for step in (lambda: learner.partial_fit(INPUTS[:1], LABELS[:1]), lambda: learner.partial_fit(INPUTS, LABELS)):
        with pytest.raises(ConfigError, match=words):
            step()
    assert (learner.predict_proba(INPUTS[:32]) != before[:32]).any()  # the first 32 rows of the last call were a step
    assert learner.partial_fit(INPUTS[:2], LABELS[:2]) is learner


def test_what_a_forward_raises_goes_through_in_python_and_changes_nothing() -> None:
    learner = Learner(Careful(), memory=8).fit(INPUTS, LABELS)
    before = learner.predict_proba(INPUTS)
    for call in (lambda: learner.fit(10 * INPUTS, LABELS), lambda: learner.partial_fit(10 * INPUTS, LABELS)):
        with pytest.raises(ValueError, match="too large\nfor me") as caught:
            call()
        assert caught.traceback[-1].name == "forward"  # where it was raised is to be seen
    with pytest.raises(ValueError, match="too large"):
        learner.predict(10 * INPUTS)
    assert (learner.predict_proba(INPUTS) == before).all()


def test_another_network_than_the_files_is_asked_after(tmp_path: Any) -> None:
    Learner(nn.Linear(6, 2), memory=8).fit(INPUTS, LABELS).save(tmp_path / "a.learner")
    deeper = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 2))
    with pytest.raises(maskcl.errors.DataError, match=r"hint: is `network` built as the one that was saved\?"):
        Learner.load(tmp_path / "a.learner", network=deeper)


@pytest.mark.parametrize(
    ("inputs", "labels", "words"),
    [
        (None, LABELS, "inputs: must be an array, a tensor or nested lists of numbers, got None."),
        (torch.utils.data.DataLoader([1, 2]), LABELS, "nested lists of numbers, got DataLoader.\nhint: rows alone"),
        (np.ma.masked_array(INPUTS, INPUTS > 0.5), LABELS, "inputs: must have all its values, and some are masked."),
        (INPUTS, np.ma.masked_array(LABELS, LABELS == 0), "labels: must have all its values, and some are masked."),
    ],
    ids=range(4),
)
def test_rows_that_are_none_are_called_what_they_are(inputs: Any, labels: Any, words: str) -> None:
    with pytest.raises(maskcl.errors.DataError) as caught:
        Learner({"name": "mlp", "hidden": [8]}, memory=8).fit(inputs, labels)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_long_values_stay_in_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        Learner(optimizer=torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1))
    assert str(caught.value).startswith("Learner: optimizer: must be a table of settings, got SGD ( Parameter Group 0 ")
    assert "\n" not in str(caught.value)
    with pytest.raises(maskcl.errors.DataError) as far:
        Learner(memory=8).fit(INPUTS, set(range(10_000)))
    assert str(far.value).endswith(" ....")
    assert len(str(far.value)) < 500
