from __future__ import annotations

import math
from typing import Any

import pytest
from engine.small import SCENARIO, scenario, spec

from maskcl.cfgm import Cfgm
from maskcl.engine import RunSpec, TrainingConfig
from maskcl.errors import ConfigError
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import find

ONE_CLASS_A_TASK = scenario(6)
GONE = Mask(value=-math.inf)

BAD: list[tuple[dict[str, Any], str]] = [
    ({"method": "er", "memory": MemoryConfig(size=0)}, "memory.size: must be 1 or more with method 'er', got 0"),
    ({"method": "finetune", "memory": MemoryConfig(size=5)}, "memory: is not used by method 'finetune'"),
    (
        {"method": "er", "memory": MemoryConfig(size=5, policy="ring")},
        "memory.size: must be 6 or more with policy 'ring': a slot for each class, got 5",
    ),
    (
        {"method": "er", "memory": MemoryConfig(size=5, policy="herding")},
        "memory.size: must be 6 or more with policy 'herding': a slot for each class, got 5",
    ),
    ({"training": {"batch_size": 27}}, "training.batch_size: must not be above the smallest task's 26 rows, got 27"),
    ({"replay_from_task": 3}, "method.replay_from_task: must be below the number of tasks, 3, got 3"),
    ({"mask": Mask(leak=0.1, from_task=3)}, "mask.from_task: must be below the number of tasks, 3, got 3"),
    (
        {"mask": GONE, "tasks": ONE_CLASS_A_TASK},
        "mask.value: must leave old classes in the softmax: task 0 has one class",
    ),
    ({"mask": Mask(leak=0), "tasks": ONE_CLASS_A_TASK}, "mask.leak: must leave old classes in the softmax"),
    (
        {"mask": Mask(value=-math.inf, policy="batch"), "training": {"batch_size": 1}},
        "training.batch_size: must be 2 or more with mask policy 'batch' and m = -inf",
    ),
    (
        {"method": "joint", "cfgm": Cfgm(step=1.0)},
        "cfgm: must be left out with method 'joint', which has no old classes to make",
    ),
    ({"cfgm": Cfgm(step=1.0, from_task=3)}, "cfgm.from_task: must be below the number of tasks, 3, got 3"),
]


@pytest.mark.parametrize(("settings", "text"), BAD, ids=[text for _, text in BAD])
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        spec(**({"method": "er"} | settings))


def test_a_replay_method_needs_a_memory() -> None:
    with pytest.raises(ConfigError, match=r"memory\.size: must be 1 or more with method 'er', got 0"):
        RunSpec(name="a", scenario=SCENARIO, method=find("er")())


def test_a_memory_without_a_policy_has_the_methods() -> None:
    one = spec("er", memory=MemoryConfig(size=8))
    assert (
        one.memory == MemoryConfig(size=8, policy=one.method.needs.policy) == MemoryConfig(size=8, policy="reservoir")
    )
    assert spec("er", memory=MemoryConfig(size=8, policy="ring")).memory == MemoryConfig(size=8, policy="ring")


def test_a_window_shorter_than_a_batch_would_mask_classes_that_are_being_learnt() -> None:
    """Rows of the batch fall out of the window: under m = -inf their own class is gone, and the loss infinite."""
    with pytest.raises(ConfigError, match=r"mask\.recent_rows: must be .* batch"):
        spec("er", mask=Mask(leak=0.1, policy="recent", recent_rows=3), training={"batch_size": 4})


@pytest.mark.parametrize("policy", ["batch", "recent"])
def test_one_class_a_task_leaves_nothing_to_compare_by_batch_either(policy: str) -> None:
    window = {"recent_rows": 4} if policy == "recent" else {}
    with pytest.raises(ConfigError, match=r"must leave old classes in the softmax"):
        spec("er", tasks=ONE_CLASS_A_TASK, mask=Mask(value=-math.inf, policy=policy, **window))


def test_the_last_task_has_no_future_class_to_compare_with() -> None:
    with pytest.raises(ConfigError, match=r"must leave old classes in the softmax: task 5"):
        spec("er", tasks=ONE_CLASS_A_TASK, mask=Mask(value=-math.inf, keep_future=True))


@pytest.mark.parametrize("mask", [Mask(value=-2), Mask(mass=0.0), Mask(leak=0.1)], ids=lambda mask: mask.label)
def test_one_class_a_task_is_fine_where_old_classes_are_compared(mask: Mask) -> None:
    assert spec("er", tasks=ONE_CLASS_A_TASK, mask=mask).method.mask is mask


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"batch_size": 0}, "training.batch_size: must be a whole number, 1 or more, got 0"),
        ({"batch_size": 2.0}, "training.batch_size: must be a whole number, 1 or more, got 2.0"),
        ({"epochs": 0}, "training.epochs: must be a whole number, 1 or more, got 0"),
        ({"epochs": True}, "training.epochs: must be a whole number, 1 or more, got True"),
        ({"evaluate_every": 0}, "training.evaluate_every: must be a whole number, 1 or more, got 0"),
        ({"dtype": "float16"}, "training.dtype: must be one of float32, float64, got 'float16'"),
    ],
)
def test_bad_training_settings_are_refused_by_name(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        TrainingConfig(**settings)
