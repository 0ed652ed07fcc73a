"""Reading TOML: experiment files, those that come with the package, and values on the command line."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from maskcl.errors import ConfigError, MissingDataError, check, message

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Sections", "Source", "check_names", "parse_overrides", "read_experiment", "shipped"]

MOST_BYTES = 16_000_000
"""Of an experiment file: what has no end, as a device has none, would fill the memory."""

Source = str | os.PathLike[str] | Mapping[str, Any]


class Sections(dict[str, Any]):
    """Sections that were read already, and maybe changed: messages and results go on telling where they are from.

    Args:
        sections: By name.
        read_from: What `read_experiment` was given.
        whole: Whether they are the whole experiment, and not some settings of one that was checked as a whole.
    """

    def __init__(self, sections: Mapping[str, Any], read_from: Source, *, whole: bool = True) -> None:
        super().__init__(sections)
        self.read_from, self.whole = read_from, whole


def read_experiment(source: Source) -> tuple[dict[str, Any], str]:
    """Return the raw sections of a file or a dict, and what messages call it."""
    if isinstance(source, Mapping):
        check_names(source, "experiment")
        origin = source.read_from if isinstance(source, Sections) else source
        return dict(source), "experiment" if isinstance(origin, Mapping) else str(Path(origin))
    good = isinstance(source, (str, os.PathLike))
    check(good, "experiment", "must be a file, by its path, or a dict of its sections", source)
    path = Path(source)
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
        check(len(content) <= MOST_BYTES, str(path), f"must be an experiment file, of {MOST_BYTES:,} bytes or fewer")
        text = content.decode("utf-8-sig")  # some editors begin a file with a byte-order mark
        return {"name": path.stem} | tomllib.loads(text), str(path)
    except FileNotFoundError:
        near = sorted(p.name for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        hint = f"there are: {', '.join(near)}" if near else None
        raise MissingDataError(message(str(path), "must be an experiment file, and is not there", hint=hint)) from None
    except ConfigError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(message(str(path), f"must be a TOML file that can be read ({reason})")) from None
    except (ValueError, RecursionError) as error:  # numbers too long and lists too deep for Python among them
        raise ConfigError(message(str(path), f"must be TOML ({error})")) from None


def check_names(table: Mapping[Any, Any], where: str) -> None:
    """Refuse keys that are no strings, in tables within tables too."""
    for name, part in table.items():
        check(isinstance(name, str), where, "must have names as keys", name)
        if isinstance(part, Mapping):
            check_names(part, where)


def parse_overrides(
    pairs: Iterable[str], *, option: str = "--set", example: str = "optimizer.lr=0.1"
) -> dict[str, Any]:
    """Read KEY=VALUE, the value as TOML; a bare word is a string. `option` and `example` are for messages.

    >>> parse_overrides(["optimizer.lr=0.1", "mask=none", "network.hidden=[50]"])
    {'optimizer.lr': 0.1, 'mask': 'none', 'network.hidden': [50]}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = (part.strip() for part in pair.partition("="))
        hint = f"e.g. {option} {example}"
        check(bool(equals and key and text), option, "must be KEY=VALUE", pair, hint=hint)
        check(key not in found, f"{option} {key}", "must be given once, and is given twice")
        try:
            found[key] = tomllib.loads(f"value = {text}")["value"]
        except ValueError:
            must = "must have a TOML value: a number, a word, [..] or {..}"
            bare = text.replace("_", "").replace("+", "").replace("-", "").isalnum()
            plain = not set(text) & set("\"'[]{}\\")  # a path, say, and no list that lacks its end
            quoted = shlex.quote(f'{key}="{text}"')
            quotes = f"text other than a word stands in quotes: {option} {quoted}" if plain else None
            check(bare, f"{option} {key}", must, text, hint=quotes)
            found[key] = text
    return found


def shipped(name: str) -> Path:
    """Return where an experiment file lies that comes with the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "experiments" / name
    return installed if installed.exists() else package.parents[1] / "experiments" / name
