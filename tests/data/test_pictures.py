from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn import pixels, png
from PIL import Image

from maskcl.data import pictures
from maskcl.data.pictures import decode
from maskcl.errors import DataError

DRAWN = pixels(0, 6, 4)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def shown(tmp_path: Path, content: bytes, image_size: int | None = None) -> np.ndarray:
    path = tmp_path / "picture"
    path.write_bytes(content)
    return decode(path, image_size)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_colours_are_what_was_drawn_channel_by_channel(tmp_path: Path, kind: str) -> None:
    found = shown(tmp_path, saved(Image.fromarray(DRAWN), kind))
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, DRAWN.transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_kinds_come_close(tmp_path: Path, kind: str) -> None:
    smooth = np.repeat(np.linspace(40, 200, 16, dtype=np.uint8)[:, None], 16, 1)
    drawn = np.stack([smooth, smooth.T, smooth[::-1]], axis=2)
    found = shown(tmp_path, saved(Image.fromarray(drawn), kind, quality=95))
    assert np.abs(found.astype(int) - drawn.transpose(2, 0, 1)).mean() < 5


def test_grey_and_two_colours_are_the_same_in_all_channels(tmp_path: Path) -> None:
    grey = shown(tmp_path, saved(Image.fromarray(DRAWN[:, :, 0]), "PNG"))
    np.testing.assert_array_equal(grey, np.broadcast_to(DRAWN[:, :, 0], (3, 6, 4)))
    bits = DRAWN[:, :, 0] > 127
    np.testing.assert_array_equal(
        shown(tmp_path, saved(Image.fromarray(bits), "PNG")), np.broadcast_to(bits * np.uint8(255), (3, 6, 4))
    )


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    drawn = np.array([[[10, 20, 30], [200, 100, 0]]], dtype=np.uint8)
    palette = Image.fromarray(drawn).convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    assert palette.mode == "P"
    np.testing.assert_array_equal(shown(tmp_path, saved(palette, "PNG")), drawn.transpose(2, 0, 1))


def test_what_is_transparent_is_laid_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 0], rgba[0, :, 3] = 200, (255, 0, 127)
    found = shown(tmp_path, saved(Image.fromarray(rgba), "PNG"))
    np.testing.assert_array_equal(found[:, 0, 0], [200, 0, 0])
    np.testing.assert_array_equal(found[:, 0, 1], [255, 255, 255])
    assert np.abs(found[:, 0, 2].astype(int) - [228, 128, 128]).max() <= 1
    keyed = saved(Image.fromarray(DRAWN[:1, :2]), "PNG", transparency=tuple(map(int, DRAWN[0, 0])))
    np.testing.assert_array_equal(shown(tmp_path, keyed)[:, 0, 0], [255, 255, 255])


def test_cmyk_is_converted(tmp_path: Path) -> None:
    cmyk = Image.new("CMYK", (2, 2), (0, 255, 255, 0))
    np.testing.assert_array_equal(shown(tmp_path, saved(cmyk, "TIFF"))[:, 0, 0], [255, 0, 0])


def test_a_picture_that_the_camera_turned_is_turned_back(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    found = shown(tmp_path, saved(Image.fromarray(DRAWN), "PNG", exif=exif))
    np.testing.assert_array_equal(found, np.rot90(DRAWN, -1).transpose(2, 0, 1))


def test_image_size_scales_the_shorter_side_and_cuts_the_longer_evenly(tmp_path: Path) -> None:
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 15:25] = 255  # the middle square
    np.testing.assert_array_equal(shown(tmp_path, saved(Image.fromarray(wide), "PNG"), 10), np.full((3, 10, 10), 255))
    assert shown(tmp_path, saved(Image.fromarray(wide), "PNG"), 5).shape == (3, 5, 5)
    assert shown(tmp_path, saved(Image.fromarray(DRAWN), "JPEG"), 20).shape == (3, 20, 20)


