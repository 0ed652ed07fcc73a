"""A learner in a file: tensors, and a header in JSON. Reading one runs nothing of what is in it."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

import maskcl
from maskcl.data.source import is_file, is_folder
from maskcl.engine.state import State, Weights, named_tensors
from maskcl.errors import ConfigError, DataError, MaskclError, MissingDataError, check, message
from maskcl.experiment.config import Config
from maskcl.files import write_atomically
from maskcl.learner.core import Core
from maskcl.learner.header import FORMAT, Header, digest_of, read_header
from maskcl.learner.labels import Labels
from maskcl.memory import MemoryState
from maskcl.networks import Network, fingerprint
from maskcl.weights.files import read_safetensors

__all__ = ["Saved", "holds_learner", "read_file", "write_file"]

_KEY = "maskcl.learner"
OWN = {"own": True}
"""Stands for a network that no file can hold."""


def write_file(
    path: str | os.PathLike[str], params: Mapping[str, Any], names: Labels, core: Core, columns: Iterable[str] | None
) -> None:
    """Write a learner; see `Learner.save`.

    Args:
        path: The file.
        params: Its arguments, as plain values.
        names: Its classes.
        core: What it has learnt.
        columns: Names of a table's columns; None: there are none.
    """
    state, memory = core.state, core.state.memories[0]
    params = dict(params)
    for name in ("classes", "known"):
        given = params[name]
        params[name] = None if given is None else [_to_json(label) for label in given]
    if not isinstance(params["network"], (str, Mapping)):
        params["network"] = OWN
    header = {
        "format": FORMAT, "maskcl": maskcl.__version__, "torch": str(torch.__version__),
        "params": params, "names": [_to_json(label) for label in names.names],
        "columns": None if columns is None else list(columns),
        "fingerprint": fingerprint(core.population.parts.network),
        "num_classes": core.num_classes, "tasks": core.tasks, "streaming": core.streaming,
        "input_range": core.input_range, "fixed_range": core.fixed_range,
        "frozen": state.frozen is not None, "position": int(state.position[0]), "steps": int(state.steps[0]),
        "updates": int(state.updates[0]), "num_seen": 0 if memory is None else memory.num_seen,
    }  # fmt: skip
    slots = core.slots if core.num_slots else np.full((1, *core.input_shape), core.rows.ravel()[0], core.rows.dtype)
    arrays: dict[str, Any] = {"slots": slots, "last_seen": state.last_seen[0]}
    if len(state.recent[0]):
        arrays["recent"] = state.recent[0]
    if memory is not None:
        arrays |= {"rows": memory.rows, "labels": memory.labels, "class_counts": memory.class_counts}
    tensors = {f"state.{name}": tensor for name, tensor in named_tensors(state.tensors())}
    tensors |= {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    # Copies: safetensors refuses tensors that share memory, as tied weights do.
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        header = json.loads(json.dumps(header))
        text = json.dumps(header | {"digest": digest_of(header, whole)})
    except (TypeError, ValueError) as error:
        raise ConfigError(message("Learner.save", f"must have settings that JSON can hold ({error})")) from error
    write_atomically(path, save(whole, {_KEY: text}))


def holds_learner(path: Path) -> bool:
    """Whether a file is there, and is one of a learner, damaged or not."""
    if not is_file(path):
        return False
    try:
        return read_safetensors(str(path), _KEY, weights=False)[0] is not None
    except DataError:  # no such file at all
        return False


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
    header: Header
    tensors: dict[str, Tensor]

    @property
    def columns(self) -> list[str] | None:
        """Names of a table's columns."""
        return self.header.columns

    def core(self, config: Config) -> Core:
        """Return what stands where the saved one stood, given its settings."""
        header, where = self.header, self.where
        low, high = header.input_range
        try:
            core = Core.restored(
                config, seed=self.params["seed"], num_classes=header.num_classes, slots=self._slots(config),
                input_range=(low, high), tasks=header.tasks, streaming=header.streaming,
                fixed_range=header.fixed_range, state=self._state,
            )  # fmt: skip
        except MaskclError:
            raise
        except (LookupError, TypeError, ValueError, OverflowError, RuntimeError) as error:
            named = isinstance(self.params["network"], (str, Mapping))
            hint = None if named else "is `network` built as the one that was saved?"
            must = f"must hold a whole learner ({type(error).__name__}: {error})"
            raise DataError(message(where, must, hint=hint)) from error
        must = f"must be the network of the file, with fingerprint {header.fingerprint}"
        check(fingerprint(core.population.parts.network) == header.fingerprint, f"{where}: network", must,
              type(core.population.parts.network).__name__)  # fmt: skip
        return core

    def _slots(self, config: Config) -> Any:
        """The rows of the memory, or one that tells their kind."""
        slots = self.tensors["slots"].numpy()
        places = 1 if config.memory is None else max(1, config.memory.size)
        if slots.dtype not in (np.float32, np.uint8) or slots.ndim < 2 or len(slots) != places or not slots.size:
            raise ValueError(f"slots are {slots.dtype} {list(slots.shape)}")
        return slots

    def _memory(self, first: MemoryState) -> MemoryState:
        """What the memory holds: rows stand in their own slots."""
        found = {name: self.tensors[name].numpy() for name in ("rows", "labels", "class_counts")}
        rows, labels, counts = found.values()
        own = np.where(rows >= 0, np.arange(len(first.rows)), -1) if rows.shape == first.rows.shape else None
        good = own is not None and (rows == own).all() and labels.shape == rows.shape
        good = good and ((labels >= 0) == (rows >= 0)).all() and (labels < self.header.num_classes).all()
        good = good and counts.shape == (self.header.num_classes,) and (counts >= 0).all()
        if not good or any(array.dtype != np.int64 for array in found.values()):
            raise ValueError("the memory's rows, labels and counts do not fit together")
        return MemoryState(rows, labels, self.header.num_seen, counts)

    def _state(self, first: State) -> State:
        header, tensors = self.header, self.tensors
        device = first.stored.device

        def filled(tree: Any, name: str) -> Any:
            if isinstance(tree, Tensor):
                found = tensors[f"state.{name}"]
                if found.dtype != tree.dtype or found.ndim != tree.ndim:
                    raise TypeError(f"{name} has type {found.dtype} and {found.ndim} dimensions")
                if not found.isfinite().all():
                    raise ValueError(f"{name} has values that are not finite")
                return found.to(device)
            if isinstance(tree, dict):
                return {key: filled(part, f"{name}.{key}") for key, part in tree.items()}
            if isinstance(tree, list):
                return [filled(part, f"{name}.{i}") for i, part in enumerate(tree)]
            return Weights(filled(tree.params, f"{name}.params"), filled(tree.buffers, f"{name}.buffers"))

        trees = {name: filled(part, name) for name, part in first.tensors().items() if part is not None}
        for kind in ("params", "buffers"):
            for name, tensor in getattr(first.weights, kind).items():
                if getattr(trees["weights"], kind)[name].shape != tensor.shape:
                    raise TypeError(f"{name} has another shape than the network's")
        memory, seen = first.memories[0], tensors["last_seen"].numpy()
        if seen.dtype != np.int64 or seen.shape != (header.num_classes,):
            raise ValueError(f"last_seen is {seen.dtype} {list(seen.shape)}")
        recent = tensors["recent"].numpy() if "recent" in tensors else first.recent[0]
        if recent.dtype != np.int64 or recent.ndim != 1 or not ((recent >= 0) & (recent < header.num_classes)).all():
            raise ValueError(f"recent is {recent.dtype} {list(recent.shape)}")
        counters: Any = {name: np.array([getattr(header, name)], np.int64) for name in ("position", "steps", "updates")}
        return replace(
            first, **trees, **counters, memories=[None if memory is None else self._memory(memory)], last_seen=[seen],
            recent=[recent], frozen=filled(first.weights, "frozen") if header.frozen else None,
        )  # fmt: skip


