"""What a factory and its module hold besides code, as JSON has it: it tells networks of one structure apart.

    factory: arguments of partials, variables around a function, its defaults, attributes of an object that is called
    module: attributes that are no parameter, buffer or layer, such as `self.act = torch.tanh`

Not told, for it is code: what a function does, which global variables it reads, what stands in a class.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskcl.networks.modules import fingerprint

__all__ = ["attributes", "given", "origin", "told"]

DEPTH = 4
"""Objects within objects that are looked into; what lies deeper, or in a circle, is told by its type."""
MOST = 32
"""Attributes that a result lists; more are told by one digest of them all."""
LONG = 1000
"""Values of a list that are told one by one; a longer one is told by a digest."""
_OWN = frozenset(vars(nn.Module()))
_TOLD_BY_SETTINGS = ("torch", "maskcl")


def origin(factory: Any) -> tuple[str, str]:
    """Module and qualified name of a function, a class, a partial of one, or an object that is called."""
    while not hasattr(factory, "__qualname__"):
        factory = getattr(factory, "func", type(factory))
    return factory.__module__, factory.__qualname__


def given(factory: Any, depth: int = DEPTH) -> dict[str, Any]:
    """What a callable holds besides its code, by name; the outermost partial's word counts.

    >>> given(functools.partial(lambda shape, num_classes, act=torch.relu: None, act=torch.tanh))
    {'act': 'torch._VariableFunctionsClass.tanh'}
    """
    found: dict[str, Any] = {}
    while isinstance(factory, functools.partial):
        found |= {str(i): told(value, depth) for i, value in enumerate(factory.args) if str(i) not in found}
        found |= {name: told(value, depth) for name, value in factory.keywords.items() if name not in found}
        factory = factory.func
    for name, value in _held(factory):
        if name not in found:
            found[name] = told(value, depth)
    return found


def _held(factory: Any) -> Iterator[tuple[str, Any]]:
    """Variables around a function, its defaults; attributes of an object that is called, or whose method is."""
    if inspect.ismethod(factory):
        if not isinstance(factory.__self__, type):
            yield from vars_of(factory.__self__).items()
        factory = factory.__func__
    code = getattr(factory, "__code__", None)
    if code is None:
        if not isinstance(factory, type) and not hasattr(factory, "__qualname__"):
            yield from vars_of(factory).items()
        return
    for name, cell in zip(code.co_freevars, factory.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a variable that has no value yet
            continue
    defaults = factory.__defaults__ or ()
    yield from zip(code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount], defaults, strict=True)
    yield from (factory.__kwdefaults__ or {}).items()


def attributes(module: nn.Module) -> dict[str, Any]:
    """Plain attributes of a module's parts by qualified name; of PyTorch's own layers the settings say it all.

    >>> attributes(nn.Flatten(2))  # its settings are in the fingerprint
    {}
    """
    found: dict[str, Any] = {}
    for place, part in module.named_modules():
        if type(part).__module__.split(".")[0] in _TOLD_BY_SETTINGS:
            continue
        for name, value in vars(part).items():
            if name not in _OWN:
                found[f"{place}.{name}" if place else name] = told(value)
    if len(found) <= MOST:
        return found
    lines = "\n".join(f"{name} {value!r}" for name, value in sorted(found.items()))
    return {"all": _digest(lines.encode())}


def vars_of(value: Any) -> dict[str, Any]:
    """Attributes of an object, those in slots too."""
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()) if hasattr(value, name)]
    return {name: getattr(value, name) for name in slots if name not in ("__dict__", "__weakref__")} | dict(
        getattr(value, "__dict__", {})
    )


def told(value: Any, depth: int = DEPTH) -> Any:
    """A value as JSON has it: itself; where what is called is defined; type and content of arrays; else its type."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (float, np.number, np.bool_)):
        number = value.item() if isinstance(value, np.generic) else value
        return number if np.isfinite(number) and not isinstance(number, complex) else str(number)
    if isinstance(value, (Tensor, np.ndarray)):
        return _array(value)
    if isinstance(value, bytes):
        return f"bytes {_digest(value)}"
    if isinstance(value, (complex, PurePath, torch.dtype, torch.device, range, slice)):
        return str(value)
    if depth == 0:
        return _name(value)
    if isinstance(value, (list, tuple)):
        return _told_list([told(part, depth - 1) for part in value])
    if isinstance(value, (set, frozenset)):
        return _told_list(sorted((told(part, depth - 1) for part in value), key=repr))
    if isinstance(value, Mapping):
        return {str(name): told(part, depth - 1) for name, part in value.items()}
    if isinstance(value, nn.Module):
        return _module(value)
    held = given(value, depth - 1) if callable(value) else _told_vars(value, depth - 1)
    return {"is": _name(value), **held} if held else _name(value)


def _told_list(values: list[Any]) -> Any:
    return values if len(values) <= LONG else f"list [{len(values)}] {_digest(repr(values).encode())}"


def _told_vars(value: Any, depth: int) -> dict[str, Any]:
    """Attributes of an object; those of Python's own (loggers, locks) change on their way and are no settings."""
    python = type(value).__module__.split(".")[0] in sys.stdlib_module_names and not isinstance(value, SimpleNamespace)
    return {} if python else {name: told(part, depth) for name, part in vars_of(value).items()}


def _module(value: nn.Module) -> str:
    """A module that is no part of another: class and settings; structure and weights, if it has any."""
    settings, state = value.extra_repr(), value.state_dict()
    name = type(value).__qualname__ + (f"({settings})" if settings else "")
    if not state and not any(value.children()):
        return name
    arrays = [_array(tensor) for tensor in state.values() if isinstance(tensor, Tensor)]
    return f"{name} {_digest(' '.join([fingerprint(value), *arrays]).encode())}"


def _name(value: Any) -> str:
    """Where what is called is defined, or the type of anything else."""
    if isinstance(value, functools.partial):
        return ".".join(origin(value))
    known = hasattr(value, "__qualname__")
    return f"{getattr(value, '__module__', None)}.{value.__qualname__}" if known else type(value).__qualname__


def _array(value: Tensor | np.ndarray[Any, Any]) -> str:
    """Type, shape and a digest of the content; of the meta device there is none."""
    name = f"{type(value).__qualname__} {list(value.shape)} {value.dtype}"
    if isinstance(value, Tensor):
        if value.is_meta or value.layout is not torch.strided:
            return name
        value = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    elif value.dtype.hasobject:
        return f"{name} {_digest(repr(value.tolist()).encode())}"
    return f"{name} {_digest(np.ascontiguousarray(value).tobytes())}"


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
