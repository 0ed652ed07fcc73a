"""A learner in a file: tensors, and a header in JSON. Reading one runs nothing of what is in it."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

import maskcl
from maskcl.engine.state import State, Weights, named_tensors
from maskcl.errors import ConfigError, DataError, MaskclError, MissingDataError, check, message
from maskcl.experiment.config import Config, plain_values
from maskcl.files import write_atomically
from maskcl.learner.core import Core
from maskcl.learner.labels import Labels
from maskcl.learner.settings import method_table
from maskcl.memory import MemoryState
from maskcl.networks import Network, fingerprint
from maskcl.weights.files import read_safetensors

__all__ = ["FORMAT", "Saved", "read_file", "write_file"]

FORMAT = 1
"""Version of the layout; a file of another one is refused."""
_KEY = "maskcl.learner"
OWN = {"own": True}
"""Stands for a network that no file can hold."""


def write_file(path: str | os.PathLike[str], params: Mapping[str, Any], names: Labels, core: Core) -> None:
    """Write a learner; see `Learner.save`."""
    state, memory = core.state, core.state.memories[0]
    params = dict(params) | {"method": plain_values(method_table(params["method"]))}
    for name in ("classes", "known"):
        given = params[name]
        params[name] = None if given is None else [_to_json(label) for label in given]
    if not isinstance(params["network"], (str, Mapping)):
        params["network"] = OWN
    header = {
        "format": FORMAT, "maskcl": maskcl.__version__, "torch": str(torch.__version__),
        "params": plain_values(params), "names": [_to_json(label) for label in names.names],
        "fingerprint": fingerprint(core.population.parts.network),
        "num_classes": core.num_classes, "tasks": core.tasks, "streaming": core.streaming,
        "input_range": core.input_range, "fixed_range": core.fixed_range,
        "frozen": state.frozen is not None, "position": int(state.position[0]), "steps": int(state.steps[0]),
        "updates": int(state.updates[0]), "num_seen": 0 if memory is None else memory.num_seen,
    }  # fmt: skip
    slots = core.slots if core.num_slots else np.full((1, *core.input_shape), core.rows.ravel()[0], core.rows.dtype)
    arrays: dict[str, Any] = {"slots": slots, "last_seen": state.last_seen[0]}
    if memory is not None:
        arrays |= {"rows": memory.rows, "labels": memory.labels, "class_counts": memory.class_counts}
    tensors = {f"state.{name}": tensor for name, tensor in named_tensors(state.tensors())}
    tensors |= {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    try:
        text = json.dumps(header)
    except (TypeError, ValueError) as error:
        raise ConfigError(message("Learner.save", f"must have settings that JSON can hold ({error})")) from error
    # Copies: safetensors refuses tensors that share memory, as tied weights do.
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_atomically(path, save(whole, {_KEY: text}))


@dataclass(frozen=True)
class Saved:
    """What a file holds.

    Attributes:
        where: The file, for messages.
        params: Arguments of `Learner`.
        names: The classes.
        header: All of its header.
        tensors: By name.
    """

    where: str
    params: dict[str, Any]
    names: Labels
    header: dict[str, Any]
    tensors: dict[str, Tensor]

    def core(self, config: Config) -> Core:
        """Return what stands where the saved one stood, given its settings."""
        header, where = self.header, self.where
        try:
            known, outputs = header["fingerprint"], int(header["num_classes"])
            if len(self.names.names) < outputs:
                raise ValueError(f"{outputs} outputs have {len(self.names.names)} names")
            core = Core.restored(
                config, seed=self.params["seed"], num_classes=outputs,
                slots=self.tensors["slots"].numpy(), input_range=tuple(header["input_range"]), about=header,
                state=self._state,
            )  # fmt: skip
        except MaskclError:
            raise
        except (LookupError, TypeError, ValueError, OverflowError, RuntimeError) as error:  # of whatever uses it first
            raise DataError(message(where, f"must hold a whole learner ({type(error).__name__}: {error})")) from error
        must = f"must be the network of the file, with fingerprint {known}"
        check(fingerprint(core.population.parts.network) == known, f"{where}: network", must,
              type(core.population.parts.network).__name__)  # fmt: skip
        return core

    def _state(self, first: State) -> State:
        header, tensors = self.header, self.tensors
        device = first.stored.device

        def filled(tree: Any, name: str) -> Any:
            if isinstance(tree, Tensor):
                found = tensors[f"state.{name}"]
                if found.dtype != tree.dtype or found.ndim != tree.ndim:
                    raise TypeError(f"{name} has type {found.dtype} and {found.ndim} dimensions")
                return found.to(device)
            if isinstance(tree, dict):
                return {key: filled(part, f"{name}.{key}") for key, part in tree.items()}
            if isinstance(tree, list):
                return [filled(part, f"{name}.{i}") for i, part in enumerate(tree)]
            return Weights(filled(tree.params, f"{name}.params"), filled(tree.buffers, f"{name}.buffers"))

        trees = {name: filled(part, name) for name, part in first.tensors().items() if name != "frozen"}
        for kind in ("params", "buffers"):
            for name, tensor in getattr(first.weights, kind).items():
                if getattr(trees["weights"], kind)[name].shape != tensor.shape:
                    raise TypeError(f"{name} has another shape than the network's")
        memory = first.memories[0]
        if memory is not None:
            memory = MemoryState(
                tensors["rows"].numpy(), tensors["labels"].numpy(), int(np.int64(header["num_seen"])),
                tensors["class_counts"].numpy(),
            )  # fmt: skip
        counters: Any = {name: np.array([int(header[name])], np.int64) for name in ("position", "steps", "updates")}
        return replace(
            first, **trees, **counters, memories=[memory], last_seen=[tensors["last_seen"].numpy()],
            frozen=filled(first.weights, "frozen") if header["frozen"] else None,
        )  # fmt: skip


def read_file(path: str | os.PathLike[str], *, network: Any, device: str | None) -> Saved:
    """Read a learner; see `Learner.load`."""
    where = str(path)
    if not Path(path).is_file():
        raise MissingDataError(message(where, "must be a file of a learner, and is not there"))
    text, tensors = read_safetensors(where, _KEY)
    hint = "maskcl.load_network reads the networks that experiments save"
    check(text is not None, where, "must hold a learner", error=DataError, hint=hint)
    try:
        header = json.loads(str(text))
        known, params = header["format"], dict(header["params"])
        names = Labels(_from_json(label) for label in header["names"])
        for name in ("classes", "known"):
            given = params[name]
            params[name] = None if given is None else [_from_json(label) for label in given]
        params["input_range"] = None if params["input_range"] is None else tuple(params["input_range"])
        own = params["network"] == OWN
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(message(where, f"must hold the header of a learner ({type(error).__name__})")) from error
    check(known == FORMAT, where, f"must have format {FORMAT}", known, error=DataError)
    check(own or network is None, f"{where}: network", "must be left out, for the file names its network", network)
    if own:
        given = network is not None
        check(given, f"{where}: network", "must be given, for the file holds a network of one's own",
              hint="Learner.load(path, network=MODULE)")  # fmt: skip
        params["network"] = network
        good = isinstance(network, (nn.Module, Network)) or callable(network)
        check(good, f"{where}: network", "must be an nn.Module or a factory", network)
    if device is not None:
        params["device"] = device
    return Saved(where, params, names, header, tensors)


def _to_json(label: Hashable) -> Any:
    """A label as JSON tells it apart from all others."""
    if isinstance(label, tuple):
        return {"tuple": [_to_json(part) for part in label]}
    if label is None or type(label) in (str, int, float, bool):
        return label
    must = "must have labels that are strings, numbers, true or false, None, or tuples of them"
    raise ConfigError(message("Learner.save", must, label))


def _from_json(value: Any) -> Hashable:
    if isinstance(value, dict):
        return tuple(_from_json(part) for part in value["tuple"])
    if isinstance(value, list):
        raise TypeError("a list is no label")
    return value  # type: ignore[no-any-return]
