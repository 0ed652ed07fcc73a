"""What an experiment file may say: pydantic models made from the engine's own frozen settings.

Each section is one dataclass, so a setting is declared once; only what no dataclass has (the scenario, seeds) is
written here. `json_schema()` is what editors complete and check with; it is committed beside the experiment files.
"""

from __future__ import annotations

import dataclasses
import inspect
import operator
import typing
from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from maskcl.cfgm import Cfgm
from maskcl.data import DATASETS
from maskcl.engine import TrainingConfig
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import ALIASES, REGISTRY, Method
from maskcl.networks import NetworkConfig
from maskcl.optim import OptimizerConfig

__all__ = ["SECTIONS", "ExperimentFile", "Randomness", "ScenarioSection", "json_schema", "method_sections"]

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


class ScenarioSection(BaseModel):
    """Which data, cut into which tasks."""

    model_config = STRICT
    dataset: Literal[tuple(DATASETS)] = Field("digits", description="Data set, by name.")  # type: ignore[valid-type]
    num_tasks: int | None = Field(None, description="Tasks of equal numbers of classes; 5 if nothing else is said.")
    task_sizes: list[int] | None = Field(None, description="Classes of each task, if unequal.")
    tasks: list[list[int]] | None = Field(None, description="The classes of each task, by label.")
    class_order: list[int] | None = Field(None, description="All classes in the order in which they come.")
    validation_fraction: float = Field(
        0.0, description="Evaluate on this share of the training rows, held out by class, instead of the test rows."
    )


class Randomness(BaseModel):
    """Where a run's seed enters. "seed" is the run's own; a number is the same for all runs."""

    model_config = STRICT
    class_order: Literal["fixed", "seed"] | int = Field(
        "fixed", description="Order of the classes: fixed (as the scenario says), seed (shuffled by the run's seed)."
    )
    initialisation: Literal["seed"] | int = Field("seed", description="Initial weights.")
    stream: Literal["seed"] | int = Field("seed", description="Order of the stream, memory, replay draws.")


def _section(settings: type, *, skip: tuple[str, ...] = (), **fixed: Any) -> type[BaseModel]:
    """A model with the fields, defaults and descriptions of a settings dataclass."""
    hints = typing.get_type_hints(settings)
    described = _described_arguments(settings)
    fields: dict[str, Any] = dict(fixed)
    for field in dataclasses.fields(settings):
        if field.name not in skip:
            doc = field.metadata.get("doc") or described.get(field.name)
            default = ... if field.default is dataclasses.MISSING else field.default
            default = list(default) if isinstance(default, tuple) else default
            fields[field.name] = (_as_written(hints[field.name]), Field(default, description=doc))
    doc = (settings.__doc__ or "").strip().split("\n")[0]
    return create_model(settings.__name__ + "Section", __config__=STRICT, __doc__=doc, **fields)


def _as_written(hint: Any) -> Any:
    """TOML and JSON know lists where our settings have tuples."""
    return list[typing.get_args(hint)[0]] if typing.get_origin(hint) is tuple else hint  # type: ignore[misc]


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


def _method_section(key: str, method: type[Method]) -> type[BaseModel]:
    names = (key, *(alias for alias, target in ALIASES.items() if target == key))
    return _section(method, skip=("mask", "cfgm"), name=(Literal[names], Field(..., description=method.title)))


method_sections: dict[str, type[BaseModel]] = {key: _method_section(key, method) for key, method in REGISTRY.items()}

_MODELS: dict[str, type[BaseModel]] = {
    "scenario": ScenarioSection,
    "mask": _section(Mask),
    "cfgm": _section(Cfgm),
    "memory": _section(MemoryConfig),
    "network": _section(NetworkConfig),
    "optimizer": _section(OptimizerConfig),
    "training": _section(TrainingConfig),
    "randomness": Randomness,
}

SECTIONS: dict[str, tuple[str, ...]] = {
    "method": tuple(dict.fromkeys(key for section in method_sections.values() for key in section.model_fields)),
    **{name: tuple(model.model_fields) for name, model in _MODELS.items()},
}
"""The keys of each section; those of [method] are of all methods together."""

_AnyMethod: Any = Annotated[reduce(operator.or_, method_sections.values()), Field(discriminator="name")]  # type: ignore[arg-type]


def _either(name: str, doc: str, *words: str) -> tuple[Any, Any]:
    """A section that may also be a word, or left out."""
    forms: Any = Literal[words] | _MODELS[name] if words else _MODELS[name]  # type: ignore[valid-type]
    return forms | None, Field(None, description=doc)


def _with_defaults(name: str) -> tuple[Any, Any]:
    return _MODELS[name], _MODELS[name]()


ExperimentFile: type[BaseModel] = create_model(
    "ExperimentFile",
    __config__=STRICT,
    __doc__="One experiment: settings, and a grid of what varies.",
    name=(str, Field("experiment", min_length=1, description="Name of the experiment in its results.")),
    seeds=(
        int | list[int],
        Field(5, description="How many runs of each setting (seeds 0, 1, ...), or a list: which seeds."),
    ),
    scenario=_with_defaults("scenario"),
    method=(_AnyMethod, Field(..., description="What a step does: name, and the method's own settings.")),
    mask=_either("mask", "The mask on stream rows; left out: the method's own, which is none but for er_ace.", "none"),
    cfgm=_either(
        "cfgm",
        "Samples of old classes made from stream rows; authors: the published code's variant.",
        "none",
        "authors",
    ),
    memory=_either("memory", "The replay memory; only for methods that have one."),
    network=_with_defaults("network"),
    optimizer=_with_defaults("optimizer"),
    training=_with_defaults("training"),
    randomness=_with_defaults("randomness"),
)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of experiment files, for editors.

    A method is not required: the grid may set it.
    """
    schema = ExperimentFile.model_json_schema()
    schema["title"] = "maskcl experiment"
    schema.pop("required")
    properties = schema["properties"]
    names = {"enum": [*REGISTRY, *ALIASES]}
    properties["method"] = {
        "description": properties["method"].pop("description"),
        "anyOf": [names, properties["method"]],
    }
    lists = {f"{section}.{key}": _list_of(_field(section, key)) for section, keys in SECTIONS.items() for key in keys}
    sections: dict[str, Any] = {}
    for section, keys in SECTIONS.items():
        inner = {key: lists[f"{section}.{key}"] for key in keys}
        whole = {name: part for name, part in properties[section].items() if name not in ("default", "description")}
        nested = {"type": "object", "properties": inner, "additionalProperties": False}
        sections[section] = {"anyOf": [_list_of(whole), nested]}
    row = {key: axis["items"] for key, axis in lists.items()}
    row |= {section: forms["anyOf"][0]["items"] for section, forms in sections.items()}
    rows = {"type": "object", "minProperties": 1, "properties": row, "additionalProperties": False}
    properties["grid"] = {
        "type": "object",
        "description": "What varies: every key (dotted, or a section) has a list, and all lists multiply. "
        "[[grid.zip]] tables are the rows of one more axis that sets several keys together.",
        "properties": {"zip": _list_of(rows), **sections, **lists},
        "additionalProperties": False,
    }
    return schema


def _field(section: str, key: str) -> dict[str, Any]:
    """The schema of one value, by reference to where its section has it."""
    if section == "method" and key == "name":
        return {"enum": [*REGISTRY, *ALIASES]}
    methods = (model for model in method_sections.values() if key in model.model_fields)
    model = next(methods) if section == "method" else _MODELS[section]
    return {"$ref": f"#/$defs/{model.__name__}/properties/{key}"}


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}
