"""Augmentation against a loop over rows that pads, slices and flips; its numbers against chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from maskcl import rng
from maskcl.augment import Augment, apply, bounds, crop_and_flip, normalise, plan
from maskcl.errors import ConfigError, ShapeError

STATISTICS = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2615))
SETTINGS: dict[str, dict[str, Any]] = {
    "crop": {"crop": 2},
    "flip": {"flip": True},
    "crop and flip": {"crop": 4, "flip": True},
    "all": {"crop": 3, "flip": True, "normalise": STATISTICS},
    "normalise": {"normalise": STATISTICS},
    "nothing": {},
}


def _images(n: int, shape: tuple[int, ...] = (3, 6, 5), dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(n), dtype=dtype)


def _numbers(augment: Augment, n: int) -> Tensor:
    return torch.from_numpy(plan(augment, n, rng.generator(0, "augment")))


def _row_by_row(augment: Augment, images: Tensor, numbers: Tensor) -> Tensor:
    """The slow plain form of `apply`, in the order of torchvision's RandomCrop, flip, Normalize."""
    changed = []
    for image, (dy, dx, flip) in zip(images, numbers.tolist(), strict=True):
        channels, height, width = image.shape
        padded = torch.zeros(channels, height + 2 * augment.crop, width + 2 * augment.crop, dtype=image.dtype)
        padded[:, augment.crop : augment.crop + height, augment.crop : augment.crop + width] = image
        window = padded[:, dy : dy + height, dx : dx + width]
        window = torch.stack([torch.stack([row.flip(0) for row in part]) for part in window]) if flip else window
        if augment.normalise is not None:
            parts = zip(window, *augment.normalise, strict=True)
            window = torch.stack([(part - mean) / std for part, mean, std in parts])
        changed.append(window)
    return torch.stack(changed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 6, 5), (3, 5, 7)])
@pytest.mark.parametrize("name", SETTINGS)
def test_apply_is_the_loop_over_rows(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    augment = Augment(**SETTINGS[name])
    images = _images(60, shape, dtype)
    before, numbers = images.clone(), _numbers(augment, 60)
    made = apply(augment, images, numbers)
    assert torch.equal(made, _row_by_row(augment, images, numbers))
    assert (made.shape, made.dtype) == (images.shape, dtype)
    assert torch.equal(images, before)


def test_every_window_of_the_padded_image_is_cut_right() -> None:
    augment, images = Augment(crop=2, flip=True), _images(50, (1, 4, 3))
    numbers = torch.cartesian_prod(torch.arange(5), torch.arange(5), torch.arange(2))
    assert torch.equal(apply(augment, images, numbers), _row_by_row(augment, images, numbers))


def test_eight_bit_images_give_the_same_pixels_before_scaling_as_after() -> None:
    augment = Augment(crop=2, flip=True)
    bits = torch.randint(0, 256, (40, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    numbers = _numbers(augment, 40)
    before = crop_and_flip(augment, bits, numbers)
    assert before.dtype == torch.uint8
    assert torch.equal(before.float() / 255, crop_and_flip(augment, bits.float() / 255, numbers))


def test_images_with_gaps_are_changed_as_others() -> None:
    augment, images = Augment(crop=1, flip=True, normalise=STATISTICS), _images(20)
    numbers = _numbers(augment, 20)
    gaps = images.to(memory_format=torch.channels_last)
    assert torch.equal(apply(augment, gaps, numbers), apply(augment, images, numbers))


def test_a_border_is_black_and_not_the_mean() -> None:
    augment = Augment(crop=1, normalise=((0.5,), (0.25,)))
    made = apply(augment, torch.full((1, 1, 2, 2), 0.5), torch.tensor([[0, 0, 0]]))
    assert made.tolist() == [[[[-2.0, -2.0], [-2.0, 0.0]]]]


def test_evaluation_normalises_and_moves_nothing() -> None:
    images = _images(5)
    assert normalise(Augment(crop=2, flip=True), images) is images
    centred = Augment(crop=2, normalise=STATISTICS)
    middle = torch.tensor([[2, 2, 0]]).expand(5, 3)
    assert torch.equal(normalise(centred, images), apply(centred, images, middle))
    population = images.view(5, 1, 3, 6, 5)
    assert torch.equal(normalise(centred, population)[:, 0], normalise(centred, images))


def test_plans_are_uniform_and_their_columns_independent() -> None:
    augment, n = Augment(crop=2, flip=True), 50 * 400
    numbers = plan(augment, n, rng.generator(3, "augment"))
    cells = (numbers[:, 0] * 5 + numbers[:, 1]) * 2 + numbers[:, 2]  # all 5 x 5 windows, mirrored or not
    assert stats.chisquare(np.bincount(cells, minlength=50)).pvalue > 0.001
    pairs = cells[:-1:2] % 2 * 2 + cells[1::2] % 2  # and neighbouring rows
    assert stats.chisquare(np.bincount(pairs, minlength=4)).pvalue > 0.001


@pytest.mark.parametrize(("settings", "highest"), [({"crop": 4}, (8, 8, 0)), ({"flip": True}, (0, 0, 1)),
                                                   ({}, (0, 0, 0))])  # fmt: skip
def test_plans_hold_only_what_is_asked_for(settings: dict[str, Any], highest: tuple[int, ...]) -> None:
    numbers = plan(Augment(**settings), 500, rng.generator(0, "augment"))
    assert (numbers.shape, numbers.dtype) == ((500, 3), np.dtype("int64"))
    assert numbers.min() == 0
    assert tuple(numbers.max(0)) == highest


def test_two_plans_from_one_generator_are_one_long_plan() -> None:
    augment = Augment(crop=4, flip=True)
    parts, whole = rng.generator(1, "augment"), rng.generator(1, "augment")
    joined = np.concatenate([plan(augment, n, parts) for n in (1, 0, 7, 32)])
    np.testing.assert_array_equal(joined, plan(augment, 40, whole))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bounds_are_exactly_the_extremes_of_normalised_images(dtype: torch.dtype) -> None:
    augment = Augment(crop=2, normalise=STATISTICS)
    low, high = bounds(augment, (0.0, 1.0), dtype=dtype)
    assert isinstance(low, Tensor)
    assert isinstance(high, Tensor)
    assert low.shape == high.shape == (3, 1, 1)
    extremes = torch.stack([torch.zeros(3, 4, 4, dtype=dtype), torch.ones(3, 4, 4, dtype=dtype)])
    made = normalise(augment, extremes)
    assert torch.equal(made, torch.stack([low.expand(3, 4, 4), high.expand(3, 4, 4)]))
    assert torch.equal(made.clone().clamp_(low, high), made)


def test_bounds_without_normalisation_are_the_data_range_and_the_border() -> None:
    assert bounds(Augment(flip=True), (0.25, 2.0)) == (0.25, 2.0)
    assert bounds(Augment(crop=1), (0.25, 2.0)) == (0.0, 2.0)
    assert bounds(Augment(crop=1), (-3.0, -1.0)) == (-3.0, 0.0)


def test_only_crop_and_flip_are_random() -> None:
    assert [name for name in SETTINGS if Augment(**SETTINGS[name]).is_random] == [
        "crop",
        "flip",
        "crop and flip",
        "all",
    ]


def test_lists_of_an_experiment_file_become_tuples() -> None:
    augment = Augment(normalise=[[0, 0.5], [1, 0.25]])  # type: ignore[arg-type]
    assert augment == Augment(normalise=((0.0, 0.5), (1.0, 0.25)))
    assert hash(augment) is not None


TWO_LISTS = "augment.normalise: must be two lists of finite numbers, means and standard deviations"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"crop": -1}, "augment.crop: must be a whole number of pixels, 0 or more, got -1."),
    ({"crop": 4.0}, "augment.crop: must be a whole number of pixels, 0 or more, got 4.0."),
    ({"crop": True}, "augment.crop: must be a whole number of pixels, 0 or more, got True."),
    ({"flip": 0.5}, "augment.flip: must be true or false, got 0.5."),
    ({"normalise": (0.5, 0.25)}, f"{TWO_LISTS}, got (0.5, 0.25)."),
    ({"normalise": 0.5}, f"{TWO_LISTS}, got 0.5."),
    ({"normalise": ((0.5,),)}, f"{TWO_LISTS}, got ((0.5,),)."),
    ({"normalise": ((0.5,), (1.0, 1.0))}, f"{TWO_LISTS}, got ((0.5,), (1.0, 1.0))."),
    ({"normalise": "ab"}, f"{TWO_LISTS}, got 'ab'."),
    ({"normalise": ((), ())}, f"{TWO_LISTS}, got ((), ())."),
    ({"normalise": (("a",), (1.0,))}, f"{TWO_LISTS}, got (('a',), (1.0,))."),
    ({"normalise": ((float("nan"),), (1.0,))}, f"{TWO_LISTS}, got ((nan,), (1.0,))."),
    ({"normalise": ((0.5,), (0.0,))}, "augment.normalise: must have standard deviations above 0, got (0.0,)."),
]


