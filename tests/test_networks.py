from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from maskcl.errors import ConfigError
from maskcl.networks import ConvNet, CosineLinear, Mlp, Network, ResNet18, build_network, seeded
from maskcl.rng import derive


def _weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_the_published_network_has_its_number_of_weights() -> None:
    network = build_network(Mlp(), (1, 28, 28), 10, seed=0)
    assert _weights(network).numel() == 784 * 100 + 100 + 100 * 100 + 100 + 100 * 10 + 10
    assert network(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_no_hidden_layer_is_a_linear_classifier() -> None:
    network = build_network(Mlp(hidden=()), (5,), 3, seed=0)
    x = torch.randn(4, 5)
    torch.testing.assert_close(network(x), x @ network[-1].weight.T + network[-1].bias)


def test_a_convnet_maps_images_of_any_size_to_logits() -> None:
    network = build_network(ConvNet(hidden=(4, 8)), (3, 32, 32), 7, seed=0)
    assert network(torch.zeros(2, 3, 32, 32)).shape == network(torch.zeros(2, 3, 17, 20)).shape == (2, 7)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network) == 2


@pytest.mark.parametrize("config", [Mlp(), ConvNet(hidden=(4,), classifier="cosine")])
def test_weights_depend_on_the_seed_alone(config: Network) -> None:
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
    config = Mlp(hidden=(30, 30))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: _weights(build_network(config, (20,), 4, seed=seed)), range(40)))
    for seed, weights in enumerate(together):
        assert torch.equal(weights, _weights(build_network(config, (20,), 4, seed=seed)))


def test_default_initialisation_is_pytorchs_range() -> None:
    layer = build_network(Mlp(hidden=(400,)), (100,), 4, seed=0)[1]
    assert layer.weight.abs().max().item() == pytest.approx(0.1, rel=1e-2)  # uniform below 1 / sqrt(100)
    assert layer.bias.abs().max().item() == pytest.approx(0.1, rel=5e-2)


def test_xavier_has_zero_biases_and_its_range() -> None:
    network = build_network(Mlp(hidden=(200,), initialisation="xavier"), (100,), 4, seed=0)
    assert (network[1].bias == 0).all()
    assert network[1].weight.abs().max().item() == pytest.approx((6 / 300) ** 0.5, rel=1e-2)


def test_cosine_logits_are_ten_times_the_cosine_with_each_class() -> None:
    layer = CosineLinear(2, 3)
    layer.weight.data = torch.tensor([[2.0, 0.0], [0.0, 0.5], [-1.0, -1.0]])
    logits = layer(torch.tensor([[[3.0, 0.0], [1.0, 1.0]]]))
    half = 10 / 2**0.5
    torch.testing.assert_close(logits, torch.tensor([[[10.0, 0.0, -half], [half, half, -10.0]]]))


@pytest.mark.parametrize(
    ("kind", "settings", "text"),
    [
        (Mlp, {"classifier": "cos"}, "network.classifier: must be one of linear, cosine, got 'cos'"),
        (Mlp, {"initialisation": "xaver"}, "network.initialisation: must be one of .* Did you mean 'xavier'?"),
        (Mlp, {"hidden": (100, 0)}, r"network.hidden: must be widths above 0, got \[100, 0\]"),
        (Mlp, {"hidden": [1.5]}, r"network.hidden: must be widths above 0, got \[1.5\]"),
        (Mlp, {"hidden": 100}, "network.hidden: must be widths above 0, got 100"),
        (ConvNet, {"hidden": ()}, r"network.hidden: must have a width or more for 'convnet', got \[\]"),
        (ResNet18, {"width": 0}, "network.width: must be a whole number, 1 or more, got 0"),
        (ResNet18, {"classifier": "cosin"}, "network.classifier: must be one of .* Did you mean 'cosine'?"),
    ],
)
def test_bad_settings_are_refused_by_name(kind: type[Network], settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        kind(**settings)


@pytest.mark.parametrize("kind", [ConvNet, ResNet18])
def test_convolutions_need_images(kind: type[Network]) -> None:
    with pytest.raises(ConfigError, match=r"needs inputs \[channels, height, width\], got \(64,\)"):
        build_network(kind(), (64,), 10, seed=0)


def _resnet18_weights(width: int, num_classes: int) -> int:
    """Convolutions, scale and shift of each BatchNorm, shortcuts of the last three stages, the linear layer."""
    stages = [width * 2**stage for stage in range(4)]
    total = 3 * 9 * width + 2 * width
    for inputs, out in zip([width, *stages], stages, strict=False):
        total += inputs * 9 * out + 3 * out * 9 * out + 4 * 2 * out
        total += 0 if inputs == out else inputs * out + 2 * out
    return total + stages[-1] * num_classes + num_classes


@pytest.mark.parametrize(("width", "expected"), [(64, 11_173_962), (20, 1_094_750)])
def test_resnet18_has_its_published_number_of_weights(width: int, expected: int) -> None:
    assert _weights(build_network(ResNet18(width=width), (3, 32, 32), 10, seed=0)).numel() == expected
    assert _resnet18_weights(width, 10) == expected


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64)])
def test_resnet18_trains_every_weight_on_images_of_any_size(shape: tuple[int, ...]) -> None:
    network = build_network(ResNet18(width=4), shape, 7, seed=0)
    logits = network(torch.randn(3, *shape))
    assert logits.shape == (3, 7)
    nn.functional.cross_entropy(logits, torch.tensor([0, 3, 6])).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_resnet18_keeps_pixels_until_the_second_stage() -> None:
    network = build_network(ResNet18(width=4), (3, 32, 32), 10, seed=0)
    shapes = []
    for name, layer in network.named_children():
        if name.startswith("layer"):
            layer.register_forward_hook(lambda _layer, _inputs, out: shapes.append(tuple(out.shape[1:])))
    network(torch.zeros(2, 3, 32, 32))
    assert shapes == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)]
    assert [name for name, _ in network.named_children()][-1] == "classifier"


def test_stacked_resnets_give_what_each_gives_alone() -> None:
    networks = [build_network(ResNet18(width=2), (3, 8, 8), 4, seed=seed).double() for seed in range(3)]
    params, buffers = stack_module_state(networks)
    x = torch.randn(3, 5, 3, 8, 8, dtype=torch.float64)

    def logits(own: dict[str, torch.Tensor], statistics: dict[str, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        return functional_call(networks[0], (own, statistics), (rows,))

    together = vmap(logits)(params, buffers, x)
    for k, network in enumerate(networks):
        torch.testing.assert_close(together[k], network(x[k]), rtol=0, atol=1e-12)
        torch.testing.assert_close(buffers["bn1.running_var"][k], network.bn1.running_var, rtol=0, atol=1e-12)


def test_seeding_leaves_other_devices_alone_and_gives_what_torch_manual_seed_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a GPU's or MPS's generator no state is kept, so none could be restored."""
    touched: list[str] = []
    for module, name in ((torch.cuda, "manual_seed_all"), (torch.mps, "manual_seed"), (torch.xpu, "manual_seed_all")):
        monkeypatch.setattr(module, name, lambda seed, module=module: touched.append(module.__name__))
    with seeded(3, "initialisation", 1):
        drawn = torch.randn(7), nn.Linear(3, 2).weight
    assert touched == []
    state = torch.get_rng_state()
    torch.manual_seed(derive(3, "initialisation", 1))
    assert touched != []
    assert torch.equal(drawn[0], torch.randn(7))
    assert torch.equal(drawn[1], nn.Linear(3, 2).weight)
    torch.set_rng_state(state)
