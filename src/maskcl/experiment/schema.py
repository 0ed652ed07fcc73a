"""What an experiment file may say: pydantic models made from the engine's own frozen settings.

Each section is one dataclass, so a setting is declared once; only what no dataclass has (the scenario, seeds) is
written here. `json_schema()` is what editors complete and check with; it is committed beside the experiment files.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, create_model

from maskcl.cfgm import Cfgm
from maskcl.data import DATASETS
from maskcl.engine import TrainingConfig
from maskcl.mask import Mask
from maskcl.memory import MemoryConfig
from maskcl.methods import ALIASES, REGISTRY, Method
from maskcl.networks import NetworkConfig
from maskcl.optim import OptimizerConfig

__all__ = ["ExperimentFile", "Randomness", "ScenarioSection", "json_schema", "method_sections"]

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


class ScenarioSection(BaseModel):
    """Which data, cut into which tasks."""

    model_config = STRICT
    dataset: str = Field("digits", description=f"One of {', '.join(DATASETS)}.")
    num_tasks: int | None = Field(None, description="Tasks of equal numbers of classes.")
    task_sizes: tuple[int, ...] | None = Field(None, description="Classes of each task, if unequal.")
    tasks: tuple[tuple[int, ...], ...] | None = Field(None, description="The classes of each task, by label.")
    class_order: tuple[int, ...] | None = Field(None, description="All classes in the order in which they come.")
    validation_fraction: float = Field(
        0.0, description="Evaluate on this share of the training rows, held out by class, instead of the test rows."
    )


class Randomness(BaseModel):
    """Where a run's seed enters. "seed" is the run's own; a number is the same for all runs."""

    model_config = STRICT
    class_order: Literal["fixed", "seed"] | int = Field("fixed", description="Order of the classes; fixed: as given.")
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
            fields[field.name] = (hints[field.name], Field(default, description=doc))
    doc = (settings.__doc__ or "").strip().split("\n")[0]
    return create_model(settings.__name__ + "Section", __config__=STRICT, __doc__=doc, **fields)


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
MaskSection, CfgmSection = _section(Mask), _section(Cfgm)
NetworkSection, MemorySection = _section(NetworkConfig), _section(MemoryConfig)
OptimizerSection, TrainingSection = _section(OptimizerConfig), _section(TrainingConfig)

_AnyMethod = Annotated[Union[tuple(method_sections.values())], Field(discriminator="name")]  # type: ignore[valid-type]


class ExperimentFile(BaseModel):
    """One experiment: settings, and a grid of what varies."""

    model_config = STRICT
    name: str = Field("experiment", description="Name of the experiment in its results.")
    seeds: int | tuple[int, ...] = Field(
        5, description="How many runs of each setting (seeds 0, 1, ...), or which seeds."
    )
    scenario: ScenarioSection = ScenarioSection()
    method: _AnyMethod = Field(..., description="What a step does: name, and the method's own settings.")
    mask: Literal["none"] | MaskSection | None = Field(  # type: ignore[valid-type]
        None, description="The mask on stream rows; left out: the method's own default, none but for er_ace."
    )
    cfgm: Literal["none", "authors"] | CfgmSection | None = Field(  # type: ignore[valid-type]
        None, description="Samples of old classes made from stream rows; authors: the published code's variant."
    )
    memory: MemorySection | None = Field(None, description="The replay memory.")  # type: ignore[valid-type]
    network: NetworkSection = NetworkSection()  # type: ignore[valid-type]
    optimizer: OptimizerSection = OptimizerSection()  # type: ignore[valid-type]
    training: TrainingSection = TrainingSection()  # type: ignore[valid-type]
    randomness: Randomness = Randomness()


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of experiment files, for editors.

    What the grid may set need not be there otherwise, and there any value of it may be a list.
    """
    schema = ExperimentFile.model_json_schema()
    schema["title"] = "maskcl experiment"
    schema["properties"]["grid"] = {
        "type": "object",
        "description": "What varies: every key (dotted, or a section) has a list, and all lists multiply. "
        "[[grid.zip]] tables are the rows of one more axis that sets several keys together.",
        "properties": {"zip": {"type": "array", "items": {"type": "object"}}},
        "additionalProperties": {"type": "array"},
    }
    schema.pop("required", None)
    return schema
