"""What an experiment file may say, given what is registered at the moment: methods, networks, policies, data sets.

Nothing here is fixed at import: whatever was registered before a file is parsed is known to it, to `SECTIONS`, and to
the JSON schema.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache, reduce
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Discriminator, Field, Tag, create_model

from maskcl.augment import Augment
from maskcl.cfgm import Cfgm
from maskcl.data import DATASETS
from maskcl.engine import TrainingConfig
from maskcl.experiment.sections import STRICT, Randomness, named_section, scenario_section, section
from maskcl.mask import Mask
from maskcl.memory import POLICIES, MemoryConfig
from maskcl.methods import REGISTRY
from maskcl.networks import NETWORKS, Mlp
from maskcl.optim import OptimizerConfig
from maskcl.registry import Registry
from maskcl.schedule import Schedule

__all__ = ["NAMED", "PARTS", "SECTIONS", "experiment_file", "known_keys", "named_sections", "types_of"]

T = TypeVar("T")

NAMED: dict[str, Registry[Any]] = {"method": REGISTRY, "network": NETWORKS}
"""Sections with keys of their own for each name; there a word is short for a table with that name."""

PARTS: dict[str, type] = {"training.schedule": Schedule, "training.augment": Augment}
"""Keys whose value is a table of settings, or a word."""

_WORDS = {"training.schedule": ("none", "constant", "multistep", "cosine"), "training.augment": ("none",)}
"""The words; one that is not "none" is short for a table with that name."""


class _Live(Mapping[str, T]):
    """A mapping that is made anew when something was registered."""

    def __init__(self, now: Callable[[], Mapping[str, T]]) -> None:
        self._now = now

    def __getitem__(self, key: str) -> T:
        return self._now()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


@dataclass(frozen=True)
class _Models:
    """All models of one moment: those of named sections by key, those of other sections, the whole file."""

    named: dict[str, dict[str, type[BaseModel]]]
    plain: dict[str, type[BaseModel]]
    file: type[BaseModel]

    @cached_property
    def sections(self) -> dict[str, tuple[str, ...]]:
        keys = {
            name: tuple(dict.fromkeys(key for model in kinds.values() for key in model.model_fields))
            for name, kinds in self.named.items()
        }
        keys |= {name: tuple(model.model_fields) for name, model in self.plain.items()}
        return {name: keys[name] for name in ("method", *self.file.model_fields) if name in keys}

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Every key by its dotted name, sections among them."""
        inner = [f"{section}.{name}" for section, names in self.sections.items() for name in names]
        return (
            *self.sections,
            *inner,
            *(f"{key}.{field.name}" for key, kind in PARTS.items() for field in fields(kind)),
        )


def _now() -> _Models:
    named = [
        (
            (*registry.items(), *((f"{name}/NAME", family.base) for name, family in registry.families.items())),
            tuple(registry.aliases.items()),
        )
        for registry in NAMED.values()
    ]
    return _models(*named, (*POLICIES, *POLICIES.aliases), tuple(DATASETS))


@lru_cache(maxsize=1)
def _models(method: Any, network: Any, policies: Any, datasets: Any) -> _Models:
    """The models of what is registered, given things and aliases; building them takes some milliseconds."""
    parts: dict[str, Any] = {
        key.split(".")[1]: Literal[_WORDS[key]] | section(kind) | None  # type: ignore[valid-type]
        for key, kind in PARTS.items()
    }
    (kinds, names), (networks, others) = method, network
    named = {
        "method": {key: named_section(key, kind, names, doc=kind.title, skip=("mask", "cfgm")) for key, kind in kinds},
        "network": {
            key: named_section(key, kind, others, doc="Which network.", default=Mlp.key) for key, kind in networks
        },
    }
    plain: dict[str, type[BaseModel]] = {
        "scenario": scenario_section(datasets),
        "mask": section(Mask),
        "cfgm": section(Cfgm),
        "memory": section(MemoryConfig, written={"policy": Literal[policies] | None}),  # type: ignore[valid-type]
        "optimizer": section(OptimizerConfig),
        "training": section(TrainingConfig, written=parts),
        "randomness": Randomness,
    }
    return _Models(named, plain, _file(named, plain))


def _file(named: dict[str, dict[str, type[BaseModel]]], plain: dict[str, type[BaseModel]]) -> type[BaseModel]:
    def by_name(section: str) -> Any:
        registry = NAMED[section]
        if registry.families:  # names of a family are no words that could be listed
            tagged = [Annotated[model, Tag(key)] for key, model in named[section].items()]

            def tag(table: Any) -> Any:
                name = table.get("name") if isinstance(table, Mapping) else getattr(table, "name", None)
                return registry.settings_key(name) if isinstance(name, str) else None

            return Annotated[reduce(operator.or_, tagged), Discriminator(tag)]  # type: ignore[arg-type]
        return Annotated[reduce(operator.or_, named[section].values()), Field(discriminator="name")]  # type: ignore[arg-type]

    def either(name: str, doc: str, *words: str) -> Any:
        """A section that may also be a word, or left out."""
        forms: Any = Literal[words] | plain[name] if words else plain[name]  # type: ignore[valid-type]
        return forms | None, Field(None, description=doc)

    def with_defaults(name: str) -> Any:
        return plain[name], plain[name]()

    masks = "The mask on stream rows; left out: the method's own, which is none but for er_ace."
    cfgm = "Samples of old classes made from stream rows; authors: the published code's variant."
    seeds = "How many runs of each setting (seeds 0, 1, ...), or a list: which seeds."
    return create_model(
        "ExperimentFile",
        __config__=STRICT,
        __doc__="One experiment: settings, and a grid of what varies.",
        name=(str, Field("experiment", min_length=1, description="Name of the experiment in its results.")),
        seeds=(int | list[int], Field(5, description=seeds)),
        scenario=with_defaults("scenario"),
        method=(by_name("method"), Field(..., description="What a step does: name, and the method's own settings.")),
        mask=either("mask", masks, "none"),
        cfgm=either("cfgm", cfgm, "none", "authors"),
        memory=either("memory", "The replay memory; only for methods that have one."),
        network=(
            by_name("network"),
            Field(named["network"][Mlp.key](), description="Which network: name, and the network's own settings."),
        ),
        optimizer=with_defaults("optimizer"),
        training=with_defaults("training"),
        randomness=with_defaults("randomness"),
    )


def experiment_file() -> type[BaseModel]:
    """Return the model of a whole file, without its grid."""
    return _now().file


SECTIONS: Mapping[str, tuple[str, ...]] = _Live(lambda: _now().sections)
"""The keys of each section; those of [method] and [network] are of all names together."""


def known_keys() -> tuple[str, ...]:
    """Return every key that can be set by a dotted name, sections among them."""
    return _now().keys


def types_of(key: str) -> list[Any]:
    """Return what a dotted key may hold, as types: of all names that have it; of a whole section, nothing."""
    models, (section_name, _, name) = _now(), key.rpartition(".")
    if section_name in PARTS:
        found = [section(PARTS[section_name])]
    else:
        found = [*models.named.get(section_name, {}).values(), *filter(None, [models.plain.get(section_name)])]
    return [model.model_fields[name].annotation for model in found if name in model.model_fields]


named_sections: Mapping[str, Mapping[str, type[BaseModel]]] = {
    name: _Live(lambda name=name: _now().named[name])  # type: ignore[misc]
    for name in NAMED
}
"""The models of [method] and [network], by key."""
