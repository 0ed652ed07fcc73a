"""A device that is not there, computed on the CPU: its tensors mix with none of the host, and NumPy cannot have them.

It goes by the name of the meta device. Other than that device's own tensors these have values, so that what looks at
them (a task's end, an evaluation) can be run; other than on CUDA nothing is fast, and sums have the order of the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

FAR = torch.device("meta")
INDEXED = {"index", "index_put_", "index_put", "_index_put_impl_", "copy_", "_to_copy"}
"""Operations that take tensors of the host beside those of a device, on CUDA as well."""


UNREPEATABLE = {"index_add", "index_add_", "bincount", "histc", "cumsum", "scatter_reduce", "put_"}
"""Operations that CUDA may do in the order in which its threads come."""


class FarTensor(Tensor):
    """A tensor of that device, around the one of the host that has its values."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> FarTensor:
        return Tensor._make_wrapper_subclass(  # type: ignore[attr-defined, no-any-return]
            cls, here.shape, strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype, device=FAR,
            requires_grad=here.requires_grad,
        )  # fmt: skip

    def __init__(self, here: Tensor) -> None:
        self.here = here

    def __repr__(self) -> str:
        return f"FarTensor({self.here!r})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("can't convert far device type tensor to numpy. Use Tensor.cpu() to copy it first.")

    def __array__(self, *_: Any) -> Any:
        return self.numpy()


class FarAway(TorchDispatchMode):
    """Within it the meta device computes: tensors that are made there have values."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def __enter__(self) -> Any:
        self._numbers = _Numbers()
        self._numbers.__enter__()
        return super().__enter__()

    def __exit__(self, *found: Any) -> None:
        super().__exit__(*found)
        self._numbers.__exit__(*found)


class _Numbers(TorchFunctionMode):
    """Sees the functions whose copy to a device passes below what dispatch modes see."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.new_tensor:
            kwargs.setdefault("device", args[0].device)
            kwargs.setdefault("dtype", args[0].dtype)
            func, args = torch.tensor, args[1:]
        if func in (torch.tensor, torch.as_tensor) and torch.device(kwargs.get("device") or "cpu") == FAR:
            asked = kwargs.pop("requires_grad", False)
            return func(*args, **kwargs | {"device": None}).to(FAR).requires_grad_(asked)
        if func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[1], (list, np.ndarray)):
            args = (args[0], torch.from_numpy(np.asarray(args[1], np.int64)), *args[2:])
        return func(*args, **kwargs)


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
    far = [isinstance(t, FarTensor) for t in given]
    name = func.overloadpacket.__name__
    if any(far) and name not in INDEXED and any(not f and t.ndim for t, f in zip(given, far, strict=True)):
        raise RuntimeError(f"{func}: expected all tensors to be on the same device")
    if any(far) and name in UNREPEATABLE:
        raise RuntimeError(f"{func}: gives other last bits each time")
    assert all(f or t.device != FAR for t, f in zip(given, far, strict=True)), f"{func}: made past the watch"
    place = kwargs.get("device")
    if place is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    inner = tree_map(lambda t: t.here if isinstance(t, FarTensor) else t, (args, kwargs))
    found = func(*inner[0], **inner[1])
    of_args = {id(t.here): t for t in given if isinstance(t, FarTensor)}
    if (place is None and not any(far)) or (place is not None and torch.device(place).type != FAR.type):
        return found
    if name in ("copy_", "index_put_") and not far[0]:
        return found
    return tree_map(lambda t: _far(t, of_args), found)


def _far(value: Any, known: dict[int, FarTensor]) -> Any:
    """A tensor of that device; the one that is there already where an operation gave back its argument."""
    if not isinstance(value, Tensor):
        return value
    return known[id(value)] if id(value) in known else FarTensor(value)
