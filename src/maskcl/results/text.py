"""Text of others that can be shown: in a terminal, a page, a figure, a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["showable"]

_SPACE = re.compile("[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+")
_UNSHOWN = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
"""Controls (which steer a terminal), turns of direction (which swap what follows), halves of letters, no letters."""
_BULKY = ("samples", "anytime", "confusion", "class_incremental", "task_incremental", "confidence", "level")
"""Parts of a document that hold numbers, and pictures in base64."""


def showable(value: Any) -> Any:
    r"""Return a text, or a document with all its texts, as they can be shown; what can be is returned as it is.

    >>> showable("a\nb\x1b[31m")
    'a b�[31m'
    """
    if isinstance(value, str):
        return _UNSHOWN.sub("\ufffd", _SPACE.sub(" ", value))
    if isinstance(value, Mapping):
        return {showable(name): part if name in _BULKY else showable(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(showable(part) for part in value)
    return value
