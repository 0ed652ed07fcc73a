"""Model files for those who write no Python: begun with settings, gone on with, asked what pictures they take."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskcl.data.source import is_file, is_folder
from maskcl.devices import find_device
from maskcl.errors import DataError, MissingDataError, check, nearest
from maskcl.learner.learner import Learner
from maskcl.learner.settings import DEFAULT_SLOTS
from maskcl.memory import POLICIES

__all__ = [
    "DEFAULTS",
    "Asked",
    "begun_or_loaded",
    "default_epochs",
    "input_kind",
    "loaded",
    "memory_places",
    "picture_size",
]

DEFAULTS: dict[str, Any] = {
    "network": {"name": "convnet", "hidden": [32, 64, 128]},
    "method": "er",
    "mask": {"leak": 0.03},
    "optimizer": {"name": "adam"},
    "lr": 0.001,
    "image_size": 32,
}
"""Arguments for a new model, where they are not `Learner`'s own defaults; docs/howto/from-the-shell.md says why."""

_FIRST = {"network": "name", "method": "name", "memory": "size"}
"""What the short form of a table of settings stands for."""
_KINDS = ("leak", "mass", "value")
"""Keys of a mask of which it has one."""
SECTIONS = ("network", "method", "memory", "mask", "cfgm", "optimizer", "training")
KEYS = (*SECTIONS, "image_size", "lr", "batch_size", "seed")
"""Settings of a model; classes are those of its folders, and the range is that of pictures."""


class Asked(NamedTuple):
    """A setting that was asked for.

    Attributes:
        option: What messages call it.
        key: An argument of `Learner`, or a key in one: "seed", "network.width".
        value: Its value.
    """

    option: str
    key: str
    value: Any


def begun_or_loaded(path: Path, asked: Sequence[Asked], *, device: str | None) -> Learner:
    """Return the learner of a file, or a new one where there is no file.

    Args:
        path: The file.
        asked: Settings of a new one; of one that is there they must be those that it has.
        device: Where to learn; None: where it did, or the CPU.

    Raises:
        ConfigError: A setting that cannot be used, or differs from the file's.
        DataError: The file is damaged, of another version, or no learner.
    """
    for each in asked:
        section, dot, _ = each.key.partition(".")
        known, named = section in (SECTIONS if dot else KEYS), ", ".join(SECTIONS)
        hint = f"did you mean {nearest(section, KEYS)}?" if nearest(section, KEYS) else None
        check(known, each.option, f"must be a key of {named}", each.value, hint=hint)
    if not is_file(path):
        begun = Learner(**_merged(_defaults(asked), asked) | ({} if device is None else {"device": device}))
        find_device(begun.device)  # now, and not after all pictures have been read
        _check_goes_on(begun)
        return begun
    learner = loaded(path, device=device)
    own = learner.get_params(deep=False) | {"image_size": picture_size(learner, str(path))}
    settings = _settings(own)
    if _settings(_merged(own, asked)) != settings:
        odd = next((each for each in asked if _settings(_merged(own, [each])) != settings), asked[-1])
        hint = "another file is a new model"
        check(False, odd.option, f"must be left out or be as {path} has it, for it goes on", odd.value, hint=hint)
    return learner


def _check_goes_on(learner: Learner) -> None:
    """Refuse a memory that cannot take new classes, of which nobody knows beforehand here."""
    config = learner._settings()
    if config.memory is not None:
        policy = str(config.memory.policy or config.method.needs.policy)
        must = "must not give slots to classes beforehand, for a model goes on to learn new ones"
        hint = "--set memory.policy=reservoir"
        check(not POLICIES.find(policy).fixed_classes, "memory.policy", must, policy, hint=hint)


def loaded(path: str | os.PathLike[str], *, device: str | None = None) -> Learner:
    """Return the learner of a file; raises as `Learner.load` does."""
    check(not is_folder(Path(path)), str(path), "must be a model, and is a folder", error=MissingDataError)
    must, hint = "must be a model, and is not there", f"maskcl fit FOLDER --into {path}"
    check(is_file(Path(path)), str(path), must, error=MissingDataError, hint=hint)
    return Learner.load(path, device=device)


