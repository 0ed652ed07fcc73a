"""Sections of an experiment file: pydantic models made from the engine's own frozen settings.

Each section is one dataclass, so a setting is declared once; only what no dataclass has (the scenario, seeds) is
written here.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, create_model

from maskcl.data import FolderData, NpzData

__all__ = [
    "OWN_DATA",
    "STRICT",
    "Randomness",
    "ScenarioSection",
    "form_of",
    "named_section",
    "scenario_section",
    "section",
]

OWN_DATA: dict[str, type[FolderData] | type[NpzData]] = {"folder": FolderData, "npz": NpzData}
"""Tables that [scenario] dataset may be instead of a name, by the key that each has and no other."""

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


class ScenarioSection(BaseModel):
    """Which data, cut into which tasks."""

    model_config = STRICT
    dataset: Any = Field("digits", description="Data set, by name; or a folder of pictures; or a file of arrays.")
    num_tasks: int | None = Field(None, description="Tasks of equal numbers of classes; 5 if nothing else is said.")
    task_sizes: list[int] | None = Field(None, description="Classes of each task, if unequal.")
    tasks: list[list[int]] | None = Field(None, description="The classes of each task, by label.")
    class_order: list[int] | None = Field(None, description="All classes in the order in which they come.")
    validation_fraction: float = Field(
        0.0, description="Evaluate on this share of the training rows, held out by class, instead of the test rows."
    )
    subset: float | None = Field(
        None, description="Learn from this share of the training rows of each class, above 0 to 1; all by default."
    )
    eval_subset: float | None = Field(
        None, description="Judge by this share of the test (or held-out) rows of each class; all by default."
    )
    blurry: float = Field(
        0.0,
        description="Share of each class's rows that come in tasks to which it does not belong, 0 or more, below 1.",
    )
    repeats: float = Field(
        0.0,
        description="Probability with which a class comes again in each later task, 0 to 1; its rows are dealt out.",
    )
    imbalance: float = Field(
        1.0, description="Share of its rows that the rarest class keeps, above 0 to 1; others keep more, exponentially."
    )


class Randomness(BaseModel):
    """Where a run's seed enters. "seed" is the run's own; a number is the same for all runs."""

    model_config = STRICT
    class_order: Literal["fixed", "seed"] | int = Field(
        "fixed",
        description="Order of the classes: fixed (as the scenario says), seed (shuffled by the run's seed), or the "
        "seed of one shuffle for all runs.",
    )
    initialisation: Literal["seed"] | int = Field("seed", description="Initial weights.")
    stream: Literal["seed"] | int = Field("seed", description="Order of the stream, memory, replay draws.")


def scenario_section(datasets: Iterable[str]) -> type[BaseModel]:
    """A [scenario] whose data set is one of those given by name, or a table of one's own."""
    info = ScenarioSection.model_fields["dataset"]
    forms: Any = Annotated[Literal[tuple(datasets)], Tag("a name")]  # type: ignore[valid-type]
    for key, kind in OWN_DATA.items():
        forms = forms | Annotated[section(kind), Tag(f"a table with {key}")]
    return create_model(
        "ScenarioSection",
        __base__=ScenarioSection,
        __doc__=ScenarioSection.__doc__,
        dataset=(Annotated[forms, Discriminator(_form)], Field(info.default, description=info.description)),
    )


def _form(value: Any) -> str:
    """Which form of a data set is meant; the tags are no keys, which locations of errors hold as well."""
    keys = type(value).model_fields if isinstance(value, BaseModel) else value
    if not isinstance(keys, Mapping):
        return "a name"
    return f"a table with {form_of(keys)}"


def form_of(table: Mapping[str, Any]) -> str:
    """Return the key in OWN_DATA that a table of data has; "folder" where it has none."""
    return next((key for key in reversed(OWN_DATA) if key in table), "folder")


def section(
    settings: type, *, skip: tuple[str, ...] = (), written: Mapping[str, Any] | None = None, **fixed: Any
) -> type[BaseModel]:
    """A model with the fields, defaults and descriptions of a settings dataclass.

    Fields of types that TOML cannot hold are set in Python only, and are no keys.

    Args:
        settings: The dataclass.
        skip: Fields that are no keys.
        written: Types in files of fields whose own type does not say what a file may hold.
        fixed: Further fields, which come first, as pydantic has them.
    """
    hints = typing.get_type_hints(settings)
    written = written or {}
    described = _described_arguments(settings)
    fields: dict[str, Any] = dict(fixed)
    for field in dataclasses.fields(settings):
        hint = written.get(field.name, hints[field.name])
        if field.init and field.name not in skip and (field.name in written or _can_be_written(hint)):
            doc = field.metadata.get("doc") or described.get(field.name)
            hint = hint if field.name in written else _as_written(hint)
            fields[field.name] = (hint, Field(_default(field), description=doc))
    doc = (settings.__doc__ or "").strip().split("\n")[0]
    return create_model(settings.__name__ + "Section", __config__=STRICT, __doc__=doc, **fields)


def named_section(
    key: str,
    settings: type,
    aliases: Iterable[tuple[str, str]],
    *,
    doc: str,
    default: str | None = None,
    skip: Any = (),
) -> type[BaseModel]:
    """A model of settings that are chosen by name; what `default` names may be left out.

    Names of a family, whose key is FAMILY/NAME, are all that begin with it.
    """
    family = key.removesuffix("/NAME")
    if family != key:
        pattern = f"^{family}/.+$"
        return section(settings, skip=skip, name=(str, Field(..., description=doc, pattern=pattern)))
    names = (key, *(alias for alias, target in aliases if target == key))
    name = (Literal[names], Field(key if key == default else ..., description=doc))  # type: ignore[valid-type]
    return section(settings, skip=skip, name=name)


def _default(field: Any) -> Any:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    if default is dataclasses.MISSING:
        return ...
    return list(default) if isinstance(default, tuple) else default


def _as_written(hint: Any) -> Any:
    """TOML and JSON know lists where our settings have tuples."""
    parts = tuple(_as_written(part) for part in typing.get_args(hint) if part is not Ellipsis)
    if typing.get_origin(hint) in (Union, UnionType):
        return Union[parts]  # noqa: UP007  (made of values)
    return list[Union[parts]] if typing.get_origin(hint) is tuple else hint  # type: ignore[valid-type]  # noqa: UP007


def _can_be_written(hint: Any) -> bool:
    """Whether TOML has values of a type: numbers, strings, and lists, tables and alternatives of them."""
    if typing.get_origin(hint) is Literal:
        return True
    parts = [part for part in typing.get_args(hint) if part is not Ellipsis]
    if typing.get_origin(hint) in (list, tuple, dict, Union, UnionType):
        return all(map(_can_be_written, parts))
    return hint in (int, float, str, bool, type(None))


def _described_arguments(settings: type) -> dict[str, str]:
    """The descriptions in a docstring's Args section, by name."""
    found: dict[str, str] = {}
    inside, name = False, ""
    for line in inspect.cleandoc(settings.__doc__ or "").splitlines():
        if line.strip() == "Args:":
            inside = True
        elif inside and line.startswith("    ") and not line.startswith("     ") and ": " in line:
            name, text = line.strip().split(": ", 1)
            found[name] = text
        elif inside and line.startswith("     ") and name:
            found[name] += " " + line.strip()
        elif inside and line and not line.startswith(" "):
            inside = False
    return found
