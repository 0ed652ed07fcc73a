"""What a learner takes of the machine's memory, told in a sentence before it is taken."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from maskcl.data.checks import Inputs
from maskcl.devices import find_device, free_bytes
from maskcl.engine.resources import check_fits
from maskcl.engine.sketches import Sketch, Sketches, _activations
from maskcl.engine.spec import RunSpec
from maskcl.errors import ConfigError, message
from maskcl.experiment.config import Config, blaming

__all__ = ["check_network_fits", "check_plan_fits", "check_rows_fit"]


def check_rows_fit(config: Config, like: Inputs) -> None:
    """Refuse a memory or a batch whose rows do not fit: ConfigError, which names the setting that is far from usual.

    Args:
        config: Settings.
        like: Rows of the kind that will come.
    """
    slots, room = 0 if config.memory is None else config.memory.size, config.training.batch_size
    shape = list(like.shape[1:])
    each = math.prod(shape) * like.dtype.itemsize
    takes, free = (2 * slots + room) * each, free_bytes(find_device("cpu"))  # slots are copied once, when a fit begins
    if takes > free:
        times = {"memory.size": slots / 1e4, "training.batch_size": room / 1e2, "inputs": each / 1e6}
        what = f"{slots} rows of the memory and {room} of a batch, each of shape {shape}, take {takes / 1e9:.3g} GB"
        must = f"must fit into the {free / 1e9:.3g} GB that are free, and {what}"
        raise ConfigError(message(f"Learner: {max(times, key=times.__getitem__)}", must))


def check_plan_fits(rows: int, epochs: int) -> None:
    """Refuse so many epochs that their plan, 24 bytes for each row in each epoch, does not fit: ConfigError."""
    takes, free = 24 * rows * epochs, free_bytes(find_device("cpu"))
    if takes > free:
        must = f"must fit into the {free / 1e9:.3g} GB that are free, and their plan takes {takes / 1e9:.3g} GB"
        raise ConfigError(message("Learner.fit: epochs", must, epochs, hint="fit again with fewer, more often"))


def check_network_fits(spec: RunSpec) -> None:
    """Refuse a network, or a batch on its way through it, that does not fit; raises as `check_fits` does."""
    with blaming("Learner"):
        check_fits([spec], _Weightless())


class _Weightless(Sketches):
    """Networks that are looked at without memory: even a trial of one row may not fit, for pictures may be large."""

    def __call__(self, spec: RunSpec) -> Sketch:
        """The sketch of a run's network."""
        shape, classes = spec.scenario.dataset.input_shape, spec.scenario.num_classes
        if spec.built not in self._known:
            try:
                with torch.random.fork_rng(devices=[]), torch.device("meta"):
                    network = _on_meta(spec.network.build(shape, classes))
                    self._known[spec.built] = Sketch(network, _activations(network, shape))
            except Exception:  # it reads values, of which there are none here; or it is none, which is worded elsewhere
                return super().__call__(spec)
        return self._known[spec.built]


def _on_meta(module: nn.Module) -> nn.Module:
    """A copy without memory; the module, which a factory may have from elsewhere, stays as it is."""
    memo: dict[int, Tensor] = {id(p): nn.Parameter(p.detach().to("meta"), p.requires_grad) for p in module.parameters()}
    memo |= {id(buffer): buffer.detach().to("meta") for buffer in module.buffers()}
    return copy.deepcopy(module, memo)
