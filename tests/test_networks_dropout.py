"""Dropout layers that draw from a seed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from maskcl.errors import ConfigError
from maskcl.networks import build_network, fingerprint, from_factory, sketch_network
from maskcl.networks.dropout import seed_dropout
from maskcl.weights import load_network, save_network

KINDS = {
    nn.Dropout: (6, 5, 4, 4, 4),
    nn.Dropout1d: (6, 5, 4),
    nn.Dropout2d: (6, 5, 4, 4),
    nn.Dropout3d: (6, 5, 4, 4, 4),
}


def dropping(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(*input_shape, 8), nn.Dropout(0.5), nn.Linear(8, num_classes))


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_drops_and_scales_what_its_kind_does(kind: type[nn.Module]) -> None:
    layer = seed_dropout(kind(0.25), 0)
    assert isinstance(layer, kind)
    ones = torch.ones(KINDS[kind])
    out = layer(ones)
    assert set(out.unique().tolist()) <= {0.0, float(torch.tensor(1 / 0.75))}
    if kind is not nn.Dropout:
        assert torch.equal(out, out.flatten(2)[:, :, :1].expand(6, 5, 4 ** (out.ndim - 2)).view_as(out))
    assert torch.equal(layer.eval()(ones), ones)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_is_p_and_the_mean_stays(p: float) -> None:
    out = seed_dropout(nn.Dropout(p), 3)(torch.ones(1000, 400))
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=0.004)  # 5 standard deviations
    assert out.mean().item() == pytest.approx(1, abs=0.025)


def test_places_calls_layers_and_seeds_draw_independently() -> None:
    def drawn(layer: nn.Module) -> Tensor:
        return (layer(torch.ones(100_000)) != 0).double()

    first, second = (seed_dropout(nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5)), seed) for seed in (0, 1))
    masks = torch.stack([drawn(first[0]), drawn(first[0]), drawn(first[1]), drawn(second[0])])
    masks = torch.cat([masks, masks[:1].roll(1, 1), masks[:1].roll(8, 1)])
    apart = torch.corrcoef(masks) - torch.eye(len(masks))
    assert apart.abs().max().item() < 5 / 100_000**0.5


def test_none_and_all_can_be_dropped() -> None:
    x = torch.randn(50, 4)
    assert torch.equal(seed_dropout(nn.Dropout(0.0), 0)(x), x)
    assert torch.equal(seed_dropout(nn.Dropout(1.0), 0)(x), torch.zeros(50, 4))


def test_gradients_pass_where_nothing_was_dropped() -> None:
    x = torch.ones(40, requires_grad=True)
    out = seed_dropout(nn.Dropout(0.5), 0)(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


def test_members_of_a_stack_draw_what_each_draws_alone() -> None:
    alone = [build_network(from_factory(dropping), (3,), 2, seed=seed) for seed in range(3)]
    others = [build_network(from_factory(dropping), (3,), 2, seed=seed) for seed in range(3)]
    params, buffers = stack_module_state(others)
    x = torch.randn(3, 5, 3)

    def logits(own: dict[str, Tensor], kept: dict[str, Tensor], rows: Tensor) -> Tensor:
        return functional_call(others[0], (own, kept), (rows,))

    for _ in range(2):  # calls are counted by member
        together = vmap(logits)(params, buffers, x)
        for k, network in enumerate(alone):
            torch.testing.assert_close(together[k], network(x[k]))


def test_files_of_weights_hold_nothing_of_it(tmp_path: Path) -> None:
    network = from_factory(dropping)
    module = build_network(network, (3,), 2, seed=1)
    assert set(module.state_dict()) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    module(torch.ones(2, 3))
    path = save_network(tmp_path / "a.safetensors", module, network=network, input_shape=(3,), num_classes=2)
    x = torch.randn(4, 3)
    assert torch.equal(load_network(path, network=dropping)(x), module.eval()(x))
    assert fingerprint(sketch_network(network, (3,), 2)) == fingerprint(module)


@pytest.mark.parametrize(
    "layer", [nn.AlphaDropout(0.5), nn.RReLU(), nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True)]
)
def test_layers_that_draw_otherwise_are_refused(layer: nn.Module) -> None:
    def other(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return nn.Sequential(layer, nn.Flatten(), nn.Linear(12, num_classes))

    torch.manual_seed(0)
    before = torch.get_rng_state()
    with pytest.raises(ConfigError, match="network: must draw random numbers in layers of"):
        build_network(from_factory(other), (3, 4), 2, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_trying_a_network_leaves_its_statistics_alone() -> None:
    def normalised(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return nn.Sequential(nn.Linear(*input_shape, 4), nn.BatchNorm1d(4), nn.Linear(4, num_classes))

    module = build_network(from_factory(normalised), (3,), 2, seed=0)
    assert module[1].num_batches_tracked == 0
    assert torch.equal(module[1].running_mean, torch.zeros(4))
    assert module[1].training