def test_a_large_jpeg_is_scaled_while_it_is_decoded_to_much_the_same(tmp_path: Path) -> None:
    smooth = np.asarray(Image.fromarray(pixels(1, 8, 8)).resize((400, 400), Image.Resampling.BICUBIC))
    content = saved(Image.fromarray(smooth), "JPEG", quality=95)
    exact = np.asarray(Image.open(io.BytesIO(content)).resize((16, 16), Image.Resampling.BILINEAR))
    assert np.abs(shown(tmp_path, content, 16).astype(int) - exact.transpose(2, 0, 1)).max() <= 8


def _frames(kind: str) -> bytes:
    frames = [Image.fromarray(pixels(seed)) for seed in range(3)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


PHOTO = saved(Image.fromarray(pixels(0, 64, 64)), "PNG")

REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "must be a picture, and is empty."),
    "no picture": (b"two words", r"must be a picture \(BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP\)\."),
    "truncated png": (PHOTO[:-4000], r"must be a whole picture \(.+\)\."),
    "truncated jpeg": (saved(Image.fromarray(pixels(0, 64, 64)), "JPEG")[:-900], r"must be a whole picture \(.+\)\."),
    "only a header": (PHOTO[:40], r"must be a (whole )?picture \(.+\)\."),
    "damaged within": (PHOTO[:300] + bytes(200) + PHOTO[500:], r"must be a whole picture \(.+\)\."),
    "16-bit grey": (saved(Image.fromarray(np.zeros((4, 4), np.uint16)), "PNG"), "must have 8 bits a channel"),
    "16-bit grey tiff": (saved(Image.fromarray(np.zeros((4, 4), np.uint16)), "TIFF"), "must have 8 bits a channel"),
    "16-bit colours": (png(4, 4, bits=16), "must have 8 bits a channel, and has more."),
    "32-bit": (saved(Image.fromarray(np.zeros((4, 4), np.int32)), "TIFF"), "must have 8 bits a channel"),
    "floating": (saved(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "must have 8 bits a channel"),
    "lab": (saved(Image.new("LAB", (4, 4)), "TIFF"), "must be a picture in grey, colours, .*, got 'LAB'"),
    "animated gif": (_frames("GIF"), "must be one picture, and has 3 frames."),
    "animated png": (_frames("PNG"), "must be one picture, and has 3 frames."),
    "animated webp": (_frames("WEBP"), "must be one picture, and has 3 frames."),
    "tiff of pages": (_frames("TIFF"), "must be one picture, and has 3 frames."),
    "huge": (png(9_500, 9_500, data=b""), "must have 89,478,485 pixels or fewer"),
    "enormous": (png(60_000, 60_000, data=b""), "must have 89,478,485 pixels or fewer"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", r"must be a picture \("),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_named_in_one_sentence(tmp_path: Path, case: str) -> None:
    content, must = REFUSED[case]
    with pytest.raises(DataError, match=must) as caught:
        shown(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'picture'}: ")
    assert len(str(caught.value).splitlines()) <= 2


def test_pixels_are_counted_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_PIXELS", 20)
    with pytest.raises(DataError, match=r"must have 20 pixels or fewer, got '4x6'\."):
        shown(tmp_path, saved(Image.fromarray(DRAWN), "PNG"))


def test_the_second_picture_in_a_cameras_file_is_left_aside(tmp_path: Path) -> None:
    first, second = (Image.fromarray(pixels(seed, 16, 16)) for seed in range(2))
    both = saved(first, "MPO", save_all=True, append_images=[second], quality=100)
    alone = saved(first, "JPEG", quality=100)
    np.testing.assert_array_equal(shown(tmp_path, both), shown(tmp_path, alone))


def test_exif_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    content = saved(Image.fromarray(DRAWN), "PNG", exif=b"Exif\0\0MM\0*\0\0\xff\xff broken")
    np.testing.assert_array_equal(shown(tmp_path, content), DRAWN.transpose(2, 0, 1))


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must be a readable file \(No such file or directory\)"):
        decode(tmp_path / "nowhere.png")


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(PHOTO)
    path.chmod(0)
    with pytest.raises(DataError, match=r"must be a readable file \(Permission denied\)"):
        decode(path)


def test_whatever_a_decoder_raises_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> Callable[[], None]:
        raise IndexError("tuple index\nout of range.")

    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(DataError, match=r"must be a whole picture \(tuple index out of range\)\.$"):
        shown(tmp_path, PHOTO)
