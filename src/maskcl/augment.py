"""`Augment`: what happens to images between the table and the network, planned ahead and applied in one batch.

The numbers come first (`plan`), as for everything random here: an augmented run depends on its seed alone, not on the
device, nor on which runs form a population.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from maskcl.errors import ShapeError, check, is_whole

__all__ = ["Augment", "apply", "bounds", "crop_and_flip", "normalise", "plan"]


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How images [C, H, W] are changed before the network sees them.

    The order is that of the public code of DER: crop, flip, then normalise. The border that the crop adds is thus 0 as
    a raw pixel, black, and not 0 after normalisation.

    Args:
        crop: Pixels of 0 added on each side before a random window of the old size is cut out; 0: no crop.
        flip: Mirror left and right with probability 1/2.
        normalise: Means and standard deviations, one a channel, both of raw values (pixels / 255 where the table is
            uint8): (x - mean) / std, at evaluation too; None: no normalisation.
    """

    crop: int = 0
    flip: bool = False
    normalise: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def __post_init__(self) -> None:
        good = is_whole(self.crop) and self.crop >= 0
        check(good, "augment.crop", "must be a whole number of pixels, 0 or more", self.crop)
        check(isinstance(self.flip, bool), "augment.flip", "must be true or false", self.flip)
        if self.normalise is not None:
            table = _table(self.normalise)
            must = "must be two lists of finite numbers, means and standard deviations"
            check(table.ndim == 2 and len(table) == 2 and table.size > 0, "augment.normalise", must, self.normalise)
            mean, std = (tuple(map(float, part)) for part in table)
            check(min(std) > 0, "augment.normalise", "must have standard deviations above 0", std)
            object.__setattr__(self, "normalise", (mean, std))

    @property
    def is_random(self) -> bool:
        """Whether rows need numbers of `plan`."""
        return self.crop > 0 or self.flip

    def check_shape(self, shape: Sequence[int], section: str = "augment") -> None:
        """Raise ConfigError unless inputs of this shape, without the rows, can be changed so."""
        shape = tuple(shape)
        for name in ("crop", "flip", "normalise"):
            if getattr(self, name):
                check(len(shape) == 3, f"{section}.{name}", "needs images [channels, height, width]", shape)
        if self.crop:  # else a window may lie wholly in the border
            must = f"must be below height and width of {shape}"
            check(self.crop < min(shape[1:]), f"{section}.crop", must, self.crop)
        if self.normalise is not None:
            must = f"must have {shape[0]} means, one a channel of {shape}"
            check(len(self.normalise[0]) == shape[0], "augment.normalise", must, len(self.normalise[0]))


def plan(augment: Augment, num_rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw how each row, or each view of it, is changed; two calls for n and m rows are one for n + m.

    Returns:
        (dy, dx, flip) of each row, int64, shape [num_rows, 3]: upper left corner of the window in the padded image, 0
        to 2 * crop, and 1 to mirror it.
    """
    sides = 2 * augment.crop + 1
    return rng.integers(0, [sides, sides, 1 + augment.flip], size=(num_rows, 3))


def apply(augment: Augment, images: Tensor, numbers: Tensor) -> Tensor:
    """Crop, flip and normalise training images; `crop_and_flip` and `normalise` say what and of which shapes."""
    return normalise(augment, crop_and_flip(augment, images, numbers))


def crop_and_flip(augment: Augment, images: Tensor, numbers: Tensor) -> Tensor:
    """Cut out and mirror each image as planned.

    Args:
        augment: The settings.
        images: Rows of any type, shape [n, C, H, W]. 8-bit images are best scaled afterwards: the same values, and
            the border is then four times cheaper to make.
        numbers: What `plan` gave for these rows, int64, shape [n, 3].

    Returns:
        Images of the same shape; `images` themselves if nothing here is random.

    >>> image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> crop_and_flip(Augment(crop=1, flip=True), image, torch.tensor([[1, 2, 1]])).tolist()
    [[[[0.0, 2.0], [0.0, 4.0]]]]
    """
    check(images.ndim == 4, "augment: images", "must have shape [n, C, H, W]", tuple(images.shape), error=ShapeError)
    n, channels, height, width = images.shape
    found = tuple(numbers.shape)
    check(found == (n, 3), "augment: numbers", f"must have shape {(n, 3)}", found, error=ShapeError)
    if not augment.is_random:
        return images
    if augment.crop:  # a border of 0 would copy all the same
        images = pad(images, (augment.crop,) * 4)
    down, right, flip = numbers.unbind(1)
    y, x = (torch.arange(size, device=images.device) for size in (height, width))
    columns = right[:, None] + torch.where(flip[:, None] == 1, width - 1 - x, x)
    # One gather from the flattened padded image, with the indices of a row shared by its channels. At 20 and 640 rows
    # of 3 x 32 x 32 with a border of 4, one thread: 0.11 and 3.3 ms (8-bit: 0.10 and 1.9); a loop of slices 0.13 and
    # 6.4, images[i, c, y, x] with four index tensors 0.44 and 14.7.
    cells = ((down[:, None] + y)[:, :, None] * images.shape[3] + columns[:, None]).view(n, 1, -1)
    return images.flatten(2).gather(2, cells.expand(-1, channels, -1)).view(n, channels, height, width)


def normalise(augment: Augment, images: Tensor) -> Tensor:
    """Return (x - mean) / std by channel, shape [..., C, H, W], or `images` themselves: all that evaluation does."""
    if augment.normalise is None:
        return images
    check(images.is_floating_point(), "augment: images", "must be floating point to be normalised", images.dtype,
          error=ShapeError, hint="divide 8-bit images by 255")  # fmt: skip
    mean, std = (_by_channel(values, images.dtype, images.device) for values in augment.normalise)
    return (images - mean).div_(std)


@functools.lru_cache(maxsize=64)
def _by_channel(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers as a tensor [C, 1, 1], made once: to send them with each step, a device would be waited for."""
    return torch.tensor(values, dtype=dtype, device=device)[:, None, None]


def bounds(
    augment: Augment,
    input_range: tuple[float, float],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> tuple[float, float] | tuple[Tensor, Tensor]:
    """Return the lowest and highest value that an augmented row can take, e.g. to clamp what CFGM makes of it.

    Args:
        augment: The settings.
        input_range: Lowest and highest raw value; the border's 0 is added to it where the crop makes one.
        dtype: Type of the rows, so that the extremes of the data are exactly the bounds.
        device: Where the rows lie; None: on the CPU.

    Returns:
        Two floats, or with normalisation two tensors [C, 1, 1], for each channel has its own range.

    >>> bounds(Augment(normalise=((0.5,), (0.25,))), (0.0, 1.0))
    (tensor([[[-2.]]]), tensor([[[2.]]]))
    """
    low, high = (min(input_range[0], 0.0), max(input_range[1], 0.0)) if augment.crop else input_range
    if augment.normalise is None:
        return low, high
    shape = (len(augment.normalise[0]), 1, 1)
    lowest, highest = (torch.full(shape, value, dtype=dtype, device=device) for value in (low, high))
    return normalise(augment, lowest), normalise(augment, highest)


def _table(value: Any) -> npt.NDArray[Any]:
    """Return nested lists of equal lengths as an array, and nothing of whatever else."""
    try:
        table = np.asarray(value)
    except ValueError:
        return np.empty(0)
    return table if table.dtype.kind in "iuf" and np.isfinite(table).all() else np.empty(0)
