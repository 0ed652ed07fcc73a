"""One file -> one picture, uint8 [3, height, width], as a viewer would show it; what has no such meaning is refused.

grey, two colours, palette       the same in red, green and blue
transparent                      laid on white
CMYK, YCbCr                      converted; colour profiles are left aside
turned by its camera (EXIF)      turned back
16 bits, floating, Lab           refused: which 8 bits are meant, only its owner knows
several frames                   refused; the second picture in a camera's file (MPO) is left aside
over MOST_PIXELS                 refused, before it is decoded

What is refused for what it holds is an UnusablePictureError, and may be left out. A file that the system does not give
(no right to it, too many open, a failing disk, no memory) may be a good picture, and is another DataError.
"""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from maskcl.data.picture_set import UnusablePictureError
from maskcl.errors import DataError, message

__all__ = ["FORMATS", "MOST_PIXELS", "decode", "in_colours"]

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is read. Not all that Pillow knows: some of its formats run other programs."""

MOST_PIXELS = 89_478_485
"""Pillow's own bound: a file of some kilobytes can claim to be a picture that fills the memory."""

_KINDS = ("1", "L", "P", "CMYK", "YCbCr")
_ORIENTATION = 0x0112


def decode(path: Path, image_size: int | None = None) -> npt.NDArray[np.uint8]:
    """Read a picture.

    Args:
        path: The file.
        image_size: Width and height of what is returned: the shorter side is scaled to it (bilinear, antialiased), and
            the longer one cut evenly at both ends. None: as it is.

    Returns:
        Red, green and blue, shape [3, height, width].

    Raises:
        UnusablePictureError: It holds no picture that can be used; one sentence with its path.
        DataError: The system does not give the file, or the memory for it.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise _not_given(path, error) from error
    with stream:
        try:
            if stream.read(4) == b"\x89PNG":  # its checksums are told by nobody but `verify`, after which it is used up
                stream.seek(0)
                Image.open(stream, formats=("PNG",)).verify()
            stream.seek(0)
            with Image.open(stream, formats=FORMATS) as picture:
                _check(picture, str(path))
                if image_size is not None:
                    picture.draft(None, (2 * image_size, 2 * image_size))  # a JPEG may be decoded at 1/2, 1/4 or 1/8
                shown = _rgb(_upright(picture), str(path))
                if image_size is not None:
                    shown = ImageOps.fit(shown, (image_size, image_size), Image.Resampling.BILINEAR)
                return np.ascontiguousarray(np.asarray(shown).transpose(2, 0, 1))
        except DataError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise _huge(str(path)) from error
        except UnidentifiedImageError as error:
            empty = path.stat().st_size == 0
            must = "must be a picture, and is empty" if empty else f"must be a picture ({', '.join(FORMATS)})"
            raise UnusablePictureError(message(str(path), must)) from error
        except Exception as error:  # decoders raise whatever a broken file leads them to
            if _is_the_systems(error):
                raise _not_given(path, error) from error
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise UnusablePictureError(message(str(path), f"must be a whole picture ({reason})")) from error


def in_colours(picture: Image.Image, where: str) -> Image.Image:
    """Return a picture in red, green and blue, as `decode` does, but not turned.

    Args:
        picture: Any of Pillow's.
        where: Its name in messages.

    Raises:
        UnusablePictureError: It has no such meaning.
    """
    _check(picture, where)
    return _rgb(picture, where)


def _is_the_systems(error: Exception) -> bool:
    """Whether an error says nothing of what the file holds. Pillow's own OSErrors have no number, but for a broken
    offset, which no file can be read at (EINVAL); and its decoders put a lack of memory into words.
    """
    if isinstance(error, OSError):
        return error.errno not in (None, errno.EINVAL) or "out of memory" in str(error)
    return isinstance(error, MemoryError)


def _not_given(path: Path, error: Exception) -> DataError:
    if isinstance(error, OSError) and error.errno is not None:
        return DataError(message(str(path), f"must be a readable file ({error.strerror or error})"))
    return DataError(message(str(path), "must fit into the memory there is while it is decoded"))


def _check(picture: Image.Image, where: str) -> None:
    """Refuse what can be told before anything is decoded."""
    if picture.width * picture.height > MOST_PIXELS:
        raise _huge(where, f"{picture.width}x{picture.height}")
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":
        hint = "save the frame that is meant as a picture of its own"
        raise UnusablePictureError(message(where, f"must be one picture, and has {frames} frames", hint=hint))
    # A PNG of 3 x 16 bits is opened as 8 bits without a word: only what its decoder is told tells it.
    wide = any(";16" in str(tile) for tile in getattr(picture, "tile", ())) or picture.mode[:1] in ("I", "F")
    if wide:
        hint = "say which 8 bits are meant: scale it, and save it anew"
        raise UnusablePictureError(message(where, "must have 8 bits a channel, and has more", hint=hint))


def _huge(where: str, size: str | None = None) -> DataError:
    must = f"must have {MOST_PIXELS:,} pixels or fewer"
    hint = "scale it down, and save it anew"
    return UnusablePictureError(message(where, must, *([] if size is None else [size]), hint=hint))


def _upright(picture: Image.Image) -> Image.Image:
    try:
        turned = picture.getexif().get(_ORIENTATION, 1) != 1
    except Exception as error:  # EXIF that cannot be read says nothing, and the picture is still one
        if _is_the_systems(error):
            raise
        return picture
    return ImageOps.exif_transpose(picture) if turned else picture


def _rgb(picture: Image.Image, where: str) -> Image.Image:
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        shown = Image.new("RGBA", layer.size, "white")
        shown.alpha_composite(layer)
        return shown.convert("RGB")
    if picture.mode == "RGB":
        picture.load()
        return picture
    if picture.mode in _KINDS:
        return picture.convert("RGB")
    raise UnusablePictureError(message(where, "must be a picture in grey, colours, a palette or CMYK", picture.mode))
