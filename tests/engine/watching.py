"""A watch on every operation: where its tensors lie, and whether it would wait for a device, or send to it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {
    "_local_scalar_dense", "item", "is_nonzero", "nonzero", "masked_select", "equal", "unique_dim", "_unique2",
    "unique_consecutive", "bincount", "_assert_async",
}  # fmt: skip
"""Operations whose result, or whose result's shape, the host asks for."""
COPIES = {"_to_copy", "copy_", "_copy_from", "to", "_pin_memory"}


class Watch(TorchDispatchMode):
    """Notes each operation on a device that waits for it, copies to or from it, or has tensors elsewhere.

    Tensors without dimensions may be on the host: a kernel takes them as numbers.
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self.count, self.faults = torch.device(device).type, 0, list[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        before = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        out = func(*args, **(kwargs or {}))
        after = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        here = [t.device.type == self.device for t in before]
        self.count += any(here)
        if any(here) and name in WAITS:
            self.faults.append(f"{func} waits for the device")
        if name == "index" and any(t.dtype == torch.bool for t in before[1:]):
            self.faults.append(f"{func} by a boolean mask waits for the device")
        if name == "repeat_interleave" and "output_size" not in (kwargs or {}) and any(here):
            self.faults.append(f"{func} waits for the device")
        if name in COPIES and any(t.device.type != self.device for t in [*before, *after]):
            if any(here) or any(t.device.type == self.device for t in after):
                self.faults.append(f"{func} copies between the host and the device")
        elif any(t.ndim and t.device.type != self.device for t in [*before, *after]):
            self.faults.append(f"{func} has tensors of {[(t.device.type, tuple(t.shape)) for t in [*before, *after]]}")
        return out

    def __enter__(self) -> Any:
        self._numbers = _Numbers(self)
        self._numbers.__enter__()
        return super().__enter__()

    def __exit__(self, *found: Any) -> None:
        super().__exit__(*found)
        self._numbers.__exit__(*found)


class _Numbers(TorchFunctionMode):
    """Sees `torch.tensor` and `torch.as_tensor`, whose copy to a device passes below what dispatch modes see."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        made = func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor, torch.from_numpy)
        if made and out.device.type == self.watch.device and not any(isinstance(a, Tensor) for a in args[-1:]):
            self.watch.faults.append(f"{func.__name__} copies Python's numbers to the device")
        return out