@pytest.mark.parametrize(("settings", "text"), REFUSED, ids=[str(settings) for settings, _ in REFUSED])
def test_every_bad_value_is_refused_in_one_sentence(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Augment(**settings)
    assert str(caught.value) == text


UNFIT: list[tuple[dict[str, Any], tuple[int, ...], str]] = [
    ({"crop": 1}, (784,), "augment.crop: needs images [channels, height, width], got (784,)."),
    ({"flip": True}, (28, 28), "augment.flip: needs images [channels, height, width], got (28, 28)."),
    ({"normalise": STATISTICS}, (3,), "augment.normalise: needs images [channels, height, width], got (3,)."),
    ({"normalise": STATISTICS}, (1, 8, 8), "augment.normalise: must have 1 means, one a channel of (1, 8, 8), got 3."),
    ({"crop": 8}, (1, 8, 9), "augment.crop: must be below height and width of (1, 8, 9), got 8."),
]


@pytest.mark.parametrize(("settings", "shape", "text"), UNFIT)
def test_inputs_that_are_not_such_images_are_refused(settings: dict[str, Any], shape: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Augment(**settings).check_shape(shape)
    assert str(caught.value) == text


def test_inputs_that_fit_are_not_refused() -> None:
    Augment().check_shape((784,))
    Augment(crop=4, flip=True, normalise=STATISTICS).check_shape((3, 32, 32))


def test_tensors_that_do_not_fit_are_refused() -> None:
    augment, images = Augment(crop=1), _images(4)
    with pytest.raises(ShapeError, match=r"augment: images: must have shape \[n, C, H, W\], got \(4, 90\)"):
        apply(augment, images.flatten(1), _numbers(augment, 4))
    with pytest.raises(ShapeError, match=r"augment: numbers: must have shape \(4, 3\), got \(5, 3\)"):
        apply(augment, images, _numbers(augment, 5))
    with pytest.raises(ShapeError, match=r"augment: images: must be floating point.*uint8.\nhint: divide.*255"):
        normalise(Augment(normalise=STATISTICS), torch.zeros(4, 3, 2, 2, dtype=torch.uint8))
