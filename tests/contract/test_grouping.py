"""What `auto` and the number of runs decide changes no result: in float32 a member has the same bits in any group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contract.test_contract import OPTIONS

from maskcl.cfgm import Cfgm
from maskcl.engine import run_population
from maskcl.mask import Mask
from maskcl.methods import REGISTRY
from maskcl.testing import Trial

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "leak": {"mask": Mask(leak=0.1, policy="batch")},
    "value": {"mask": Mask(value=-2.0, policy="batch")},
    "joint cfgm": {"cfgm": Cfgm(step=2.0, num_steps=2, clamp=True, update="joint")},
    "separate cfgm": {"cfgm": Cfgm(step=2.0, norm="l2", loss="kl")},
    "adam": {"optimizer": {"name": "adam", "lr": 0.003}},
    "momentum": {"optimizer": {"lr": 0.02, "momentum": 0.9, "clip_norm": 1.0}},
}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("key", REGISTRY)
def test_a_member_has_the_same_bits_in_any_group_and_on_any_number_of_cores(key: str, settings: str) -> None:
    trial, changes = Trial(REGISTRY[key], OPTIONS.get(key, {})), SETTINGS[settings]
    for name in ("mask", "cfgm"):
        if name in changes and getattr(trial.needs, f"no_{name}"):
            pytest.skip(f"{key} takes no {name}")
    specs = [trial.spec(k, training={"dtype": "float32"}, **changes) for k in range(5)]
    alone = run_population(specs, group_size=1, threads=1)
    for group_size, threads in ((5, 1), (2, 2), (3, 2)):
        for mine, other in zip(run_population(specs, group_size=group_size, threads=threads), alone, strict=True):
            np.testing.assert_array_equal(mine.confidence, other.confidence)
            np.testing.assert_array_equal(mine.class_incremental, other.class_incremental)