def read_file(path: Path, *, network: Any, keys: Iterable[str]) -> Saved:
    """Read a learner; see `Learner.load`.

    Args:
        path: The file.
        network: A network of one's own, or None.
        keys: Names of `Learner`'s arguments.
    """
    where = str(path)
    check(not is_folder(path), where, "must be a file of a learner, and is a folder", error=MissingDataError)
    check(is_file(path), where, "must be a file of a learner, and is not there", error=MissingDataError)
    text, tensors = read_safetensors(where, _KEY)
    hint = "maskcl.load_network reads the networks that experiments save"
    check(text is not None, where, "must hold a learner", error=DataError, hint=hint)
    header = read_header(str(text), tensors, where)
    params = dict(header.params)
    odd = min(params.keys() ^ set(keys), default=None)
    must = f"must hold the arguments of a learner, and {odd!r} is {'unknown' if odd in params else 'missing'}"
    check(odd is None, where, must, error=DataError)
    try:
        names = Labels(_from_json(label) for label in header.names)
        for name in ("classes", "known"):
            given = params[name]
            params[name] = None if given is None else [_from_json(label) for label in _listed(given)]
        params["input_range"] = params["input_range"] and tuple(_listed(params["input_range"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(message(where, f"must hold the header of a learner ({type(error).__name__})")) from error
    check(names.are_distinct, where, "must name each class once", names.names, error=DataError)
    own = params["network"] == OWN
    check(own or network is None, f"{where}: network", "must be left out, for the file names its network", network)
    if own:
        given = network is not None
        check(given, f"{where}: network", "must be given, for the file holds a network of one's own",
              hint="Learner.load(path, network=MODULE)")  # fmt: skip
        params["network"] = network
        good = isinstance(network, (nn.Module, Network)) or callable(network)
        check(good, f"{where}: network", "must be an nn.Module or a factory", network)
    return Saved(where, params, names, header, tensors)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


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
