"""What can go wrong, and the one place that words it.

    MaskclError
    ├── ConfigError        (ValueError)         a flag, key or value that cannot be used
    ├── ShapeError         (ValueError)         tensors that do not fit together
    └── DataError          (ValueError)         data that cannot be learnt from
        └── MissingDataError (FileNotFoundError)  data that is not there

The command line prints `str(error)` and exits with 2; a traceback is always a bug of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TypeGuard


class MaskclError(Exception):
    """Base of all errors that maskcl raises on purpose."""


class ConfigError(MaskclError, ValueError):
    """A flag, key or value that cannot be used."""


class ShapeError(MaskclError, ValueError):
    """Tensors whose shapes or types do not fit together."""


class DataError(MaskclError, ValueError):
    """Data that cannot be learnt from: a wrong shape, label, file or split."""


class MissingDataError(DataError, FileNotFoundError):
    """A data set that is not where it was looked for."""

    def __str__(self) -> str:  # FileNotFoundError would show only errno and name
        return str(self.args[0]) if self.args else ""


class MaskclWarning(UserWarning):
    """A setting that runs, and probably not as intended."""


_NOTHING = object()
_LONGEST_REASON = 200
"""Letters; a damaged file may have thousands in its place for a name."""
_LONGEST_VALUE = 400
"""Letters; what was given may be ten thousand labels, or a network."""


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice closest to `name`, or None when nothing is close.

    >>> nearest("alfa", ["alpha", "beta"])
    'alpha'
    """
    found = difflib.get_close_matches(str(name), [str(choice) for choice in choices], n=1, cutoff=0.5)
    return found[0] if found else None


def message(
    where: str, must: str, got: object = _NOTHING, *, choices: Iterable[str] | None = None, hint: str | None = None
) -> str:
    r"""Word an error: where, what must hold, what was given, the nearest valid name, what to do.

    >>> message("[method] alpha", "must be 0 or more", -1.0)
    '[method] alpha: must be 0 or more, got -1.0.'
    >>> message("a\x1b[31m.png", "must be a picture")
    'a\\x1b[31m.png: must be a picture.'
    """
    text = _shown(f"{where}: {must}") + ("" if got is _NOTHING else f", got {_told(got)}") + "."
    close = nearest(str(got), choices) if choices is not None else None
    if close is not None:
        text += f" Did you mean {close!r}?"
    if hint is not None:
        text += f"\nhint: {hint}"
    return text


def _told(got: object) -> str:
    """What was given, in one line: a module or an optimiser writes itself in many."""
    text = repr(got)
    text = " ".join(text.split()) if "\n" in text else text
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]} ..."


def _shown(text: str) -> str:
    """A text without what a terminal obeys: names of files and what stands in files may hold anything."""
    controls = {letter for letter in text if ord(letter) < 32 or 127 <= ord(letter) < 160}
    return text.translate({ord(letter): repr(letter)[1:-1] for letter in controls}) if controls else text


def check(
    holds: bool,
    where: str,
    must: str,
    got: object = _NOTHING,
    *,
    error: type[MaskclError] = ConfigError,
    hint: str | None = None,
) -> None:
    """Raise `error` with one worded sentence unless `holds`."""
    if not holds:
        raise error(message(where, must, got, hint=hint))


def check_choice(value: object, where: str, choices: Iterable[str], *, error: type[MaskclError] = ConfigError) -> None:
    """Raise `error` unless `value` is one of `choices`, naming the nearest of them."""
    names = list(choices)
    if value not in names:
        raise error(message(where, f"must be one of {', '.join(names)}", value, choices=names))


def raised(error: Exception) -> str:
    """Return type and first line of a foreign error, for a sentence of our own."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0].rstrip('.')}"


def reason(error: Exception) -> str:
    """Return the first line of a foreign error, for a sentence of our own; of a long one, how it begins.

    >>> reason(ValueError("not a gzip file.")), reason(KeyError())
    ('not a gzip file', 'KeyError')
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    text = "".join(letter if letter.isprintable() else "?" for letter in lines[0]).rstrip(" .:")
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]} ..."


def counted(number: int, noun: str) -> str:
    """Return a number with what it counts.

    >>> counted(1, "row"), counted(2, "row")
    ('1 row', '2 rows')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def is_number(value: object) -> TypeGuard[float]:
    """Whether a setting is one of Python's numbers; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a setting is one of Python's whole numbers; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)
