from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import pytest

from maskcl import Mask
from maskcl.errors import ConfigError, MaskclWarning

LABELS: list[tuple[dict[str, Any], str]] = [
    ({"value": -math.inf}, "m=-inf"),
    ({"value": -2}, "m=-2"),
    ({"value": 0.5}, "m=0.5"),
    ({"mass": 3.0}, "mass=3"),
    ({"leak": 0.03}, "leak=0.03"),
    ({"leak": 0.1, "old_scale": 0.5, "new_scale": 2.0}, "leak=0.1 old_scale=0.5 new_scale=2.0"),
    ({"value": -2, "policy": "batch", "from_task": 1}, "m=-2 policy=batch from_task=1"),
    ({"leak": 0.1, "policy": "recent", "recent_rows": 50}, "leak=0.1 policy=recent recent_rows=50"),
    ({"leak": 0.1, "visible": "seen", "keep_future": True}, "leak=0.1 visible=seen keep_future=True"),
    ({"leak": "auto"}, "leak=auto"),
    ({"leak": "auto", "memory_rows": "prior"}, "leak=auto"),
    ({"leak": "auto", "memory_rows": "plain", "power": 0.5}, "leak=auto memory_rows=plain power=0.5"),
    ({"leak": "auto", "count": "visits", "visible": "seen"}, "leak=auto visible=seen count=visits"),
]


@pytest.mark.parametrize(("settings", "label"), LABELS)
def test_a_label_names_the_dial_and_what_differs_from_the_default(settings: dict[str, Any], label: str) -> None:
    assert Mask(**settings).label == label


@pytest.mark.parametrize(
    ("settings", "removes"),
    [
        ({"value": -math.inf}, True),
        ({"leak": 0}, True),
        ({"value": -1e30}, False),
        ({"leak": 0.1}, False),
        ({"mass": 0}, False),
        ({"leak": "auto"}, False),
    ],
)
def test_inactive_classes_leave_the_softmax_at_minus_inf_and_leak_0_alone(settings: Any, removes: bool) -> None:
    assert Mask(**settings).removes_inactive is removes


