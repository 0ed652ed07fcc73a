from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import maskcl
from maskcl.errors import ConfigError, DataError, MissingDataError
from maskcl.networks import (
    NETWORKS,
    ConvNet,
    Mlp,
    Network,
    ResNet18,
    build_network,
    fingerprint,
    from_factory,
    register,
)
from maskcl.weights import FORMAT, load_network, network_info, save_network

SHAPE, CLASSES = (3, 8, 8), 5


class Tied(nn.Module):
    """Two layers with one weight, and a buffer that is not saved."""

    def __init__(self, num_inputs: int, num_classes: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(num_inputs, num_inputs), nn.Linear(num_inputs, num_inputs)
        self.second.weight = self.first.weight
        self.last = nn.Linear(num_inputs, num_classes)
        self.register_buffer("shift", torch.full((num_inputs,), 0.5), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x.flatten(1)).relu()) + self.shift)


def tied(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return Tied(torch.Size(input_shape).numel(), num_classes)


def trained(network: Network, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A network with running statistics and weights unlike any initial ones."""
    module = build_network(network, SHAPE, CLASSES, seed=1).to(dtype)
    module(torch.rand(6, *SHAPE, dtype=dtype)).square().sum().backward()
    torch.optim.SGD(module.parameters(), lr=0.01).step()
    return module


def save(path: Path, network: Network, dtype: torch.dtype = torch.float32, **told: Any) -> nn.Module:
    module = trained(network, dtype)
    save_network(path, module, network=network, input_shape=SHAPE, num_classes=CLASSES, **told)
    return module


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.safetensors"


@pytest.fixture
def _unregistered() -> Iterator[None]:
    yield
    NETWORKS.remove("tied")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("network", [Mlp(hidden=(4,), classifier="cosine"), ConvNet(hidden=(4,)), ResNet18(width=2)])
def test_a_network_comes_back_with_its_weights_and_statistics(path: Path, network: Network, dtype: torch.dtype) -> None:
    module = save(path, network, dtype)
    assert module.training
    again = maskcl.load_network(path)
    assert not any(part.training for part in again.modules())
    for name, tensor in module.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
        assert again.state_dict()[name].dtype == tensor.dtype
    x = torch.rand(3, *SHAPE, dtype=dtype)
    assert torch.equal(again(x), module.eval()(x))
    assert all(p.requires_grad for p in again.parameters())


def test_the_header_says_what_the_network_was_trained_on(path: Path) -> None:
    told = {"tasks": ((0, 1), (2, 3, 4)), "input_range": (0, 1), "input_scaling": "/ 255", "about": {"seed": 3}}
    module = save(path, Mlp(hidden=(4,)), **told)
    info = load_network(path).maskcl_info
    assert info == network_info(path)
    assert info.network == {"name": "mlp", "hidden": [4], "classifier": "linear", "initialisation": "default"}
    assert (info.input_shape, info.num_classes, info.format) == (SHAPE, CLASSES, FORMAT)
    assert (info.tasks, info.input_range) == (((0, 1), (2, 3, 4)), (0.0, 1.0))
    assert (info.input_scaling, info.about) == ("/ 255", {"seed": 3})
    assert (info.maskcl, info.torch) == (maskcl.__version__, torch.__version__)
    assert info.fingerprint == fingerprint(module)


def test_other_programs_can_read_the_weights(path: Path) -> None:
    module = save(path, Mlp(hidden=(4,)))
    found = load_file(path)
    assert set(found) == set(module.state_dict())
    assert torch.equal(found["1.weight"], module.state_dict()["1.weight"])


def test_loading_leaves_the_random_state_alone(path: Path) -> None:
    save(path, Mlp(hidden=(4,)))
    before = torch.get_rng_state()
    load_network(path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_of_ones_own_needs_its_factory(path: Path, dtype: torch.dtype) -> None:
    module = save(path, from_factory(tied), dtype)
    with pytest.raises(ConfigError, match=r"must be given, for the file holds a network of one's own.\nhint: .*tied$"):
        load_network(path)
    again = load_network(path, network=tied)
    assert again.first.weight is again.second.weight
    x = torch.rand(3, *SHAPE, dtype=dtype)
    assert torch.equal(again(x), module.eval()(x))


@pytest.mark.usefixtures("_unregistered")
def test_a_registered_factory_is_found_by_its_name(path: Path) -> None:
    register(tied, key="tied")
    save(path, NETWORKS["tied"]())
    assert isinstance(load_network(path), Tied)
    NETWORKS.remove("tied")
    with pytest.raises(ConfigError, match=r"network: must be given, .* \(network.name: must be one of mlp, .* 'tied'"):
        load_network(path)
    assert isinstance(load_network(path, network=tied), Tied)
    register(tied, key="tied")


@pytest.mark.parametrize(
    "network",
    [
        Mlp(hidden=(5,)),
        Mlp(hidden=(4,), classifier="cosine"),
        lambda shape, classes: nn.Sequential(
            nn.Flatten(), nn.Linear(192, 4), nn.Tanh(), nn.Linear(4, classes)
        ),  # the same weights
    ],
)
def test_another_network_than_the_files_is_refused(path: Path, network: Any) -> None:
    save(path, Mlp(hidden=(4,)))
    with pytest.raises(
        ConfigError, match=r"a.safetensors: network: must be the network in the file, 'mlp' with"
    ) as error:
        load_network(path, network=network)
    assert "\n" not in str(error.value)


def test_a_module_that_the_network_does_not_build_is_not_saved(path: Path) -> None:
    with pytest.raises(
        ConfigError, match="save_network: must be given a module that 'convnet' builds, got 'Sequential'"
    ):
        save_network(path, trained(Mlp()), network=ConvNet(), input_shape=SHAPE, num_classes=CLASSES)
    assert not path.exists()


def test_values_that_json_does_not_have_are_not_saved(path: Path) -> None:
    with pytest.raises(ConfigError, match="must be told values that JSON has"):
        save(path, Mlp(), about={"x": torch.ones(1)})
    assert list(path.parent.iterdir()) == []


def test_a_file_that_cannot_be_written_leaves_nothing_behind(path: Path) -> None:
    path.mkdir()
    with pytest.raises(ConfigError, match="must be a file that can be written"):
        save(path, Mlp())
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"a.safetensors: must be a file of weights, and is not there\.$"):
        load_network(path)


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, -1])
def test_a_truncated_file_is_refused(path: Path, kept: float) -> None:
    save(path, Mlp(hidden=(4,)))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept == 0.5 else kept])
    for read in (load_network, network_info):
        with pytest.raises(DataError, match=r"must be a whole safetensors file \(.*\)\.$"):
            read(path)


def test_what_is_no_safetensors_file_is_refused(path: Path) -> None:
    torch.save({"a": torch.ones(2)}, path)
    with pytest.raises(DataError, match="must be a whole safetensors file"):
        load_network(path)
    with pytest.raises(MissingDataError, match=r"must be a file of weights, and is a folder\.$"):
        load_network(path.parent)


def _resaved(path: Path, **changes: Any) -> None:
    """The file with other values in its header."""
    header = json.loads(network_info(path).to_text()) | changes
    save_file(load_file(path), path, {"maskcl": json.dumps(header)})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"format": 2}, r"must have a header of format 1, got 2.\nhint: it was written by maskcl"),
        ({"num_classes": "5"}, "must have a header that is whole"),
        ({"input_shape": None}, "must have a header that is whole"),
        ({"input_shape": [-1]}, "must have a header that is whole"),
        ({"network": "mlp"}, "must have a header that is whole"),
        ({"network": {}}, "must have a header that is whole"),
        ({"colour": "red"}, "must have a header that is whole"),
        ({"input_range": [1]}, "must have a header that is whole"),
    ],
)
def test_broken_headers_are_refused(path: Path, changes: dict[str, Any], text: str) -> None:
    save(path, Mlp(hidden=(4,)))
    _resaved(path, **changes)
    with pytest.raises(DataError, match="a.safetensors: " + text):
        load_network(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"maskcl": "{"}, {"maskcl": "[]"}, {"maskcl": "{}"}])
def test_files_of_other_programs_are_refused(path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"a": torch.ones(2)}, path, metadata)
    with pytest.raises(DataError, match=r"must (be a network|have a header) that maskcl wrote, and has"):
        load_network(path)


def test_a_header_that_names_a_giant_is_refused_before_it_is_built(path: Path) -> None:
    save(path, Mlp(hidden=(4,)))
    _resaved(path, input_shape=[10**6, 10**6])
    with pytest.raises(ConfigError, match="must be the network in the file"):
        load_network(path)
    _resaved(path, input_shape=list(SHAPE), network={"name": "mlp", "hidden": [-1]})
    with pytest.raises(ConfigError, match=r"cannot be built \(network.hidden: must be widths above 0"):
        load_network(path)
