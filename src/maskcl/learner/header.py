"""The header of a learner's file: what it says, what of it can be true, and the digest that tells of changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from torch import Tensor

from maskcl.data.checks import MOST_CLASSES
from maskcl.errors import DataError, check, message

__all__ = ["FORMAT", "Header", "digest_of", "read_header"]

FORMAT = 2
"""Version of the layout; a file of another one is refused."""

Count = Annotated[int, Field(ge=0, lt=2**63)]
Class = Annotated[int, Field(ge=0, lt=MOST_CLASSES)]


class Header(BaseModel):
    """What a file says beside its tensors.

    Attributes:
        format: Version of the layout.
        maskcl: Version that wrote it.
        torch: Version of PyTorch that wrote it.
        params: Arguments of `Learner`.
        names: The classes, as JSON tells them apart.
        columns: Names of a table's columns; None: there are none.
        fingerprint: Of the network's structure.
        num_classes: Outputs.
        tasks: Classes of each task.
        streaming: Whether the last task is a stream.
        input_range: Lowest and highest value of inputs.
        fixed_range: Whether that was said, and is not what rows had.
        frozen: Whether the file has the network of the last task's end.
        position: Stream rows so far.
        steps: Steps so far.
        updates: Updates of the optimiser.
        num_seen: Rows that the memory was offered.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    format: int
    maskcl: str
    torch: str
    params: dict[str, Any]
    names: list[Any]
    columns: list[str] | None
    fingerprint: str
    num_classes: Annotated[int, Field(ge=2, le=MOST_CLASSES)]
    tasks: Annotated[list[list[Class]], Field(min_length=1)]
    streaming: bool
    input_range: Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]
    fixed_range: bool
    frozen: bool
    position: Count
    steps: Count
    updates: Count
    num_seen: Count


def digest_of(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return what changes with any value of a header or a tensor; 32 hexadecimal digits."""
    found = hashlib.blake2b(json.dumps(dict(header), sort_keys=True).encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def read_header(text: str, tensors: Mapping[str, Tensor], where: str) -> Header:
    """Return a checked header.

    Args:
        text: JSON, with a "digest" beside the header's own keys.
        tensors: All that the file holds.
        where: The file, for messages.

    Raises:
        DataError: It is of another version, has changed since it was written, or cannot be true.
    """
    must = "must hold the header of a learner"
    try:
        raw = json.loads(text)
        known, digest = raw["format"], raw.pop("digest", None)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(message(where, f"{must} ({type(error).__name__})")) from error
    hint = f"it was written by maskcl {raw.get('maskcl')}; fit a new one, for formats change until the first release"
    check(known == FORMAT, where, f"must have format {FORMAT}", known, error=DataError, hint=hint)
    same = digest == digest_of(raw, tensors)
    check(same, where, "must be as it was written, and its digest says that something in it has changed",
          error=DataError)  # fmt: skip
    try:
        header = Header.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place, problem = ".".join(map(str, first["loc"])), first["msg"]
        raise DataError(message(where, f"{must}, and {place!r} in it is wrong ({problem})")) from None
    outputs, seen = header.num_classes, [c for task in header.tasks for c in task]
    fits = len(header.names) == outputs and len(set(seen)) == len(seen) and all(c < outputs for c in seen)
    check(fits, where, f"{must}, with a name for each of {outputs} outputs, each in one task at most", header.tasks,
          error=DataError)  # fmt: skip
    return header
