"""Labels in every form that data come in are one class each: no tensor, set or NA becomes one by accident."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, TensorDataset

from maskcl import Learner
from maskcl.errors import DataError, MaskclError

INPUTS = np.random.default_rng(0).random((20, 6), np.float32)
LABELS = np.arange(20) % 2


def learner(**settings: Any) -> Learner:
    return Learner({"name": "mlp", "hidden": [8]}, memory=8, batch_size=8, **settings)


class Rows(Dataset[Any]):
    """A Dataset whose labels are made by a function."""

    def __init__(self, label: Any) -> None:
        self.label = label

    def __len__(self) -> int:
        return len(INPUTS)

    def __getitem__(self, row: int) -> Any:
        return torch.from_numpy(INPUTS[row]), self.label(int(LABELS[row]))


TENSORS = TensorDataset(torch.from_numpy(INPUTS), torch.from_numpy(LABELS))


@pytest.mark.parametrize(
    "data",
    [TENSORS, ConcatDataset([TENSORS, TENSORS]), Rows(torch.tensor), Rows(lambda c: torch.tensor([c])), Rows(np.array)],
    ids=["tensors", "joined", "0-d", "one element", "0-d array"],
)
def test_labels_of_a_dataset_may_be_tensors_of_one_value(data: Any) -> None:
    found = learner().fit(data)
    assert found.classes_.tolist() == [0, 1]
    assert 0 <= found.score(data) <= 1
    assert learner().partial_fit(data).classes_.tolist() == [0, 1]


@pytest.mark.parametrize(
    "labels",
    [list(torch.from_numpy(LABELS)), [np.int64(c) for c in LABELS], [(torch.tensor(int(c)),) for c in LABELS]],
    ids=["tensors", "numbers", "within tuples"],
)
def test_lists_of_tensors_are_unwrapped(labels: Any) -> None:
    found = learner().fit(INPUTS, labels)
    assert len(found.classes_) == 2
    assert all(type(name) in (int, tuple) for name in found._names.names)


class Odd:
    """What raises when it is compared."""

    def __eq__(self, other: object) -> bool:
        raise IndexError

    def __hash__(self) -> int:
        return 1


class Missing:
    """As pandas' NA: neither equal nor unequal."""

    def __eq__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([torch.tensor([0, 1])] * 20, "labels: must be one label a row, and a row has shape, got [2]"),
        ([np.zeros((1, 2))] * 20, "labels: must be one label a row, and a row has shape, got [1, 2]"),
        ([([1],)] * 20, "must be hashable labels that equal themselves, got ([1],)"),
        ([(float("nan"), 1)] * 20, "must be hashable labels that equal themselves"),
        ([Odd()] * 20, "must be hashable labels that equal themselves"),
        ([Missing()] * 20, "must be hashable labels that equal themselves"),
        (set(range(20)), "must be a sequence of labels, one a row"),
        (dict.fromkeys(range(20)), "must be a sequence of labels, one a row"),
        (torch.zeros(20, device="meta"), "labels: must be labels that can be read"),
        ([torch.zeros((), device="meta")] * 20, "labels: must be labels that can be read"),
    ],
    ids=range(10),
)
def test_labels_that_are_none_are_refused_in_a_sentence(labels: Any, words: str) -> None:
    with pytest.raises(DataError) as caught:
        learner().fit(INPUTS, labels)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_row_of_a_dataset_with_two_labels_is_named() -> None:
    with pytest.raises(DataError, match=r"Learner\.fit row 0: must be one label a row, and a row has shape, got \[2\]"):
        learner().fit(Rows(lambda c: np.eye(2)[c]))


def test_batches_of_measured_classes_are_judged_together() -> None:
    kinds = np.array([0.5, 1.5, 2.5])[np.arange(18) % 3]
    batches = DataLoader(TensorDataset(torch.from_numpy(INPUTS[:18]), torch.from_numpy(kinds)), batch_size=3)
    assert learner().fit(batches).classes_.tolist() == [0.5, 1.5, 2.5]


NAMES: dict[str, Any] = {
    "array": lambda: np.array([0, 1]),
    "tensor": lambda: torch.arange(2),
    "generator": lambda: (c for c in (0, 1)),
    "range": lambda: range(2),
}


