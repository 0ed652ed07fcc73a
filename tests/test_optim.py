"""Every optimiser against `torch.optim`, for one run and for a population whose members differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from maskcl.engine.dials import stack_settings
from maskcl.errors import ConfigError
from maskcl.optim import Optimizer, OptimizerConfig

SHAPES = [(4, 3), (4,), (2, 4, 1)]
STEPS = 12
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "sgd": [{"lr": lr} for lr in (0.1, 0.02, 0.5)],
    "decay": [{"lr": lr, "weight_decay": d} for lr, d in ((0.1, 0.2), (0.02, 1e-3), (0.5, 0.05))],
    "momentum": [{"lr": lr, "momentum": m} for lr, m in ((0.1, 0.9), (0.02, 0.5), (0.3, 0.99))],
    "clip": [{"lr": lr, "clip_norm": c} for lr, c in ((0.1, 0.5), (0.1, 3.0), (0.2, 100.0))],
    "all of sgd": [
        {"lr": lr, "momentum": 0.9, "weight_decay": d, "clip_norm": c}
        for lr, d, c in ((0.1, 0.2, 0.5), (0.02, 1e-3, 3.0), (0.3, 0.05, 100.0))
    ],
    "adam": [{"name": "adam", "lr": lr} for lr in (1e-3, 1e-2, 0.3)],
    "adam with decay and clip": [
        {"name": "adam", "lr": lr, "weight_decay": d, "clip_norm": 1.0}
        for lr, d in ((1e-3, 0.1), (1e-2, 1e-3), (0.3, 1.0))
    ],
}


def _tensors(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in SHAPES]


def _gradient(seed: int, step: int) -> list[Tensor]:
    return _tensors(1000 + 50 * seed + step)


def _pytorch(seed: int, settings: dict[str, Any]) -> list[Tensor]:
    """Where PyTorch's optimiser takes the same parameters on the same gradients."""
    options = {name: number for name, number in settings.items() if name not in ("name", "clip_norm")}
    params = [p.requires_grad_() for p in _tensors(seed)]
    kind = torch.optim.Adam if settings.get("name") == "adam" else torch.optim.SGD
    optimizer = kind(params, **options)
    for step in range(STEPS):
        for param, grad in zip(params, _gradient(seed, step), strict=True):
            param.grad = grad
        if "clip_norm" in settings:
            torch.nn.utils.clip_grad_norm_(params, settings["clip_norm"])
        optimizer.step()
    return [p.detach() for p in params]


@pytest.mark.parametrize("name", SETTINGS)
def test_one_run_is_pytorch(name: str) -> None:
    for seed, settings in enumerate(SETTINGS[name]):
        params = _tensors(seed)
        optimizer = Optimizer(OptimizerConfig(**settings), params, stacked=False)
        for step in range(STEPS):
            optimizer.step(_gradient(seed, step))
        for mine, theirs in zip(params, _pytorch(seed, settings), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SETTINGS)
def test_members_of_a_population_are_each_pytorch_and_never_mix(name: str) -> None:
    members = SETTINGS[name]
    params = [torch.stack(parts) for parts in zip(*map(_tensors, range(len(members))), strict=True)]
    config = stack_settings([OptimizerConfig(**settings) for settings in members], torch.float64)
    optimizer = Optimizer(config, params, stacked=True)
    for step in range(STEPS):
        grads = zip(*(_gradient(seed, step) for seed in range(len(members))), strict=True)
        optimizer.step([torch.stack(parts) for parts in grads])
    for seed, settings in enumerate(members):
        for mine, theirs in zip(params, _pytorch(seed, settings), strict=True):
            torch.testing.assert_close(mine[seed], theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("updates", "sent"), [([4, 4, 4], 0), ([4, 9, 4], 2)])
def test_adam_corrects_its_bias_once_a_step_for_all_parameters(
    updates: list[int], sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members that have made different numbers of updates need numbers of their own, sent to the device."""
    counts: list[Tensor] = []
    monkeypatch.setattr("maskcl.optim.send", lambda tensor, device: counts.append(tensor) or tensor)
    params = [torch.stack(parts) for parts in zip(*map(_tensors, range(3)), strict=True)]
    before, done = [p.clone() for p in params], np.array(updates)
    optimizer = Optimizer(OptimizerConfig(name="adam", lr=0.1), params, stacked=True, updates=done)
    grads = [torch.ones_like(p) for p in params]
    optimizer.step(grads)
    assert len(counts) == sent
    for count, old, new in zip(
        np.array(updates) + 1, zip(*before, strict=True), zip(*params, strict=True), strict=True
    ):
        step = 0.1 * (0.1 / (1 - 0.9**count)) / ((0.001 / (1 - 0.999**count)) ** 0.5 + 1e-8)
        for was, now in zip(old, new, strict=True):
            torch.testing.assert_close(now, was - step, rtol=1e-12, atol=1e-12)


def test_a_member_with_nan_gradients_leaves_the_others_alone() -> None:
    params = [torch.ones(2, 3, dtype=torch.float64)]
    optimizer = Optimizer(OptimizerConfig(lr=0.1, momentum=0.9, clip_norm=1.0), params, stacked=True)
    optimizer.step([torch.tensor([[torch.nan, 1.0, 1.0], [0.3, 0.0, 0.0]], dtype=torch.float64)])
    assert params[0][1].tolist() == pytest.approx([0.97, 1.0, 1.0])


@pytest.mark.parametrize(
    ("settings", "plain"),
    [
        ({}, True),
        ({"momentum": 0.5}, False),
        ({"weight_decay": 0.1}, False),
        ({"clip_norm": 1.0}, False),
        ({"name": "adam"}, False),
    ],
)
def test_only_sgd_without_extras_is_plain(settings: dict[str, Any], plain: bool) -> None:
    assert OptimizerConfig(**settings).is_plain_sgd is plain


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"name": "adamw"}, "optimizer.name: must be one of sgd, adam, got 'adamw'. Did you mean 'adam'?"),
        ({"lr": 0}, "optimizer.lr: must be a number above 0, got 0"),
        ({"lr": float("nan")}, "optimizer.lr: must be a number above 0, got nan"),
        ({"lr": "0.1"}, "optimizer.lr: must be a number above 0, got '0.1'"),
        ({"lr": True}, "optimizer.lr: must be a number above 0, got True"),
        ({"momentum": 1.0}, r"optimizer.momentum: must be in \[0, 1\), got 1.0"),
        ({"name": "adam", "momentum": 0.9}, "optimizer.momentum: acts only with name 'sgd', got 0.9"),
        ({"weight_decay": -1e-4}, "optimizer.weight_decay: must be 0 or more, got -0.0001"),
        ({"weight_decay": float("inf")}, "optimizer.weight_decay: must be 0 or more, got inf"),
        ({"clip_norm": 0.0}, "optimizer.clip_norm: must be above 0, or left out, got 0.0"),
    ],
)
def test_bad_settings_are_refused_by_name(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        OptimizerConfig(**settings)
