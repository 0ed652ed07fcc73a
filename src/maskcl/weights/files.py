"""Writing and reading files of weights."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from maskcl.errors import ConfigError, DataError, MaskclError, MissingDataError, check, message, reason
from maskcl.files import write_atomically
from maskcl.networks import Network, as_network, build_network, fingerprint, from_description, sketch_network
from maskcl.weights.header import NetworkInfo

__all__ = ["load_network", "network_info", "read_safetensors", "save_network"]

_KEY = "maskcl"
"""Of our header in the metadata of a safetensors file."""


def save_network(
    path: str | os.PathLike[str],
    module: nn.Module,
    *,
    network: Network,
    input_shape: Sequence[int],
    num_classes: int,
    tasks: Sequence[Sequence[int]] = (),
    input_range: Sequence[float] | None = None,
    input_scaling: Any = None,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write a network's weights and buffers: the file is there as a whole, or not at all.

    Args:
        path: Where; the folder is made if it is missing.
        module: The network, of any floating type and on any device; it is not changed.
        network: What built it.
        input_shape: Shape of one row.
        num_classes: Logits of a row.
        tasks: Classes of each task, in order.
        input_range: Lowest and highest value of the inputs.
        input_scaling: What was done to raw inputs; JSON values.
        about: Anything else worth keeping; JSON values.

    Raises:
        ConfigError: The module is not what `network` builds, or the file cannot be written.
    """
    shape, state = tuple(int(size) for size in input_shape), module.state_dict()
    fits = _shapes(state) == _shapes(sketch_network(network, shape, num_classes).state_dict())
    check(fits, "save_network", f"must be given a module that {network.key!r} builds", type(module).__name__)
    info = NetworkInfo(
        network=network.describe(),
        input_shape=shape,
        num_classes=num_classes,
        tasks=tuple(tuple(int(label) for label in classes) for classes in tasks),
        input_range=None if input_range is None else (float(input_range[0]), float(input_range[1])),
        input_scaling=input_scaling,
        about=dict(about or {}),
        fingerprint=fingerprint(module),
    )
    # Copies: safetensors refuses tensors that share memory, as tied weights do.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    write_atomically(path, save(tensors, {_KEY: info.to_text()}))
    return Path(path)


def network_info(path: str | os.PathLike[str]) -> NetworkInfo:
    """Return what a file says of its network, without loading it; raises as `load_network` does for broken files."""
    return _read(path, weights=False)[0]


def load_network(path: str | os.PathLike[str], *, network: Any = None) -> nn.Module:
    """Return a trained network, in evaluation mode, on the CPU.

    It is the network alone: what a method predicts in another way than by the largest logit (iCaRL's class means, BiC's
    correction) is not in it. Experiments write such files where `training.save_weights = true`.

    It takes rows as they were in training: scaled and normalised. Rows as the data set has them (pixels of 0 to 255, or
    values before `augment.normalise`) are to be prepared, or it guesses:

        module = maskcl.load_network("runs/a/seed-0.safetensors")
        classes = module(module.maskcl_info.prepare(images)).argmax(1)

    Args:
        path: A file that `save_network` wrote.
        network: The factory, for a network of one's own; otherwise a `Network`, or None: the one that the file names.

    Returns:
        A module from prepared rows [B, *input_shape] to logits [B, num_classes], of the type it was trained in; its
        `maskcl_info`, a `NetworkInfo`, says what it was trained on, and prepares rows.

    Raises:
        MissingDataError: There is no such file.
        DataError: It is no network that maskcl wrote, or not all of it.
        ConfigError: `network` is missing, or builds another network than the one in the file.
    """
    info, tensors = _read(path)
    own = _named(path, info) if network is None else as_network(network)
    name = own.describe().get("factory", own.key)
    must = f"must be the network in the file, {info.network['name']!r} with fingerprint {info.fingerprint}"
    try:
        sketch = sketch_network(own, info.input_shape, info.num_classes)
    except MaskclError as error:
        raise type(error)(f"{path}: {error}") from error
    fits = _shapes(tensors) == _shapes(sketch.state_dict())
    check(fits, f"{path}: network", must, name)
    module = build_network(own, info.input_shape, info.num_classes, seed=0)
    kinds = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    if len(kinds) == 1:
        module = module.to(kinds.pop())
    check(fingerprint(module) == info.fingerprint, f"{path}: network", must, name)
    module.load_state_dict(tensors)
    module.maskcl_info = info  # type: ignore[assignment]
    return module.eval()


def _named(path: Any, info: NetworkInfo) -> Network:
    """The network that a file names."""
    origin = info.network.get("factory")
    hint = f"load_network(..., network=FACTORY); the factory was {origin}"
    must = "must be given, for the file holds a network of one's own"
    check(origin is None, f"{path}: network", must, hint=hint)
    try:
        return from_description(info.network)
    except (MaskclError, TypeError) as error:
        why = str(error).splitlines()[0].rstrip(".")
        must = f"must be given, for what the file names cannot be built ({why})"
        raise ConfigError(message(f"{path}: network", must)) from error


def _read(path: str | os.PathLike[str], *, weights: bool = True) -> tuple[NetworkInfo, dict[str, Tensor]]:
    where = str(path)
    if Path(path).is_dir():
        raise MissingDataError(message(where, "must be a file of weights, and is a folder"))
    if not Path(path).exists():
        raise MissingDataError(message(where, "must be a file of weights, and is not there"))
    if not Path(path).is_file():  # a FIFO would wait for its writer
        raise DataError(message(where, "must be a regular file, and is none"))
    text, tensors = read_safetensors(where, _KEY, weights=weights)
    return NetworkInfo.from_text(text, where), tensors


def read_safetensors(where: str, key: str, *, weights: bool = True) -> tuple[str | None, dict[str, Tensor]]:
    """Return a file's metadata under a key, None if there is none, and its tensors by name.

    Args:
        where: The file, which is there.
        key: Whose metadata.
        weights: Whether its tensors are read.

    Raises:
        DataError: It is no safetensors file, or not all of it.
    """
    try:
        with open(where, "rb"):  # safetensors calls any file missing that it cannot open
            pass
    except OSError as error:
        raise DataError(message(where, f"must be a file that can be read ({error.strerror})")) from None
    try:
        with safe_open(where, framework="pt") as file:
            text = (file.metadata() or {}).get(key)
            return text, {name: file.get_tensor(name) for name in file.keys()} if weights else {}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError) as error:  # the last is torch's, which opens the file once more
        raise DataError(message(where, f"must be a whole safetensors file ({reason(error)})")) from None


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes by name; what is no tensor has none, and fits nothing that can be saved."""
    return {name: tuple(value.shape) if isinstance(value, Tensor) else (-1,) for name, value in state.items()}
