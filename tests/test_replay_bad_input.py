"""What a `ReplayMemory` refuses: settings, rows, draws, states; each leaves it as it was."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from maskcl import ReplayMemory
from maskcl.errors import ConfigError, DataError, ShapeError


def _filled(*, seed: int = 0) -> ReplayMemory:
    memory = ReplayMemory(9, seed=seed)
    for start in range(0, 40, 8):
        inputs = torch.arange(start, start + 8)[:, None].float()
        memory.add(inputs, inputs[:, 0].long() % 3, logits=inputs.expand(8, 3) * 0.5)
    return memory


BAD_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"size": 0}, "size: must be a whole number of slots, 1 or more, got 0"),
    ({"size": 2.0}, "size: must be a whole number"),
    ({"size": True}, "size: must be a whole number"),
    ({"policy": "resevoir"}, "policy: must be one of reservoir, ring, class_balanced, .* Did you mean 'reservoir'"),
    ({"policy": "herding"}, "policy: must not need the network's features, got 'herding'"),
    ({"policy": "ring"}, "num_classes: must be given with policy 'ring', got None"),
    ({"policy": "class_balanced"}, "num_classes: must be given with policy 'class_balanced'"),
    ({"policy": "ring", "num_classes": 9}, "size: must be 9 or more with policy 'ring': a slot for each class, got 5"),
    ({"num_classes": 0}, "num_classes: must be a whole number, 1 or more, got 0"),
    ({"seed": 0.5}, "seed: must be a whole number, got 0.5"),
    ({"size": 10**15}, "size: must be slots that fit into memory, of which .* GiB are free, got 1000000000000000"),
    ({"size": 10**30}, "size: must be slots that fit into memory"),
    ({"num_classes": 10**15}, "num_classes: must be classes that fit into memory"),
    ({"policy": 3}, "policy: must be one of reservoir, ring, class_balanced, .*got 3"),
]


@pytest.mark.parametrize(("settings", "text"), BAD_SETTINGS)
def test_bad_settings_are_refused_by_name(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        ReplayMemory(**{"size": 5, **settings})


X, Y, Z = torch.zeros(4, 2), torch.tensor([0, 1, 2, 0]), torch.zeros(4, 3)
BAD_ROWS: list[tuple[dict[str, Any], str]] = [
    ({"inputs": X.numpy()}, "inputs: must be a tensor, got 'ndarray'"),
    ({"inputs": torch.tensor(1.0)}, r"inputs: must have rows in its first dimension, got \(\)"),
    (
        {"inputs": torch.zeros(4, 3)},
        r"inputs: must have rows like the first call's, \[2\] float32 on cpu, got '\[3\] flo",
    ),
    ({"inputs": X.double()}, "inputs: must have rows like the first call's, .* got .*float64"),
    ({"inputs": X[:3]}, "labels: must have as many rows as inputs, 3, got 4"),
    ({"labels": Y.float()}, r"labels: must be int64 of shape \[B\], got \(torch.float32, \(4,\)\)"),
    ({"labels": Y.int()}, "labels: must be int64"),
    ({"labels": Y[:, None]}, "labels: must be int64"),
    ({"labels": Y + 1}, "labels: must be classes from 0 to 2, got 3"),
    ({"labels": Y - 1}, "labels: must be classes from 0 to 2, got -1"),
    ({"logits": Z[:1]}, "logits: must have as many rows as inputs, 4, got 1"),
    ({"logits": Z[:, :2]}, "logits: must have rows like the first call's"),
    ({"logit": Z}, r"fields: must be those of the first call, \['logits'\], got \['logits', 'logit'\]"),
]


@pytest.mark.parametrize(("change", "text"), BAD_ROWS)
def test_bad_rows_are_refused_and_change_nothing(change: dict[str, Any], text: str) -> None:
    memory = ReplayMemory(8, num_classes=3)
    memory.add(X, Y, logits=Z)
    with pytest.raises((ShapeError, DataError), match=text):
        memory.add(**{"inputs": X, "labels": Y, "logits": Z, **change})
    assert (len(memory), memory.num_seen) == (4, 4)


def test_a_field_must_not_go_missing() -> None:
    memory = ReplayMemory(8)
    memory.add(X, Y, logits=Z)
    with pytest.raises(ShapeError, match=re.escape("fields: must be those of the first call, ['logits'], got [].")):
        memory.add(X, Y)


@pytest.mark.parametrize("device", ["cdua", "cuda:99", 3.5, ""])
def test_a_device_that_is_not_there_is_refused_and_moves_nothing(device: Any) -> None:
    memory = _filled()
    with pytest.raises(ConfigError, match=r"^ReplayMemory\.to: device: must be a device that PyTorch has here, got "):
        memory.to(device)
    assert memory.draw(2).inputs.device.type == "cpu"


def test_an_empty_memory_gives_nothing() -> None:
    with pytest.raises(DataError, match="draw: needs rows in the memory, got 0"):
        ReplayMemory(4).draw(1)


@pytest.mark.parametrize("n", [0, -1, 2.0])
def test_a_draw_has_one_row_or_more(n: Any) -> None:
    with pytest.raises(ConfigError, match="draw: n: must be a whole number, 1 or more"):
        _filled().draw(n)


def test_more_rows_than_fit_into_memory_are_not_drawn() -> None:
    with pytest.raises(
        ConfigError, match=r"draw: n: must be rows that fit into memory, of which .* are free, got 10000"
    ):
        _filled().draw(10**12)


def test_rows_too_large_for_all_slots_are_refused_and_change_nothing() -> None:
    memory = ReplayMemory(400_000)
    with pytest.raises(
        ConfigError, match=r"add: inputs: must be rows of which 400000 fit into memory, of which .* GiB"
    ):
        memory.add(torch.zeros(1, 1).expand(1, 10**9), torch.tensor([0]))
    assert (len(memory), memory.num_seen, memory.num_bytes) == (0, 0, 0)


def test_numbers_of_numpy_are_kept_as_python_has_them() -> None:
    memory = ReplayMemory(np.int64(5), num_classes=np.int64(2), seed=np.int64(3))
    assert [type(memory.state_dict()[name]) for name in ("size", "num_classes", "seed")] == [int] * 3


BAD_STATES: list[tuple[dict[str, Any], str]] = [
    ({"size": torch.tensor([9, 9])}, "size: must be that of this memory, 9, got tensor"),
    ({"seed": 0.5}, "seed: must be a whole number, got 0.5"),
    ({"num_draws": -1}, "num_draws: must be a whole number, 0 or more, got -1"),
    ({"num_seen": None}, "num_seen: must be a whole number, 0 or more, got None"),
    ({"rows": None}, r"rows: must be int64 of shape \(9,\), got 'NoneType'"),
    ({"rows": torch.arange(5)}, r"rows: must be int64 of shape \(9,\), got \(torch.int64, \(5,\)\)"),
    ({"rows": torch.arange(9.0)}, r"rows: must be int64 of shape \(9,\), got \(torch.float32, \(9,\)\)"),
    ({"rows": torch.full((9,), 99)}, "rows: must be from -1 to 39, num_seen - 1, got 99"),
    ({"row_labels": torch.full((9,), 7)}, "row_labels: must be from -1 to 0, the last class, got 7"),
    ({"row_labels": torch.full((9,), -1)}, "row_labels: must be -1 where there is no row, and nowhere else"),
    ({"class_counts": torch.tensor([3])}, r"class_counts: must be 0 or more each, and 40 together, got \[3\]"),
    ({"class_counts": torch.zeros(3).long()}, r"class_counts: must be int64 of shape \(1,\)"),
    ({"slots": None}, "slots: must be tensors by name, got 'NoneType'"),
    ({"slots": {}}, "slots: must hold inputs and labels; missing: inputs, labels"),
    ({"slots": {"inputs": torch.zeros(9, 1)}}, "slots: must hold inputs and labels; missing: labels"),
    ({"slots": {"inputs": torch.zeros(4, 1), "labels": torch.zeros(9).long()}}, "inputs: must be a tensor of 9 rows"),
    ({"slots": {"inputs": [0] * 9, "labels": torch.zeros(9).long()}}, "inputs: must be a tensor of 9 rows, got 'list'"),
    ({"slots": {"inputs": torch.zeros(9, 1), "labels": torch.zeros(9)}}, r"labels: must be int64 of shape \[9\], got"),
]


@pytest.mark.parametrize(("change", "text"), BAD_STATES)
def test_a_broken_state_is_refused_and_nothing_is_half_loaded(change: dict[str, Any], text: str) -> None:
    memory, other = _filled(seed=3), _filled(seed=3)
    with pytest.raises(ConfigError, match=f"ReplayMemory.load_state_dict: .*{text}"):
        memory.load_state_dict(_filled(seed=8).state_dict() | change)
    assert memory.seed == 3
    assert torch.equal(memory.draw(9).inputs, other.draw(9).inputs)


@pytest.mark.parametrize("state", [None, 3, "state", [("size", 9)]], ids=str)
def test_what_is_no_state_is_refused(state: Any) -> None:
    with pytest.raises(ConfigError, match="load_state_dict: must be given what state_dict returned, got"):
        ReplayMemory(9).load_state_dict(state)


def test_the_state_of_an_empty_memory_can_be_loaded() -> None:
    memory = _filled()
    memory.load_state_dict(ReplayMemory(9).state_dict())
    assert (len(memory), memory.num_bytes) == (0, 0)


def test_a_state_of_another_memory_is_refused() -> None:
    state = _filled().state_dict()
    with pytest.raises(ConfigError, match="load_state_dict: size: must be that of this memory, 10, got 9"):
        ReplayMemory(10).load_state_dict(state)
    del state["rows"], state["seed"]
    with pytest.raises(ConfigError, match="must be given what state_dict returned; missing: rows, seed"):
        ReplayMemory(9).load_state_dict(state)
