"""Where tensors live: which devices are there, what they can compute in, and how tensors get to them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from maskcl.errors import check
from maskcl.machine import available_bytes

__all__ = [
    "DEVICES",
    "PRECISIONS",
    "arithmetic",
    "check_device",
    "device_name",
    "devices_here",
    "find_device",
    "free_bytes",
    "send",
]

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("float32", "bfloat16", "float16")


def devices_here() -> tuple[str, ...]:
    """Return the devices that are there, the one that "auto" takes first."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return tuple(name for name, found in there.items() if found)


def find_device(name: str) -> torch.device:
    """Return a device by its name in settings.

    Args:
        name: "auto", "cpu", "cuda" or "mps".

    Raises:
        ConfigError: It is not there; the message says which are.

    >>> find_device("cpu")
    device(type='cpu')
    """
    here = devices_here()
    check(name in ("auto", *here), "training.device",
          f"must be one that is there, and there is {' and '.join(reversed(here))}", name)  # fmt: skip
    return torch.device(here[0] if name == "auto" else name)


def check_device(name: str, *, dtype: str, precision: str) -> None:
    """Refuse a device that is not there, or that cannot compute in a type.

    Args:
        name: Its name in settings.
        dtype: Type of weights and losses.
        precision: Type of the products of a step.

    Raises:
        ConfigError: The message names the setting.
    """
    device = find_device(name)
    for key, kind in (("dtype", dtype), ("precision", precision)):
        good = _computes(device, getattr(torch, kind))
        check(good, f"training.{key}", f"must be one that {device_name(device)} computes in", kind)


def _computes(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a device multiplies matrices of a type; what it would only emulate it does not."""
    if device.type == "cuda" and dtype == torch.bfloat16:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return _multiplies(device, dtype)


def _multiplies(device: torch.device, dtype: torch.dtype) -> bool:
    try:
        square = torch.ones(2, 2, dtype=dtype, device=device)
        return bool((square @ square == 2).all())
    except (RuntimeError, TypeError):  # PyTorch's ways to say no
        return False


def device_name(device: torch.device) -> str:
    """Return what results call a device: a GPU by its model."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def arithmetic() -> dict[str, Any]:
    """Return what a result tells of a GPU's arithmetic, which changes last bits and more: nothing without CUDA.

    TF32 rounds the factors of float32 products to 10 bits; `cudnn_benchmark` lets a clock choose the algorithms of
    convolutions. All of them are the user's, and maskcl sets none.
    """
    if not torch.cuda.is_available():
        return {}
    cudnn = torch.backends.cudnn
    return {
        "cuda": str(torch.version.cuda),
        "cudnn": str(cudnn.version()),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_tf32": bool(cudnn.allow_tf32),
        "cudnn_benchmark": bool(cudnn.benchmark),
        "cudnn_deterministic": bool(cudnn.deterministic),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }


def free_bytes(device: torch.device) -> int:
    """Return the memory that can still be used where tensors will lie, in bytes."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What earlier runs have given back is PyTorch's, not the device's: it takes new tensors before anything else.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return available_bytes()  # MPS has the machine's


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a host tensor on a device, without waiting where the device can fetch it by itself.

    Args:
        tensor: On the host, and not to be changed from here on.
        device: Where to; on the CPU the tensor itself is returned.
    """
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
