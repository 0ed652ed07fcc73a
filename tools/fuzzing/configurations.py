"""Cases of `maskcl run FILE`: settings of which none, one or several things are wrong, and options beside them."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import tomlkit

from fuzzing.damage import damaged
from fuzzing.judging import Verdict, judged_command
from fuzzing.odd import odd_value
from fuzzing.settings import draw_settings, every_key, usual
from fuzzing.spoiling import spoil
from maskcl.experiment.schema import SECTIONS

__all__ = ["bytes_of_a_file", "configuration", "written"]

OPTIONS = ("--set", "--seeds", "--subset", "--shard", "--jobs", "--executor", "--log-level", "--quiet", "--data-root")


def configuration(chance: Random, folder: Path) -> Verdict:
    """Run a file whose settings are valid, or spoilt in one to three ways."""
    raw = draw_settings(chance)
    number = chance.choice((0, 0, 0, 1, 1, 1, 1, 2, 3))
    touched = [spoil(raw, chance) for _ in range(number)]
    path = folder / "case.toml"
    path.write_text(written(raw), encoding="utf-8")
    options = _options(chance) if chance.random() < 0.25 else []
    executor = ["--executor", chance.choice(("stack", "loop"))] if "--executor" not in options else []
    out = folder / "out"
    # A refusal tells of the one thing that was spoilt, or of a key that excludes it, or that chance had wrong before.
    one = number == 1 and touched[0] and not options
    keys = [*every_key(), *(f"{section}:" for section in SECTIONS)]
    named = (*touched[0], *keys) if one else (str(path), "--", "data root", *keys)
    return judged_command(["run", str(path), "--out", str(out), *executor, *options], out, named)


def bytes_of_a_file(chance: Random, folder: Path) -> Verdict:
    """Run a file whose bytes are damaged."""
    path, out = folder / "case.toml", folder / "out"
    path.write_bytes(damaged(written(draw_settings(chance)).encode(), chance))
    return judged_command(["run", str(path), "--out", str(out), "--executor", "loop"], out, (str(path),))


def written(raw: dict[str, Any]) -> str:
    """Return sections as TOML."""
    return tomlkit.dumps(raw)


def _options(chance: Random) -> list[str]:
    """Options with values, valid or not."""
    option = chance.choice(OPTIONS)
    if option == "--quiet":
        return [option]
    if option == "--set":
        key = chance.choice((*every_key(), "seeds", "name", "grid.memory.size", "nothing"))
        value = usual(chance, key) if chance.random() < 0.4 else odd_value(chance)
        inline = tomlkit.item(value, _parent=None).as_string() if not isinstance(value, dict) else "{ a = 1 }"
        return [option, f"{key}{chance.choice(('=', '=', '=', ' ', '=='))}{inline}"]
    usually = {"--seeds": "1", "--subset": "0.5", "--shard": "1/2", "--jobs": "1", "--executor": "loop",
               "--log-level": "info", "--data-root": "."}  # fmt: skip
    return [option, usually[option] if chance.random() < 0.4 else str(odd_value(chance, depth=0))]
