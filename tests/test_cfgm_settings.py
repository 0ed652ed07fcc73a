from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from maskcl.cfgm import Cfgm
from maskcl.errors import ConfigError


def test_the_defaults_are_the_authors_variant() -> None:
    assert dataclasses.asdict(Cfgm(step=2.0)) == {
        "step": 2.0,
        "num_steps": 1,
        "norm": "raw",
        "clamp": False,
        "draw": "uniform",
        "per_row": 1,
        "generator": "current",
        "target": "frozen",
        "loss": "mse",
        "temperature": 1.0,
        "update": "separate",
        "weight": 1.0,
        "from_task": 1,
        "crop": 0,
        "flip": False,
    }
    assert Cfgm.authors(10) == Cfgm(step=2.0)


@pytest.mark.parametrize(("batch_size", "step"), [(10, 2.0), (4, 5.0), (128, 0.15625)])
def test_the_authors_step_is_20_over_the_batch(batch_size: int, step: float) -> None:
    assert Cfgm.authors(batch_size).step == step


def test_the_authors_variant_takes_changes() -> None:
    assert Cfgm.authors(10, clamp=True) == Cfgm(step=2.0, clamp=True)
    assert Cfgm.authors(10, step=7.0).step == 7.0


def test_the_step_has_no_default_and_a_setting_does_not_change() -> None:
    with pytest.raises(TypeError, match="step"):
        Cfgm()  # type: ignore[call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Cfgm(step=1.0).step = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({"step": 2}, "cfgm step=2"),
        ({"step": 0.0}, "cfgm step=0"),
        ({"step": 7.1, "clamp": True}, "cfgm step=7.1 clamp=True"),
        (
            {"step": 1.0, "num_steps": 3, "norm": "sign", "weight": 0.5, "from_task": 2},
            "cfgm step=1 num_steps=3 norm=sign weight=0.5 from_task=2",
        ),
        ({"step": 1.0, "loss": "kl", "temperature": 2.0}, "cfgm step=1 loss=kl temperature=2"),
    ],
)
def test_the_label_tells_the_step_and_what_is_not_default(settings: dict[str, Any], label: str) -> None:
    assert Cfgm(**settings).label == label


NUMBER = "must be a finite number, 0 or more"
WHOLE = "must be a whole number, 1 or more"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"step": -1.0}, f"cfgm.step: {NUMBER}, got -1.0."),
    ({"step": float("nan")}, f"cfgm.step: {NUMBER}, got nan."),
    ({"step": float("inf")}, f"cfgm.step: {NUMBER}, got inf."),
    ({"step": True}, f"cfgm.step: {NUMBER}, got True."),
    ({"step": "2"}, f"cfgm.step: {NUMBER}, got '2'."),
    ({"step": None}, f"cfgm.step: {NUMBER}, got None."),
    ({"weight": -0.5}, f"cfgm.weight: {NUMBER}, got -0.5."),
    ({"weight": float("nan")}, f"cfgm.weight: {NUMBER}, got nan."),
    ({"loss": "kl", "temperature": 0.0}, "cfgm.temperature: must be a finite number, above 0, got 0.0."),
    ({"loss": "kl", "temperature": float("inf")}, "cfgm.temperature: must be a finite number, above 0, got inf."),
    ({"num_steps": 0}, f"cfgm.num_steps: {WHOLE}, got 0."),
    ({"num_steps": 1.0}, f"cfgm.num_steps: {WHOLE}, got 1.0."),
    ({"num_steps": True}, f"cfgm.num_steps: {WHOLE}, got True."),
    ({"per_row": 0}, f"cfgm.per_row: {WHOLE}, got 0."),
    (
        {"from_task": 0},
        f"cfgm.from_task: {WHOLE}, got 0.\nhint: the first task has no old class, and no network before it",
    ),
    ({"clamp": "yes"}, "cfgm.clamp: must be true or false, got 'yes'."),
    ({"clamp": 1}, "cfgm.clamp: must be true or false, got 1."),
    ({"clamp": (0.0, 1.0)}, "cfgm.clamp: must be true or false, got (0.0, 1.0)."),
    ({"norm": "l1"}, "cfgm.norm: must be one of raw, l2, sign, got 'l1'. Did you mean 'l2'?"),
    ({"draw": "unifrom"}, "cfgm.draw: must be one of uniform, balanced, got 'unifrom'. Did you mean 'uniform'?"),
    ({"draw": None}, "cfgm.draw: must be one of uniform, balanced, got None."),
    (
        {"generator": "curent"},
        "cfgm.generator: must be one of current, frozen, got 'curent'. Did you mean 'current'?",
    ),
    ({"target": "labels"}, "cfgm.target: must be one of frozen, label, got 'labels'. Did you mean 'label'?"),
    ({"loss": "msee"}, "cfgm.loss: must be one of mse, kl, got 'msee'. Did you mean 'mse'?"),
    ({"update": "seperate"}, "cfgm.update: must be one of separate, joint, got 'seperate'. Did you mean 'separate'?"),
    (
        {"target": "label", "loss": "kl"},
        "cfgm.loss: acts only with target 'frozen' (target 'label' takes cross-entropy), got 'kl'.",
    ),
    ({"temperature": 2.0}, "cfgm.temperature: acts only with loss 'kl', got 2.0."),
]


@pytest.mark.parametrize(("settings", "text"), REFUSED, ids=[str(settings) for settings, _ in REFUSED])
def test_every_bad_value_is_refused_in_one_sentence(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Cfgm(**({"step": 1.0} | settings))
    assert str(caught.value) == text
