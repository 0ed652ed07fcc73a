"""Pretrained weights from a file: read without executing code, and all but the head has to fit."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from maskcl.errors import DataError, MaskclWarning, MissingDataError, check, counted, message
from maskcl.files import file_digest

__all__ = ["digest", "fitting", "read_tensors"]

WHERE = "network.weights"
_WRAPPINGS = ("state_dict", "model")
"""Names under which training scripts keep a network's tensors."""


def digest(path: str | os.PathLike[str]) -> str:
    """Return 16 hex digits of a file's content.

    Raises:
        MissingDataError: There is no such file.
    """
    return file_digest(_there(path), hashlib.blake2b(digest_size=8))


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a network's tensors by name, on the CPU, without executing code of the file.

    Args:
        path: A safetensors file; or one of `torch.save`, with the tensors at its top, or under "state_dict" or "model".
            The content says which it is, whatever the file is called.

    Raises:
        MissingDataError: There is no such file.
        DataError: It is no such file, not all of it, or holds more than tensors, numbers and text.
    """
    file = _there(path)
    if _is_safetensors(file):
        try:
            return load_file(file)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise _unread(file, "be a whole safetensors file", error) from None
    try:
        with file.open("rb") as opened:  # by its name torch would take it for another kind of file
            held: Any = torch.load(opened, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each have their own ways to fail
        raise _unread(file, _lacking(error), error) from None
    for name in _WRAPPINGS:
        held = held[name] if isinstance(held, Mapping) and isinstance(held.get(name), Mapping) else held
    good = isinstance(held, Mapping) and len(held) > 0
    good = good and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in held.items())
    check(good, f"{WHERE}: {file}", "must hold tensors by name", type(held).__name__, error=DataError)
    return dict(held)


def fitting(tensors: Mapping[str, Tensor], module: nn.Module, heads: Sequence[str], path: object) -> dict[str, Tensor]:
    """Return what of a file goes into a network: all of it, or all but a head for other classes.

    Args:
        tensors: What the file holds, by name.
        module: The network.
        heads: Qualified names of the modules that are made for the classes: all of them are left out, or none.
        path: The file, for messages.

    Raises:
        DataError: Anything else of the file does not fit, or is missing from it.
    """
    own, where = module.state_dict(), f"{WHERE}: {path}"
    begins = tuple(f"{head}." if head else "" for head in heads)
    head = {name for name in own if name.startswith(begins)}
    other = sorted(name for name in head if not _same_rows(tensors.get(name), own[name]))
    kept = {name: tensor for name, tensor in tensors.items() if not (other and name in head)}
    for name, tensor in kept.items():
        must = f"must fit {type(module).__name__}"
        check(name in own, where, f"{must}, which has no {name!r}", error=DataError)
        shapes = list(tensor.shape), list(own[name].shape)
        check(shapes[0] == shapes[1], where, f"{must}, whose {name!r} is {shapes[1]}", shapes[0], error=DataError)
    weights = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    for name, tensor in kept.items():
        odd = _odd_value(tensor, infinite=name in weights)  # a buffer may be a mask of -inf
        check(odd is None, where, f"must hold numbers that can be computed with, and {name!r} holds {odd}",
              error=DataError)  # fmt: skip
    counters = {name for name in own if name.endswith("num_batches_tracked")}  # older files have none
    lacking = [name for name in own if name not in kept and name not in counters and not (other and name in head)]
    must = f"must hold all of {type(module).__name__}, and lacks {counted(len(lacking), 'tensor')}"
    check(not lacking, where, must, lacking[:3], error=DataError)
    if other:
        held = [list(tensors[name].shape) if name in tensors else "missing" for name in other]
        needed = [list(own[name].shape) for name in other]
        named = " and ".join(map(repr, heads))
        which = f"the head {named} is left out and starts anew" if len(heads) == 1 else f"the heads {named} start anew"
        text = f"{where}: {which}: it is {held}, where {needed} is needed."
        warnings.warn(text, MaskclWarning, stacklevel=2)
    return kept


def _same_rows(held: Tensor | None, own: Tensor) -> bool:
    """Whether a tensor of the head is there with as many rows; what differs elsewhere is no other head but a misfit."""
    return held is not None and (held.shape[1:] != own.shape[1:] or held.shape == own.shape)


def _odd_value(tensor: Tensor, *, infinite: bool) -> str | None:
    """A value that no training comes back from, or None: nan, and infinity where it counts."""
    if not tensor.is_floating_point():
        return None
    tensor = tensor.float() if tensor.element_size() < 2 else tensor  # types of 8 bits have few functions
    if bool(tensor.isnan().any()):
        return "nan"
    return "an infinite number" if infinite and bool(tensor.isinf().any()) else None


def _there(path: str | os.PathLike[str]) -> Path:
    file = Path(path)
    if not file.is_file():
        state = "is a folder" if file.is_dir() else "is not there"
        raise MissingDataError(message(WHERE, f"must be a file of weights, and {state}", str(path)))
    return file


def _is_safetensors(file: Path) -> bool:
    """Whether a file begins as those do, with the length of a header in JSON; others by their name."""
    try:
        with file.open("rb") as opened:
            start = opened.read(9)
    except OSError as error:
        raise _unread(file, "be readable", error) from error
    if start.startswith((b"PK", b"\x80")):  # a zip file or a pickle, of torch.save
        return False
    return file.suffix == ".safetensors" or start[8:] == b"{"


def _lacking(error: Exception) -> str:
    """What does not hold of a file that torch refuses, in our words: its own advise to switch the safety off."""
    text = str(error)
    if "TorchScript" in text:
        return "hold tensors by name, and is a program of TorchScript"
    if isinstance(error, pickle.UnpicklingError) and "lobal" in text:  # a class or function, which would be called
        named = re.search(r"GLOBAL ([A-Za-z_][\w.]*)", text)
        return "hold tensors, numbers and text alone" + (f", and names {named[1]}" if named else "")
    return "be a whole file of torch.save that holds tensors, or of safetensors"


def _unread(file: Path, must: str, error: Exception) -> DataError:
    hint = "torch.save(network.state_dict(), PATH) writes one" if "alone" in must or "program" in must else None
    reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    return DataError(message(f"{WHERE}: {file}", f"must {must}{reason}", hint=hint))
