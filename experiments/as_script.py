"""What scripts of this folder share: their help, and what is wrong with their arguments in a sentence."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable

from maskcl.errors import MaskclError

__all__ = ["as_script"]


def as_script(main: Callable[..., None], usage: str | None) -> None:
    """Call with the words of the command line; ends with status 2 where these are wrong, and prints how it is used."""
    words = sys.argv[1:]
    try:
        inspect.signature(main).bind(*words)
    except TypeError:
        fits = False
    else:
        fits = not words[0].startswith("-")
    if not fits:
        print(usage)
        sys.exit(0 if words == ["--help"] else 2)
    try:
        main(*words)
    except MaskclError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