@pytest.mark.parametrize("kind", NAMES)
def test_known_and_classes_take_any_sequence_and_are_saved(kind: str, tmp_path: Any) -> None:
    network = nn.Linear(6, 2)
    found = Learner(network, known=NAMES[kind](), method="finetune", memory=0).fit(INPUTS, LABELS + 2)
    assert found.classes_.tolist() == [0, 1, 2, 3]
    found.save(tmp_path / "a")
    again = Learner.load(tmp_path / "a", network=network)
    assert (list(again.known), again.classes_.tolist()) == ([0, 1], [0, 1, 2, 3])
    assert learner(classes=NAMES[kind]()).fit(INPUTS, LABELS).classes_.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"known": 3}, "Learner: known: must be a sequence of labels in the order of the network's outputs, got 3."),
        (
            {"classes": 3},
            "Learner: classes: must be a sequence of labels in the order of the network's outputs, got 3.",
        ),
        ({"classes": "ab"}, "Learner: classes: must be a sequence of labels"),
        ({"classes": {0, 1}}, "Learner: classes: must be a sequence of labels"),
        ({"classes": [0, 0]}, "Learner: classes: must name each class once, got 0."),
        ({"input_range": 3}, "Learner: input_range: must be two finite numbers, the lower first, or None, got 3."),
        ({"input_range": (None, None)}, "Learner: input_range: must be two finite numbers"),
        ({"input_range": (float("nan"), 1)}, "Learner: input_range: must be two finite numbers"),
        ({"input_range": ("a", "b")}, "Learner: input_range: must be two finite numbers"),
        ({"input_range": (1, 0)}, "Learner: input_range: must be two finite numbers"),
    ],
    ids=range(10),
)
def test_settings_are_refused_when_they_are_given(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(MaskclError) as caught:
        learner(**settings)
    assert words in str(caught.value)


def test_announced_classes_of_a_stream_must_be_a_sequence() -> None:
    with pytest.raises(DataError, match=r"Learner\.partial_fit: classes: must be a sequence of labels"):
        learner().partial_fit(INPUTS, LABELS, classes=3)  # type: ignore[arg-type]


def test_a_loader_whose_dataset_raises_is_told_with_its_batch() -> None:
    class Broken(Rows):
        def __getitem__(self, row: int) -> Any:
            if row > 9:
                raise RuntimeError("disk\nbroken")
            return super().__getitem__(row)

    words = r"Learner\.fit: batch 2: must be readable, which raised RuntimeError: disk\."
    with pytest.raises(DataError, match=words):
        learner().fit(DataLoader(Broken(int), batch_size=5))

    def endless() -> Iterator[Any]:
        yield torch.from_numpy(INPUTS), LABELS
        raise OSError("gone")

    with pytest.raises(DataError, match="batch 1: must be readable, which raised OSError: gone"):
        learner().fit(endless())


def test_a_dataset_without_a_length_is_told() -> None:
    class Short(Rows):
        def __len__(self) -> int:
            return -1

    with pytest.raises(DataError, match=r"Learner\.fit: must have a length, which raised ValueError"):
        learner().fit(Short(int))


@pytest.mark.parametrize("inputs", [torch.zeros(20, 6, device="meta"), torch.eye(20, 6).to_sparse()])
def test_tensors_that_numpy_cannot_have_are_refused(inputs: Any) -> None:
    with pytest.raises(DataError, match=r"Learner\.fit: inputs: must be"):
        learner().fit(inputs, LABELS)


def test_paths_in_the_place_of_pictures_are_told_how_pictures_come() -> None:
    with pytest.raises(DataError, match="must be numbers, and are strings or paths") as caught:
        learner().fit(["a.png", "b.png"], [0, 1])
    assert "pictures come as folders" in str(caught.value)


def test_images_with_channels_last_are_counted_as_they_were_given() -> None:
    with pytest.raises(DataError, match=r"Learner\.fit: inputs: must have shape .*, got \(20, 8, 8, 3\)"):
        learner().fit(np.zeros((20, 8, 8, 3), np.uint8), LABELS)
