from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn

from maskcl.errors import ConfigError
from maskcl.networks import CosineLinear, NetworkConfig, build_network


def _weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_the_published_network_has_its_number_of_weights() -> None:
    network = build_network(NetworkConfig(), (1, 28, 28), 10, seed=0)
    assert _weights(network).numel() == 784 * 100 + 100 + 100 * 100 + 100 + 100 * 10 + 10
    assert network(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_no_hidden_layer_is_a_linear_classifier() -> None:
    network = build_network(NetworkConfig(hidden=()), (5,), 3, seed=0)
    x = torch.randn(4, 5)
    torch.testing.assert_close(network(x), x @ network[-1].weight.T + network[-1].bias)


def test_a_convnet_maps_images_of_any_size_to_logits() -> None:
    network = build_network(NetworkConfig(name="convnet", hidden=(4, 8)), (3, 32, 32), 7, seed=0)
    assert network(torch.zeros(2, 3, 32, 32)).shape == network(torch.zeros(2, 3, 17, 20)).shape == (2, 7)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network) == 2


@pytest.mark.parametrize("config", [NetworkConfig(), NetworkConfig(name="convnet", hidden=(4,), classifier="cosine")])
def test_weights_depend_on_the_seed_alone(config: NetworkConfig) -> None:
    shape = (2, 8, 8)
    torch.manual_seed(1)
    first = _weights(build_network(config, shape, 4, seed=3))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = _weights(build_network(config, shape, 4, seed=3))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, _weights(build_network(config, shape, 4, seed=4)))


def test_networks_built_in_several_threads_are_those_built_alone() -> None:
    config = NetworkConfig(hidden=(30, 30))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: _weights(build_network(config, (20,), 4, seed=seed)), range(40)))
    for seed, weights in enumerate(together):
        assert torch.equal(weights, _weights(build_network(config, (20,), 4, seed=seed)))


def test_default_initialisation_is_pytorchs_range() -> None:
    layer = build_network(NetworkConfig(hidden=(400,)), (100,), 4, seed=0)[1]
    assert layer.weight.abs().max().item() == pytest.approx(0.1, rel=1e-2)  # uniform below 1 / sqrt(100)
    assert layer.bias.abs().max().item() == pytest.approx(0.1, rel=5e-2)


def test_xavier_has_zero_biases_and_its_range() -> None:
    network = build_network(NetworkConfig(hidden=(200,), initialisation="xavier"), (100,), 4, seed=0)
    assert (network[1].bias == 0).all()
    assert network[1].weight.abs().max().item() == pytest.approx((6 / 300) ** 0.5, rel=1e-2)


def test_cosine_logits_are_ten_times_the_cosine_with_each_class() -> None:
    layer = CosineLinear(2, 3)
    layer.weight.data = torch.tensor([[2.0, 0.0], [0.0, 0.5], [-1.0, -1.0]])
    logits = layer(torch.tensor([[[3.0, 0.0], [1.0, 1.0]]]))
    half = 10 / 2**0.5
    torch.testing.assert_close(logits, torch.tensor([[[10.0, 0.0, -half], [half, half, -10.0]]]))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"name": "mpl"}, "network.name: must be one of mlp, convnet, got 'mpl'. Did you mean 'mlp'?"),
        ({"classifier": "cos"}, "network.classifier: must be one of linear, cosine, got 'cos'"),
        (
            {"initialisation": "xaver"},
            "network.initialisation: must be one of default, xavier.* Did you mean 'xavier'?",
        ),
        ({"hidden": (100, 0)}, r"network.hidden: must be widths above 0, got \(100, 0\)"),
        ({"hidden": [1.5]}, r"network.hidden: must be widths above 0, got \(1.5,\)"),
        ({"name": "convnet", "hidden": ()}, r"network.hidden: needs a width for 'convnet', got \(\)"),
    ],
)
def test_bad_settings_are_refused_by_name(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        NetworkConfig(**settings)


def test_a_convnet_needs_images() -> None:
    with pytest.raises(ConfigError, match=r"'convnet' needs inputs \[channels, height, width\], got \(64,\)"):
        build_network(NetworkConfig(name="convnet"), (64,), 10, seed=0)
