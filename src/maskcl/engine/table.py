"""The data set's rows as the networks see them: gathered, augmented, scaled, normalised.

8-bit images stay 8-bit in the table; they are scaled after the gather.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcl import augment as A
from maskcl.augment import Augment

__all__ = ["Stores", "Table", "over"]


class Stores:
    """Arrays as they lie on devices, each once: tables that show the same rows differently share them."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, torch.dtype | None, torch.device], tuple[object, Tensor]] = {}

    def __call__(
        self, rows: NDArray[np.float32] | NDArray[np.uint8], dtype: torch.dtype, device: torch.device | None
    ) -> Tensor:
        """Return an array on a device (None: the CPU), floating ones of a type; 8-bit images stay 8-bit."""
        found = over(rows)
        kind, place = None if found.dtype == torch.uint8 else dtype, device or torch.device("cpu")
        key = id(rows), kind, place
        if key not in self._known:
            self._known[key] = (
                rows,
                found.to(device=place, dtype=kind),
            )  # the array is held, or its id would be given anew
        return self._known[key][1]


class Table:
    """Rows on which networks are trained or judged.

    Args:
        rows: float32 [N, ...], or uint8 images [N, C, H, W] that stand for value / 255.
        dtype: What the networks compute in.
        augment: How images are changed; None: not.
        device: Where the rows are to lie; None: on the CPU.
        stores: What lies there already.
    """

    def __init__(
        self,
        rows: NDArray[np.float32] | NDArray[np.uint8],
        dtype: torch.dtype,
        augment: Augment | None,
        device: torch.device | None = None,
        stores: Stores | None = None,
    ) -> None:
        self.stored = (stores or Stores())(rows, dtype, device)
        self.dtype, self.augment = dtype, augment or Augment()
        self.is_raw = self.stored.dtype == torch.uint8
        self.shape = tuple(rows.shape[1:])
        self._is_finished = not self.is_raw and self.augment.normalise is None

    def batch(
        self, rows: Tensor, leading: tuple[int, ...], buffers: dict[int, Tensor], views: Tensor | None = None
    ) -> Tensor:
        """Gather a step's rows.

        Args:
            rows: Row ids, int64 [K * n].
            leading: Leading dimensions of the result.
            buffers: The caller's; the result lies in one, and is overwritten by the next call with as many rows.
            views: How each view of each row is changed, int64 [K * n, V, 3]; None: not at all.

        Returns:
            Inputs [..., V * n, *shape], view after view.
        """
        count = len(rows)
        if count not in buffers:  # a fresh batch each step would cost page faults: 2 MB at 32 x 20 rows
            buffers[count] = self.stored.new_empty(count, *self.shape)
        # index_select is five times faster than indexing
        found = torch.index_select(self.stored, 0, rows, out=buffers[count])
        if views is None:
            return self.finished(found).view(*leading, -1, *self.shape)
        changes = self.augment.is_random
        made = [self.finished(A.crop_and_flip(self.augment, found, v) if changes else found) for v in views.unbind(1)]
        parts = [images.view(*leading, -1, *self.shape) for images in made]
        return parts[0] if len(parts) == 1 else torch.cat(parts, len(leading))

    def rows(self, rows: NDArray[np.int64] | Tensor) -> Tensor:
        """Rows as they are judged: not augmented, [n, *shape]."""
        return self.finished(self.stored[torch.as_tensor(rows)])

    def finished(self, found: Tensor) -> Tensor:
        """Stored rows [n, *shape] as networks take them: scaled and normalised."""
        if self._is_finished:
            return found
        if self.is_raw:
            found = found.float().div_(255).to(self.dtype)
        return A.normalise(self.augment, found)

    @property
    def black(self) -> Tensor | float:
        """What a pixel of 0 is to the network, [C, 1, 1], or 0.0 where nothing is normalised."""
        if self.augment.normalise is None:
            return 0.0
        zeros = self.stored.new_zeros(len(self.augment.normalise[0]), 1, 1, dtype=self.dtype)
        return A.normalise(self.augment, zeros)

    def bounds(self, input_range: tuple[float, float]) -> tuple[float, float] | tuple[Tensor, Tensor]:
        """Lowest and highest value that a finished row can have."""
        return A.bounds(self.augment, input_range, dtype=self.dtype, device=self.stored.device)


def over(rows: NDArray[np.float32] | NDArray[np.uint8]) -> Tensor:
    """A tensor over an array's own memory; one that must not be written, as of a mapped file, is only read here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable", category=UserWarning)
        return torch.from_numpy(rows)
