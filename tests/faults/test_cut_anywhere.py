"""Runs that are cut after any step, again and again, end as runs that were never cut: what the contract leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from contract.test_contract import OPTIONS, Homesick
from torch import Tensor, nn

from maskcl import class_incremental
from maskcl.augment import Augment
from maskcl.cfgm import Cfgm
from maskcl.engine import RunSpec, run_population
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import State, View, find
from maskcl.networks import ConvNet, from_factory
from maskcl.schedule import Schedule
from maskcl.testing import CHECKS, Trial
from maskcl.testing.cutting import assert_same_outcome, in_pieces
from maskcl.testing.small import scenario

IMAGES = (3, 8, 8)
ORDERS = [None, (5, 0, 3, 1, 2, 4), (3, 4, 2, 5, 0, 1)]
EVERY_STEP = {"dtype": "float32", "checkpoint_every": 1, "save_weights": True}
MOMENTUM = {"lr": 0.02, "momentum": 0.9, "weight_decay": 1e-3, "clip_norm": 1.0}


def _dropout(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    hidden = nn.Sequential(nn.Flatten(), nn.Linear(7, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3))
    return nn.Sequential(hidden, nn.Linear(16, num_classes))


def _stream(**how: float) -> dict[str, Any]:
    return {"tasks": class_incremental(scenario((7,)).dataset, num_tasks=3, **how)}  # type: ignore[arg-type]


SETTINGS: dict[str, dict[str, Any]] = {
    "momentum": {"optimizer": MOMENTUM},
    "joint cfgm": {"method": "derpp", "cfgm": Cfgm(step=2.0, num_steps=2, clamp=True, update="joint")},
    "separate cfgm": {"cfgm": Cfgm(step=2.0, norm="l2", loss="kl"), "optimizer": MOMENTUM},
    "batch norm, augmented": {
        "tasks": scenario(IMAGES), "network": ConvNet(hidden=(4,)), "training": {"augment": Augment(crop=2, flip=True)},
    },
    "channels last": {
        "tasks": scenario(IMAGES), "network": ConvNet(hidden=(4,)), "training": {"channels_last": True},
        "executors": ("loop",),
    },
    "dropout": {"network": from_factory(_dropout), "optimizer": MOMENTUM},
    "schedule of a run": {"training": {"schedule": Schedule(name="cosine", span="run", warmup=0.1), "epochs": 2}},
    "anytime": {"training": {"evaluate_every": 2, "epochs": 2}, "mask": Mask(leak=0.1, policy="batch")},
    "blurry": _stream(blurry=0.3, imbalance=0.5),
    "repeats": _stream(repeats=0.5),
    "bfloat16": {"training": {"precision": "bfloat16"}},
    "float64": {"method": "derpp", "training": {"dtype": "float64"}},
    "herding": {"method": "derpp", "memory": MemoryConfig(size=12, policy="herding")},
    "other orders, average": {"orders": ORDERS, "training": {"average": 0.6, "evaluate_every": 3}},
    "cfgm of varied rows": {
        "tasks": scenario(IMAGES), "network": ConvNet(hidden=(4,)), "training": {"average": 0.5},
        "cfgm": Cfgm(step=2.0, per_row=2, crop=2, flip=True),
    },
    "smoothing": {"training": {"label_smoothing": 0.1}, "mask": Mask(value=-2.0, policy="recent", recent_rows=20)},
    "other orders": {"method": "derpp", "orders": ORDERS, "optimizer": {"name": "adam", "lr": 0.003}},
    "other orders, anytime, cfgm": {
        "orders": ORDERS, "cfgm": Cfgm(step=1.0),
        "training": {"evaluate_every": 3, "schedule": Schedule(name="cosine")},
    },
    "other orders, gdumb": {"method": "gdumb", "orders": ORDERS},
}  # fmt: skip


def specs_of(
    method: str = "er", count: int = 3, training: Any = None, orders: Any = None, memory: Any = None, **changes: Any
) -> list[RunSpec]:
    trial, found = Trial(find(method), OPTIONS.get(method, {})), []
    for k in range(count):
        if orders is not None:
            changes["tasks"] = scenario((7,), orders[k])
        spec = trial.spec(k, training=EVERY_STEP | (training or {}), **changes)
        found.append(spec if memory is None else replace(spec, memory=memory))
    return found


@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_that_is_cut_after_any_step_ends_as_if_it_was_not(name: str) -> None:
    settings = dict(SETTINGS[name])
    for executor in settings.pop("executors", ("loop", "stack")):
        specs = specs_of(count=1 if executor == "loop" else 3, **settings)
        whole = run_population(specs, executor=executor, threads=1)
        for one, other in zip(whole, in_pieces(specs, executor=executor), strict=True):
            assert_same_outcome(one, other, what=f"{name}, {executor}")


def test_members_that_others_left_behind_go_on_from_where_they_were() -> None:
    specs = specs_of("derpp", optimizer={"lr": 0.1})
    specs[1] = replace(specs[1], optimizer=replace(specs[1].optimizer, lr=1e30))
    whole = run_population(specs, executor="stack", threads=1)
    assert [outcome.status for outcome in whole] == ["finished", "diverged", "finished"]
    for one, other in zip(whole, in_pieces(specs, executor="stack"), strict=True):
        assert_same_outcome(one, other, what="beside one that diverged")


@dataclass(frozen=True, kw_only=True)
class Growing(Homesick):
    """Remembers more after each task."""

    key = "growing"

    def init_state(self, weights: Sequence[Tensor], num_classes: int) -> State:
        return super().init_state(weights, num_classes) | {"past": [], "rows": weights[0].new_zeros(len(weights[0]), 1)}

    def end_task(self, state: State, view: View) -> State:
        mean = view.outputs(view.task_rows).logits.mean(0)
        longer = torch.cat([state["rows"], mean[:1]])
        return super().end_task(state, view) | {"past": [*state["past"], mean], "rows": longer}


@dataclass(frozen=True, kw_only=True)
class Hidden(Homesick):
    """Remembers in a place of its own, which no checkpoint knows of."""

    key = "hidden"
    calls = []  # type: ignore[var-annotated] # noqa: RUF012

    def init_state(self, weights: Sequence[Tensor], num_classes: int) -> State:
        self.calls.clear()
        return super().init_state(weights, num_classes)

    def loss(self, step: Any) -> Tensor:
        self.calls.append(1)
        return super().loss(step) * (1 + len(self.calls) / 10)


def test_a_method_whose_state_grows_goes_on() -> None:
    CHECKS["interruptions"](Trial(Growing, {}))


def test_a_method_that_remembers_elsewhere_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r"a run .* that was cut: .* must be the same to the last bit"):
        CHECKS["interruptions"](Trial(Hidden, {}))