def picture_size(learner: Learner, where: str) -> int | None:
    """Return the height and width that pictures are brought to for a learner; None: they have to have its size.

    Raises:
        DataError: It has learnt something else than coloured pictures.
    """
    rows = learner._core.rows
    shape = rows.shape[1:]
    good = rows.dtype == np.uint8 and len(shape) == 3 and shape[0] == 3
    must = "must be a model of coloured pictures, uint8 [3, height, width]"
    check(good, where, must, f"{rows.dtype} {list(shape)}", error=DataError)
    return learner.image_size or (shape[1] if shape[1] == shape[2] else None)


def input_kind(learner: Learner) -> str:
    """Return type and shape of the rows that a learner takes.

    >>> input_kind(Learner("mlp", memory=4).fit(np.zeros((4, 3), np.float32), [0, 0, 1, 1]))
    'float32 [rows, 3]'
    """
    rows = learner._core.rows
    return f"{rows.dtype} [rows, {', '.join(map(str, rows.shape[1:]))}]"


def default_epochs(learner: Learner) -> int:
    """Return how many passes do well on pictures; 1 where a method has a number of its own, as GDumb has.

    >>> default_epochs(Learner(method="er")), default_epochs(Learner(method="gdumb"))
    (10, 1)
    """
    phases = learner._settings().method.phases(0, 1)
    return 1 if phases and all(phase.epochs for phase in phases) else 10


def memory_places(learner: Learner) -> tuple[int, int, int]:
    """Return how many places of a learner's memory are filled, how many there are, and how many rows in them differ.

    In several epochs a row is offered to the memory as often, and may be in several places.

    >>> learner = Learner("mlp", memory=9).fit(np.eye(3, dtype=np.float32), [0, 0, 1], epochs=2)
    >>> memory_places(learner)
    (6, 9, 3)
    """
    core = learner._core
    memory = core.state.memories[0]
    full = () if memory is None else tuple(np.flatnonzero(memory.rows >= 0))
    return len(full), core.num_slots, len({core.slots[place].tobytes() for place in full})


def _defaults(asked: Sequence[Asked]) -> dict[str, Any]:
    """The defaults that go with what was asked for."""
    values = {each.key: each.value for each in asked}
    others = set(values)
    if values.get("method", "er") not in ("er", "derpp"):  # this mask is not for all, and some have one of their own
        others.add("mask")
    if values.get("optimizer.name") == "sgd":  # its rate is `Learner`'s
        others.add("lr")
    return {key: value for key, value in DEFAULTS.items() if key not in others}


def _merged(params: Mapping[str, Any], asked: Sequence[Asked]) -> dict[str, Any]:
    """Arguments of a learner, with those that were asked for in place."""
    found = dict(params)
    for each in asked:
        head, inner = each.key.partition(".")[::2]
        table = _table(found.get(head, DEFAULT_SLOTS if head == "memory" else None), head)
        if head == "mask" and (inner in _KINDS or isinstance(each.value, Mapping)):
            table = {key: value for key, value in table.items() if key not in _KINDS}
        if inner:
            found[head] = _with(table, inner.split("."), each.value)
        elif head in ("network", "method"):
            found[head] = table if table.get("name") == each.value else {"name": each.value}
        elif head == "memory":
            found[head] = table | {"size": each.value}
        elif head == "mask" and isinstance(each.value, Mapping):
            found[head] = table | dict(each.value)
        else:
            found[head] = each.value
    return found


def _table(value: Any, head: str) -> dict[str, Any]:
    """A section as a table, whatever its form."""
    if isinstance(value, Mapping):
        return dict(value)
    return {} if value is None or head not in _FIRST else {_FIRST[head]: value}


def _with(table: Mapping[str, Any], keys: Sequence[str], value: Any) -> dict[str, Any]:
    """A table with a value below some keys."""
    first, *rest = keys
    inner = table.get(first)
    return {**table, first: _with(inner if isinstance(inner, Mapping) else {}, rest, value) if rest else value}


def _settings(params: Mapping[str, Any]) -> Any:
    """What makes two learners the same, whatever the form of their arguments."""
    return Learner(**params)._settings(), params["seed"], params["image_size"]
