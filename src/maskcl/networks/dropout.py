"""Dropout as a function of a seed: what PyTorch's layers draw comes from one global state, which no run may depend on.

Each layer has a key and counts its calls, as BatchNorm counts batches: both are buffers, so that each member of a
population has its own. The mask is a hash of key, call and place, and hence the same for a run by itself and for a
member of any population. The hash is the finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014):

    z <- (z xor z >> 30) C1;  z <- (z xor z >> 27) C2;  h(z) = z xor z >> 31
    bits of a place = h(h(key + call * D) + place * G)
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from maskcl.errors import check
from maskcl.functional.modes import in_mode
from maskcl.rng import derive

__all__ = ["SeededRows", "check_draws", "seed_dropout", "seeded_layers"]

_BITS = 24
"""Of the hash that decide: the share that is dropped is exact to 6e-8."""


def _signed(value: int) -> int:
    """A 64-bit constant as int64 has it."""
    return value - 2**64 if value >= 2**63 else value


_PLACE, _CALL = _signed(0x9E3779B97F4A7C15), _signed(0xD1B54A32D192ED03)
_C1, _C2 = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


class _Seeded(nn.modules.dropout._DropoutNd):
    """Forward and buffers of all kinds; the attributes are those of the layer it was."""

    channels = False
    """Whether whole channels are dropped."""
    key: Tensor
    calls: Tensor
    share: tuple[int, int] = (0, 1)
    """Where inputs begin among all rows of a pass, and how many rows they are: a device may have a share of them."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop places, or channels, of inputs [B, ...] with probability p and scale the others by 1 / (1 - p)."""
        if not self.training or self.p == 0:
            return input
        shape = (*input.shape[:2], *(1 for _ in input.shape[2:])) if self.channels else tuple(input.shape)
        return input * _kept(self, self.p, shape, input, self.share)


def _kept(
    layer: Any, p: float, shape: tuple[int, ...], like: Tensor, share: tuple[int, int], *, scaled: bool = True
) -> Tensor:
    """The next mask of a layer, of a shape: 0 with probability p, and 1 / (1 - p) or 1 elsewhere."""
    layer.calls.add_(1)
    start, count, (first, rows) = _mixed(layer.key + layer.calls * _CALL), torch.Size(shape).numel(), share
    place = first * count // rows
    drawn = _mixed(start + torch.arange(place, place + count, device=like.device) * _PLACE)
    kept = _shifted(drawn, 64 - _BITS) >= round(p * 2**_BITS)
    scale = 0.0 if p == 1 else 1 / (1 - p)
    return (kept.to(like.dtype) * (scale if scaled else 1.0)).view(shape)


class SeededRows(nn.Module):
    """Forward of layers that drop whole rows of a residual branch (stochastic depth, arXiv 1603.09382).

    The attributes are those of timm's DropPath or torchvision's StochasticDepth, which the class is mixed into.
    """

    key: Tensor
    calls: Tensor
    share: tuple[int, int] = (0, 1)
    """As dropout layers have it."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop rows of inputs [B, ...], or all of them at once, and scale the others."""
        p = float(getattr(self, "drop_prob", getattr(self, "p", 0.0)) or 0.0)
        if not self.training or p == 0:
            return input
        at_once = getattr(self, "mode", "row") == "batch"
        shape = (1 if at_once else len(input), *(1 for _ in input.shape[1:]))
        share = (0, 1) if at_once else self.share
        return input * _kept(self, p, shape, input, share, scaled=getattr(self, "scale_by_keep", True))


class SeededDropout(_Seeded, nn.Dropout):
    """`nn.Dropout`."""


class SeededDropout1d(_Seeded, nn.Dropout1d):
    """`nn.Dropout1d`."""

    channels = True


class SeededDropout2d(_Seeded, nn.Dropout2d):
    """`nn.Dropout2d`."""

    channels = True


class SeededDropout3d(_Seeded, nn.Dropout3d):
    """`nn.Dropout3d`."""

    channels = True


_KINDS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Dropout: SeededDropout,
    nn.Dropout1d: SeededDropout1d,
    nn.Dropout2d: SeededDropout2d,
    nn.Dropout3d: SeededDropout3d,
}


_ROWS = {("timm.layers.drop", "DropPath"), ("torchvision.ops.stochastic_depth", "StochasticDepth")}
"""Layers of other libraries that drop rows; the libraries may be missing."""


@cache
def _seeded_kind(kind: type[nn.Module]) -> type[nn.Module] | None:
    """The class that a layer becomes, or None if it draws nothing that is known."""
    if (kind.__module__, kind.__qualname__) in _ROWS:
        return type(f"Seeded{kind.__name__}", (SeededRows, kind), {})
    return _KINDS.get(kind)


def seed_dropout(module: nn.Module, seed: int) -> nn.Module:
    """Let the Dropout layers of a module draw from a seed, and return the module.

    They stay layers of their kind, and what a file of weights holds of the module stays the same.

    Args:
        module: A network, changed in place.
        seed: Seed of all its layers, each of which draws its own numbers.

    >>> layer = seed_dropout(nn.Sequential(nn.Dropout(0.5)), 0)
    >>> layer(torch.ones(1, 8)), layer.state_dict()
    (tensor([[2., 2., 2., 0., 0., 2., 0., 0.]]), OrderedDict())
    """
    layers = [(part, kind) for part in module.modules() if (kind := _seeded_kind(type(part))) is not None]  # type: ignore[arg-type]
    for index, (layer, kind) in enumerate(layers):
        device = next((p.device for p in module.parameters()), torch.device("cpu"))
        layer.__class__ = kind
        key = torch.tensor(derive(seed, "dropout", index), device=device)
        layer.register_buffer("key", key, persistent=False)
        layer.register_buffer("calls", torch.zeros_like(key), persistent=False)
    return module


def seeded_layers(module: nn.Module) -> list[_Seeded | SeededRows]:
    """Return the layers of a module that draw from its seed."""
    return [part for part in module.modules() if isinstance(part, (_Seeded, SeededRows))]


def check_draws(module: nn.Module, inputs: Tensor) -> Any:
    """Refuse a network that draws from the global random state when it trains.

    Args:
        module: A network, which stays as it is.
        inputs: Rows to try it on, [B, ...]; the caller keeps the global random state.

    Returns:
        What it gives in training.

    Raises:
        ConfigError: It draws.
        Exception: Whatever its forward raises in training.
    """
    copies: dict[str, Any] = {name: tensor.detach().clone() for name, tensor in module.named_buffers()}
    before = torch.random.get_rng_state()
    with torch.enable_grad(), in_mode(module, training=True):
        out = functional_call(module, copies, (inputs,))
    drew = not torch.equal(before, torch.random.get_rng_state())
    must = "must draw random numbers in layers of nn.Dropout (or 1d, 2d, 3d) alone, or a run is no function of its seed"
    check(not drew, "network", must, type(module).__name__)
    return out


def _mixed(z: Tensor) -> Tensor:
    """Hash int64 [...]; products wrap around."""
    z = (z ^ _shifted(z, 30)) * _C1
    z = (z ^ _shifted(z, 27)) * _C2
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """Shift right as if unsigned."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
