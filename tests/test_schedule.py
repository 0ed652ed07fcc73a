"""The factors of a schedule against PyTorch's schedulers, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR, SequentialLR

from maskcl.errors import ConfigError
from maskcl.schedule import Schedule

RATE = 0.3


def _pytorch(make: Any, num_steps: int) -> list[float]:
    """The learning rate of each step under a scheduler that is stepped after each."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    scheduler: LRScheduler = make(optimizer)
    rates = []
    for _ in range(num_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def _linear(optimizer: torch.optim.Optimizer, warm: int) -> LinearLR:
    return LinearLR(optimizer, start_factor=1 / warm, end_factor=1.0, total_iters=warm - 1)


PYTORCH: dict[str, tuple[dict[str, Any], int, Any]] = {
    "milestones": (
        {"name": "multistep", "milestones": (0.7, 0.9)},
        50,
        lambda optimizer: MultiStepLR(optimizer, [35, 45], gamma=0.1),
    ),
    "milestones between steps": (
        {"name": "multistep", "milestones": (0.33, 0.5, 0.66), "gamma": 0.5},
        10,
        lambda optimizer: MultiStepLR(optimizer, [3, 5, 7], gamma=0.5),
    ),
    "two milestones in one step": (
        {"name": "multistep", "milestones": (0.5, 0.51), "gamma": 0.2},
        10,
        lambda optimizer: MultiStepLR(optimizer, [5, 5], gamma=0.2),
    ),
    "cosine": ({"name": "cosine"}, 40, lambda optimizer: CosineAnnealingLR(optimizer, T_max=40)),
    "cosine to a tenth": (
        {"name": "cosine", "final": 0.1},
        37,
        lambda optimizer: CosineAnnealingLR(optimizer, T_max=37, eta_min=0.1 * RATE),
    ),
    "warm-up": ({"warmup": 0.25}, 40, lambda optimizer: _linear(optimizer, 10)),
    "warm-up, then cosine": (
        {"name": "cosine", "warmup": 0.2, "final": 0.01},
        50,
        lambda optimizer: SequentialLR(
            optimizer,
            [_linear(optimizer, 10), CosineAnnealingLR(optimizer, T_max=40, eta_min=0.01 * RATE)],
            milestones=[10],
        ),
    ),
    "warm-up, then milestones": (
        {"name": "multistep", "milestones": (0.5,), "warmup": 0.1},
        30,
        lambda optimizer: SequentialLR(
            optimizer, [_linear(optimizer, 3), MultiStepLR(optimizer, [12], gamma=0.1)], milestones=[3]
        ),
    ),
    "constant": ({}, 7, lambda optimizer: ConstantLR(optimizer, factor=1.0)),
}


@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step()`")  # SequentialLR's own call
@pytest.mark.parametrize("name", PYTORCH)
def test_factors_are_those_of_pytorch(name: str) -> None:
    settings, num_steps, make = PYTORCH[name]
    np.testing.assert_allclose(RATE * Schedule(**settings).factors(num_steps), _pytorch(make, num_steps), rtol=1e-12)


def test_a_milestone_falls_at_its_epoch_whatever_the_number_of_steps() -> None:
    for steps_an_epoch in range(1, 200):
        factors = Schedule(name="multistep", milestones=(0.7, 0.9)).factors(50 * steps_an_epoch)
        falls = np.flatnonzero(np.diff(factors)) + 1
        assert falls.tolist() == [35 * steps_an_epoch, 45 * steps_an_epoch]


def test_constant_is_exactly_one() -> None:
    assert Schedule().is_constant
    assert Schedule().factors(5).tolist() == [1.0] * 5
    assert not any(one.is_constant for one in (Schedule(warmup=0.1), Schedule(name="cosine")))


def test_the_cosine_ends_at_its_final_factor_one_step_after_the_span() -> None:
    factors = Schedule(name="cosine", final=0.2).factors(1000)
    assert factors[0] == 1.0
    assert 0.2 < factors[-1] < 0.2 + 1e-5


@pytest.mark.parametrize("settings", [{}, {"warmup": 0.5}, {"name": "cosine", "warmup": 0.9},
                                      {"name": "multistep", "milestones": (0.5,)}])  # fmt: skip
@pytest.mark.parametrize("num_steps", [0, 1, 2, 3])
def test_short_spans_have_a_finite_factor_a_step(settings: dict[str, Any], num_steps: int) -> None:
    factors = Schedule(**settings).factors(num_steps)
    assert (factors.shape, factors.dtype) == ((num_steps,), np.dtype("float64"))
    assert ((factors > 0) & (factors <= 1)).all()


def test_lists_of_an_experiment_file_become_tuples() -> None:
    schedule = Schedule(name="multistep", milestones=[0.5, 0.75])  # type: ignore[arg-type]
    assert schedule == Schedule(name="multistep", milestones=(0.5, 0.75))
    assert hash(schedule) is not None


ASCENDING = "schedule.milestones: must be numbers between 0 and 1, each above the one before"
EPOCHS = "hint: shares of the span: epochs 35 and 45 of 50 are 0.7 and 0.9"
STEPS = {"name": "multistep", "milestones": (0.5,)}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": "cosin"}, "schedule.name: must be one of constant, multistep, cosine, got 'cosin'. "
     "Did you mean 'cosine'?"),
    ({"name": "multistep"}, "schedule.milestones: must name one or more with name 'multistep', got ()."),
    ({"milestones": (0.5,)}, "schedule.milestones: acts only with name 'multistep', got (0.5,)."),
    ({**STEPS, "milestones": (0.9, 0.7)}, f"{ASCENDING}, got (0.9, 0.7).\n{EPOCHS}"),
    ({**STEPS, "milestones": (0.5, 0.5)}, f"{ASCENDING}, got (0.5, 0.5).\n{EPOCHS}"),
    ({**STEPS, "milestones": (35, 45)}, f"{ASCENDING}, got (35, 45).\n{EPOCHS}"),
    ({**STEPS, "milestones": (0.0,)}, f"{ASCENDING}, got (0.0,).\n{EPOCHS}"),
    ({**STEPS, "milestones": (float("nan"),)}, f"{ASCENDING}, got (nan,).\n{EPOCHS}"),
    ({**STEPS, "milestones": 0.5}, f"{ASCENDING}, got 0.5.\n{EPOCHS}"),
    ({**STEPS, "milestones": "0.5"}, f"{ASCENDING}, got '0.5'.\n{EPOCHS}"),
    ({**STEPS, "warmup": 0.6}, "schedule.milestones: must come after the warm-up, which ends at 0.6, got (0.5,)."),
    ({**STEPS, "gamma": 0.0}, "schedule.gamma: must be a finite number above 0, got 0.0."),
    ({**STEPS, "gamma": float("inf")}, "schedule.gamma: must be a finite number above 0, got inf."),
    ({**STEPS, "gamma": True}, "schedule.gamma: must be a finite number above 0, got True."),
    ({"name": "cosine", "gamma": 0.5}, "schedule.gamma: acts only with name 'multistep', got 0.5."),
    ({"warmup": 1.0}, "schedule.warmup: must be a share of the span in [0, 1), got 1.0."),
    ({"warmup": -0.1}, "schedule.warmup: must be a share of the span in [0, 1), got -0.1."),
    ({"warmup": "0.1"}, "schedule.warmup: must be a share of the span in [0, 1), got '0.1'."),
    ({"name": "cosine", "final": 1.5}, "schedule.final: must be in [0, 1], got 1.5."),
    ({"final": 0.5}, "schedule.final: acts only with name 'cosine', got 0.5."),
    ({"name": "cosine", "span": "epoch"}, "schedule.span: must be one of task, run, got 'epoch'."),
    ({"span": "run"}, "schedule.span: acts only where the rate changes, got 'run'.\nhint: give a name or a warmup"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "text"), REFUSED, ids=[str(settings) for settings, _ in REFUSED])
def test_every_bad_value_is_refused_in_one_sentence(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Schedule(**settings)
    assert str(caught.value) == text


def test_a_negative_number_of_steps_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_steps: must be 0 or more, got -1"):
        Schedule().factors(-1)