def test_a_mask_is_frozen_and_compares_by_value() -> None:
    mask = Mask(leak=0.1)
    assert mask == Mask(leak=0.1)
    assert len({mask, Mask(leak=0.1), Mask(leak=0.2)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        mask.leak = 0.2  # type: ignore[misc]
    with pytest.raises(ConfigError):
        dataclasses.replace(mask, value=0.0)


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "mask: needs exactly one of value, mass and leak, got {}."),
    ({"value": 0, "leak": 0.1}, "mask: needs exactly one of value, mass and leak, got {'value': 0, 'leak': 0.1}."),
    ({"value": math.inf}, "mask.value: must be below +inf, got inf."),
    ({"value": math.nan}, "mask.value: must be a number, got nan."),
    ({"value": "-inf"}, "mask.value: must be a number, got '-inf'."),
    ({"value": True}, "mask.value: must be a number, got True."),
    ({"mass": -math.inf}, "mask.mass: must be finite, got -inf.\nhint: value = -inf masks fully"),
    ({"mass": math.inf}, "mask.mass: must be finite, got inf."),
    ({"leak": -0.1}, "mask.leak: must be a finite number, 0 or more, got -0.1."),
    ({"leak": math.inf}, "mask.leak: must be a finite number, 0 or more, got inf."),
    ({"leak": 0.1, "old_scale": -1}, "mask.old_scale: must be a finite number, 0 or more, got -1."),
    ({"leak": 0.1, "new_scale": math.inf}, "mask.new_scale: must be a finite number, 0 or more, got inf."),
    ({"leak": 0.1, "new_scale": None}, "mask.new_scale: must be a number, got None."),
    ({"value": 0, "old_scale": 0.5}, "mask.old_scale: acts only together with leak"),
    (
        {"leak": 0.1, "policy": "tasks"},
        "mask.policy: must be one of task, batch, recent, got 'tasks'. Did you mean 'task'?",
    ),
    ({"leak": 0.1, "visible": "sen"}, "mask.visible: must be one of all, seen, got 'sen'. Did you mean 'seen'?"),
    ({"leak": 0.1, "memory_rows": "own"}, "mask.memory_rows: must be one of plain, prior, own-task, got 'own'."),
    ({"leak": 0.1, "policy": "recent"}, "mask.recent_rows: is needed with policy 'recent', and only there, got None."),
    ({"leak": 0.1, "recent_rows": 5}, "mask.recent_rows: is needed with policy 'recent', and only there, got 5."),
    (
        {"leak": 0.1, "policy": "recent", "recent_rows": 0},
        "mask.recent_rows: must be a whole number, 1 or more, got 0.",
    ),
    (
        {"leak": 0.1, "policy": "recent", "recent_rows": 2.5},
        "mask.recent_rows: must be a whole number, 1 or more, got 2.5.",
    ),
    ({"leak": 0.1, "from_task": -1}, "mask.from_task: must be a whole number, 0 or more, got -1."),
    ({"leak": 0.1, "from_task": 0.5}, "mask.from_task: must be a whole number, 0 or more, got 0.5."),
    ({"leak": 0.1, "from_task": "1"}, "mask.from_task: must be a whole number, 0 or more, got '1'."),
    ({"leak": 0.1, "keep_future": "yes"}, "mask.keep_future: must be true or false, got 'yes'."),
    ({"leak": "Auto"}, "mask.leak: must be a number, 0 or more, or 'auto', got 'Auto'."),
    ({"leak": "auto", "value": 0.0}, "mask: needs exactly one of value, mass and leak, got"),
    (
        {"leak": "auto", "policy": "batch"},
        "mask.policy: must be 'task' or 'recent' with leak = 'auto', which counts rows, got 'batch'.",
    ),
    ({"leak": "auto", "policy": "recent"}, "mask.recent_rows: is needed with policy 'recent', and only there"),
    ({"leak": "auto", "count": "times"}, "mask.count: must be one of rows, visits, steps, got 'times'."),
    (
        {"leak": "auto", "count": "visits", "policy": "recent", "recent_rows": 9},
        "mask.count: must be 'rows' with policy 'recent', got 'visits'.",
    ),
    ({"leak": "auto", "power": -1.0}, "mask.power: must be a finite number, 0 or more, got -1.0."),
    ({"leak": "auto", "power": math.inf}, "mask.power: must be a finite number, 0 or more, got inf."),
    ({"leak": "auto", "power": "half"}, "mask.power: must be a finite number, 0 or more, got 'half'."),
    (
        {"leak": "auto", "old_scale": 0.5},
        "mask.old_scale: must be left out with leak = 'auto', which has no inactive classes, got 0.5.",
    ),
    ({"leak": "auto", "new_scale": 0.5}, "mask.new_scale: must be left out with leak = 'auto'"),
    ({"leak": "auto", "keep_future": True}, "mask.keep_future: must be left out with leak = 'auto'"),
    (
        {"leak": "auto", "memory_rows": "own-task"},
        "mask.memory_rows: must be 'prior' or 'plain' with leak = 'auto', got 'own-task'.",
    ),
    (
        {"leak": 0.1, "memory_rows": "prior"},
        "mask.memory_rows: acts only together with leak = 'auto', got 'prior'.",
    ),
    ({"value": 0.0, "power": 0.5}, "mask.power: acts only together with leak = 'auto', got 0.5."),
    ({"leak": 0.1, "count": "steps"}, "mask.count: acts only together with leak = 'auto', got 'steps'."),
]


@pytest.mark.parametrize(("settings", "text"), BAD, ids=[text.splitlines()[0] for _, text in BAD])
def test_bad_settings_are_refused_in_one_sentence(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(text)):
        Mask(**settings)


def test_memory_rows_have_the_prior_where_classes_are_weighed_by_counts_and_are_plain_elsewhere() -> None:
    assert Mask(leak="auto").memory_rows == "prior"
    assert Mask(leak="auto", memory_rows="plain").memory_rows == "plain"
    assert Mask(leak=0.1).memory_rows == Mask(value=0.0).memory_rows == "plain"
    assert Mask(leak=0.1) == Mask(leak=0.1, memory_rows="plain")


RISKY: list[tuple[dict[str, Any], str]] = [
    ({"leak": 1.5}, "mask.leak = 1.5 is above 1"),
    ({"leak": 0.5, "old_scale": 0.0}, "old_scale = 0 stops the gradient"),
    ({"leak": 1.0, "old_scale": 0.0}, "old_scale = 0 stops the gradient without replacing .* run away"),
    ({"leak": 0.1, "memory_rows": "own-task"}, "own-task.* accuracy falls far"),
]


@pytest.mark.parametrize(("settings", "text"), RISKY)
def test_risky_settings_run_with_a_warning(settings: dict[str, Any], text: str) -> None:
    with pytest.warns(MaskclWarning, match=text):
        Mask(**settings)


@pytest.mark.parametrize(("settings", "text"), RISKY)
def test_risky_settings_run_with_a_warning_that_names_the_line(settings: dict[str, Any], text: str) -> None:
    with pytest.warns(MaskclWarning, match=text) as caught:
        Mask(**settings)
    assert caught[0].filename == __file__


def test_old_scale_0_with_leak_0_has_no_gradient_to_run_away_with() -> None:
    assert Mask(leak=0.0, old_scale=0.0).removes_inactive
