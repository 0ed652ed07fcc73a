"""What happens between the steps, on a device whose tensors NumPy cannot have: starts, task ends, evaluations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine.far import FAR, FarAway, FarTensor
from engine.small import scenario, spec, train

from maskcl.augment import Augment
from maskcl.cfgm import Cfgm
from maskcl.engine import Population
from maskcl.engine.state import named_tensors
from maskcl.functional.prototypes import class_means
from maskcl.memory import MemoryConfig
from maskcl.methods import REGISTRY
from maskcl.networks import ConvNet

TASKS, IMAGES = scenario(2, rows=9, classes=4), scenario(2, rows=9, classes=4, shape=(3, 6, 6))
HERDING = MemoryConfig(size=8, policy="herding")

CASES = {
    **{key: {"method": key} for key in REGISTRY},
    "derpp, herding": {"method": "derpp", "memory": HERDING},
    "er, herding": {"method": "er", "memory": HERDING},
    "icarl, images": {"method": "icarl", "tasks": IMAGES, "network": ConvNet(hidden=(4,)),
                      "training": {"augment": Augment(flip=True), "dtype": "float64"}},
    "finetune, cfgm": {"method": "finetune", "cfgm": Cfgm(step=1.0)},
}  # fmt: skip


@pytest.mark.parametrize("stacked", [False, True], ids=["loop", "stack"])
@pytest.mark.parametrize("case", CASES)
def test_a_run_goes_from_task_to_task_where_numpy_cannot_reach(case: str, stacked: bool) -> None:
    specs = [spec(**{"tasks": TASKS, **CASES[case]}, seed=k) for k in range(2 if stacked else 1)]
    near = train(Population(specs, stacked=stacked))
    with FarAway():
        far = Population(specs, stacked=stacked, device=FAR)
        assert all(isinstance(tensor, FarTensor) for _, tensor in named_tensors(far.state.tensors()))
        train(far)
        judged = far.evaluate(1)
        assert far.finite() == [True] * far.num_members
    for mine, theirs in zip(judged, near.evaluate(1), strict=True):
        np.testing.assert_allclose(mine.class_incremental, theirs.class_incremental)
        np.testing.assert_allclose(mine.confidence, theirs.confidence, atol=1e-9)


def test_the_far_device_refuses_what_cuda_refuses() -> None:
    with FarAway():
        there = torch.ones(3, device=FAR)
        assert there.device == FAR
        assert (there + 1).cpu().tolist() == [2, 2, 2]
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        with pytest.raises(TypeError, match="numpy"):
            np.asarray(there)
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(3)
        with pytest.raises(RuntimeError, match="other last bits"):
            there.index_add_(0, torch.tensor([0, 0]).to(FAR), torch.ones(2).to(FAR))


def test_class_means_are_the_same_where_they_are_a_product() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(50, 7, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (50,), generator=generator)
    with FarAway():
        found = class_means(features.to(FAR), labels.to(FAR), 6).cpu()
    torch.testing.assert_close(found, class_means(features, labels, 6), rtol=0, atol=1e-14)
    assert found[4:].abs().sum() == 0, "classes without rows"
