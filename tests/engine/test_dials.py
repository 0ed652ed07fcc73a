from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from maskcl.cfgm import Cfgm
from maskcl.engine.dials import cut_settings, stack_settings, structure
from maskcl.mask import Mask
from maskcl.methods import find
from maskcl.optim import OptimizerConfig

SAME: list[tuple[Any, Any]] = [
    (OptimizerConfig(lr=0.1), OptimizerConfig(lr=0.3)),
    (OptimizerConfig(lr=0.1, momentum=0.9, clip_norm=1.0), OptimizerConfig(lr=0.3, momentum=0.5, clip_norm=2.0)),
    (Mask(value=-math.inf), Mask(value=-2)),
    (Mask(leak=0.1, old_scale=0.5), Mask(leak=0.2, old_scale=0.7)),
    (find("derpp")(alpha=0.1, mask=Mask(mass=1.0)), find("derpp")(alpha=0.9, mask=Mask(mass=-1.0))),
    (find("finetune")(cfgm=Cfgm(step=1.0)), find("finetune")(cfgm=Cfgm(step=2.0, weight=0.5))),
]
DIFFERENT: list[tuple[Any, Any]] = [
    (OptimizerConfig(lr=0.1), OptimizerConfig(lr=0.1, momentum=0.9)),
    (OptimizerConfig(lr=0.1), OptimizerConfig(lr=0.1, clip_norm=1.0)),
    (OptimizerConfig(lr=0.1), OptimizerConfig(lr=0.1, name="adam")),
    (Mask(value=-2.0), Mask(mass=-2.0)),
    (Mask(leak=0.1), Mask(leak=0.1, policy="batch")),
    (Mask(leak=0.1), Mask(leak=0.1, from_task=1)),
    (find("er")(), find("er")(mask=Mask(leak=0.1))),
    (find("er")(replay_batch=3), find("er")(replay_batch=4)),
    (find("er")(), find("er_ace")()),
    (find("der")(store="before"), find("der")(store="after")),
    (find("finetune")(cfgm=Cfgm(step=1.0)), find("finetune")(cfgm=Cfgm(step=1.0, clamp=True))),
]


@pytest.mark.parametrize(("first", "second"), SAME, ids=str)
def test_settings_that_differ_in_numbers_alone_can_be_stacked(first: Any, second: Any) -> None:
    assert structure(first) == structure(second)


@pytest.mark.parametrize(("first", "second"), DIFFERENT, ids=str)
def test_settings_that_change_the_computation_cannot(first: Any, second: Any) -> None:
    assert structure(first) != structure(second)


def test_stacking_makes_tensors_where_members_differ_and_leaves_the_rest() -> None:
    methods = [find("derpp")(alpha=0.5, beta=b, mask=Mask(value=v)) for b, v in ((1.0, -math.inf), (0.5, -2), (0.0, 3))]
    stacked: Any = stack_settings(methods, torch.float64)
    assert type(stacked) is type(methods[0])
    assert stacked.alpha == 0.5
    assert stacked.replay_batch == 10
    assert stacked.beta.dtype == torch.float64
    assert stacked.beta.tolist() == [1.0, 0.5, 0.0]
    assert stacked.mask.value.tolist() == [-math.inf, -2.0, 3.0]
    assert stacked.mask.policy == "task"
    assert (methods[0].beta, methods[0].mask.value) == (1.0, -math.inf)


def test_cutting_keeps_the_chosen_members() -> None:
    stacked: Any = stack_settings([find("der")(alpha=a, mask=Mask(leak=a)) for a in (0.1, 0.2, 0.3)], torch.float64)
    cut: Any = cut_settings(stacked, torch.tensor([0, 2]))
    assert cut.alpha.tolist() == cut.mask.leak.tolist() == [0.1, 0.3]
    assert stacked.alpha.tolist() == [0.1, 0.2, 0.3]


def test_one_member_alone_stays_plain_numbers() -> None:
    method = find("der")(alpha=0.3, mask=Mask(leak=0.1))
    assert stack_settings([method], torch.float32) == method
