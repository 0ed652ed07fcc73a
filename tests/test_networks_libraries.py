"""timm and torchvision themselves, where they are installed: small networks of theirs in every part of a run.

To have them beside a CPU build of PyTorch: `pip install timm "torch==2.13.0"` with the torch that is there already.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskcl.data import Dataset, from_arrays
from maskcl.errors import ConfigError, MaskclWarning
from maskcl.experiment import run
from maskcl.methods import find as find_method
from maskcl.networks import Network, build_network, find, find_classifier, fingerprint, num_features
from maskcl.networks.libraries import library
from maskcl.testing import Trial, small
from maskcl.weights import load_network

TINY: dict[str, dict[str, Any]] = {
    "timm/mobilenetv3_small_100": {},
    "timm/vit_tiny_patch16_224": {"patch_size": 4, "options": {"depth": 2, "embed_dim": 24}},
    "timm/swin_tiny_patch4_window7_224": {
        "image_size": 28,
        "patch_size": 4,
        "options": {"depths": [2, 1], "embed_dim": 12, "num_heads": [1, 1], "drop_path_rate": 0.3},
    },
    "torchvision/shufflenet_v2_x0_5": {},
    "torchvision/vit_b_32": {"image_size": 64},
}
PARAMETERS = {"timm/mobilenetv3_small_100": 1_528_106, "torchvision/shufflenet_v2_x0_5": 352_042}
"""As published, with a head for 10 classes in place of the one for 1,000."""


def network(key: str) -> Network:
    """One of the networks above, or a skip that says why there is none."""
    name = key.split("/")[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a library says on import is its own
            library(name)
    except ConfigError as error:
        pytest.skip(str(error).splitlines()[0])
    return find(key)(**TINY[key])


@pytest.mark.parametrize("key", TINY)
def test_it_is_built_from_its_seed_with_a_head_for_these_classes(key: str) -> None:
    one = network(key)
    first, again, other = (build_network(one, (3, 32, 32), 10, seed=seed) for seed in (1, 1, 2))
    assert fingerprint(first) == fingerprint(other)
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)]
    assert all(same)
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    classifier = find_classifier(first, one.classifier_name)
    assert first.get_submodule(classifier).weight.shape == (10, num_features(first, classifier))
    assert PARAMETERS.get(key) in (None, sum(p.numel() for p in first.parameters()))


@pytest.mark.parametrize("key", [key for key in TINY if "vit_b" not in key])
def test_the_stack_trains_what_the_loop_trains(key: str) -> None:
    one = network(key)
    # Steps of many rows: BatchNorm over 2 or 3 rows of one pixel makes 1e-3 of the last bit of a number.
    trial = Trial(find_method("derpp"), {"replay_batch": 12})
    settings: dict[str, Any] = {"optimizer": {"lr": 1e-3}, "training": {"batch_size": 13}}
    specs = [trial.spec(k, tasks=small.scenario((3, 32, 32)), network=one, **settings) for k in range(2)]
    together = small.train(specs, stacked=True, tasks=[0])
    for k, spec in enumerate(specs):
        alone = small.train([spec], stacked=False, tasks=[0])
        for name, far in small.difference(together, alone, (k, 0)).items():
            assert far <= 1e-6, f"{key}: {name} differs by {far:g}"


def images() -> Dataset:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 8)
    rows = rng.random((32, 1, 32, 32), dtype=np.float32)
    return from_arrays(rows, labels, rows[::2], labels[::2], input_range=(0.0, 1.0))


@pytest.mark.parametrize("key", ["timm/mobilenetv3_small_100", "torchvision/shufflenet_v2_x0_5"])
def test_grey_images_features_and_saved_weights(key: str, tmp_path: Path) -> None:
    """iCaRL looks at features; the weights that a run saves start another, whose head is for other classes."""
    one = network(key)
    settings: dict[str, Any] = {"scenario": {"num_tasks": 2}, "method": "icarl", "memory": {"size": 8}, "seeds": 1}
    settings["training"] = {"batch_size": 8, "save_weights": True}
    found = run(settings, dataset=images(), network=one, out=tmp_path)
    assert found.runs[0]["status"] == "finished"
    (path,) = tmp_path.rglob("*.safetensors")
    again = load_network(path)
    assert again(torch.zeros(2, 1, 32, 32)).shape == (2, 4)
    started = find(key)(weights=str(path), **TINY[key])
    with pytest.warns(MaskclWarning, match="is left out and starts anew"):
        module = build_network(started, (1, 32, 32), 10, seed=0)
    kept, classifier = again.state_dict(), find_classifier(module, started.classifier_name)
    for name, value in module.state_dict().items():
        assert name.startswith(classifier) or torch.equal(value, kept[name])


def test_images_that_a_transformer_cannot_take_are_refused() -> None:
    network("timm/vit_tiny_patch16_224")
    with pytest.raises(ConfigError, match=r"network: must map inputs \[2, 1, 8, 8\] to logits \[2, 10\], and raised"):
        build_network(find("timm/vit_tiny_patch16_224")(), (1, 8, 8), 10, seed=0)
