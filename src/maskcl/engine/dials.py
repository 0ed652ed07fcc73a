"""Turning K frozen settings into one, with a tensor [K] where members differ: what makes a population.

Members can be stacked when they differ in dials alone (lr, m, leak, alpha, ...), the fields declared with
`maskcl.settings.dial`: everything else changes the shape of the computation.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Hashable, Sequence
from typing import Any, TypeVar

import torch

from maskcl.settings import is_dial

__all__ = ["cut_settings", "stack_settings", "structure"]

T = TypeVar("T")


def structure(settings: Any) -> Hashable:
    """Return a key that is equal for settings that differ in dials alone.

    Whether a dial is 0 is part of the structure of an optimiser (no momentum means no momentum tensor), and harmless
    elsewhere.
    """
    if isinstance(settings, dict):
        return tuple(sorted((name, repr(value)) for name, value in settings.items()))
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        return settings if isinstance(settings, Hashable) else id(settings)
    parts: list[Hashable] = [type(settings)]
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        dial = is_dial(field) and value is not None and not isinstance(value, str)  # "auto" is another computation
        parts.append((field.name, ("dial", value == 0) if dial else structure(value)))
    return tuple(parts)


def stack_settings(settings: Sequence[T], dtype: torch.dtype, device: torch.device | None = None) -> T:
    """Return settings of the same type whose dials are tensors [K] where members differ.

    Args:
        settings: Members' settings, of one `structure`.
        dtype: Type of the tensors: the parameters'.
        device: Where the tensors are to lie; None: on the CPU.
    """
    first = settings[0]
    if not dataclasses.is_dataclass(first):
        return first
    stacked = copy.copy(first)  # __post_init__ checks numbers, and has checked each member
    for field in dataclasses.fields(first):
        values = [getattr(member, field.name) for member in settings]
        if dataclasses.is_dataclass(values[0]):
            value = stack_settings(values, dtype, device)
        elif all(other == values[0] for other in values):
            value = values[0]
        else:
            value = torch.tensor([float(v) for v in values], dtype=dtype, device=device)
        object.__setattr__(stacked, field.name, value)
    return stacked


def cut_settings(settings: T, members: torch.Tensor) -> T:
    """Return stacked settings cut to the members of an index, int64 [k]."""
    cut = copy.copy(settings)
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, field.name)
        if isinstance(value, torch.Tensor):
            object.__setattr__(cut, field.name, value[members])
        elif dataclasses.is_dataclass(value):
            object.__setattr__(cut, field.name, cut_settings(value, members))
    return cut
