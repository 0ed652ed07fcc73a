"""The pages on methods that are told from their classes: all of them in a table, and the keys of each."""

from __future__ import annotations

from dataclasses import MISSING
from typing import Any

from reference_keys import Key
from reference_words import MARK, page, sentence, table, toml

from maskcl.experiment.schema import named_sections
from maskcl.methods import REGISTRY, Method

__all__ = ["methods_index", "methods_page"]


def methods_index() -> str:
    """Return docs/methods/index.md."""
    lines = [
        "# Methods",
        "",
        MARK,
        "Every method takes a [mask](mask.md) and [CFGM](cfgm.md), or says in words why it cannot. Their settings, "
        "with ranges and examples, are in [`[method]`](../reference/experiment/method.md); `maskcl methods KEY` prints "
        "them.",
        "",
        "| key | method | what is learnt | kept of earlier rows (policy) |",
        "| --- | --- | --- | --- |",
    ]
    for key, method in REGISTRY.items():
        about = f"[{method.title}]({key}.md) | {sentence(method.__doc__)} | {_memory(method)}"
        lines.append(f"| `{key}` | {about} |")
    lines += [
        "",
        "| beside the method | page |",
        "| --- | --- |",
        "| masks, for every method | [The mask](mask.md), [which one to take](../howto/choose-a-mask.md), "
        "[the theory](../theory.md) |",
        "| samples of old classes without a memory | [CFGM](cfgm.md), [how to](../howto/zero-memory.md) |",
        "| what enters the memory | [`[memory] policy`](../reference/experiment/memory.md#policy) |",
        "",
        "Figures are in [results](../results.md) and on each page; a method of your own is "
        "[a class of twenty lines](../howto/extend.md#a-method).",
    ]
    return page(lines)


def _memory(method: type[Method]) -> str:
    needs = method().needs
    kept = [*(["rows"] if needs.uses_memory else []), *(["their logits"] if needs.stores_logits else [])]
    kept += ["the last network"] if needs.teacher else []
    return (", ".join(kept) or "–") + (f" ({needs.policy})" if needs.uses_memory else "")


def methods_page() -> str:
    """Return docs/reference/experiment/method.md."""
    lines = [
        "# [method]",
        "",
        MARK,
        'What a step does. `method = "er"` is short for `[method]` with `name = "er"`. Each method has settings of its '
        "own; [mask](mask.md) and [CFGM](cfgm.md) are sections of their own. A method that is registered by you or by "
        "an installed package has its keys as well: `maskcl methods NAME` prints them.",
        "",
    ]
    for key, model in named_sections["method"].items():
        names = _names(key)
        lines += [
            f"## {key}",
            "",
            f"[{REGISTRY[key].title}](../../methods/{key}.md){names}. {sentence(model.__doc__)}",
            "",
        ]
        declared = {name: _declared(REGISTRY[key], name) for name in model.model_fields if name != "name"}
        fields = {name: (model.model_fields[name], of) for name, of in declared.items()}
        lines += [*table(fields), ""] if fields else ["It has no settings of its own.", ""]
        lines += ["```toml", "[method]", f'name = "{key}"']
        lines += [f"{name} = {of.example}" for name, of in declared.items()] + ["```", ""]
    return page(lines)


def _declared(kind: Any, name: str) -> Key:
    """What a method's setting declares, with its default for an example."""
    field = kind.__dataclass_fields__[name]
    limits = {limit: field.metadata.get(limit) for limit in ("least", "above", "most")}
    limits["most"] = None if limits["most"] == float("inf") else limits["most"]
    words = tuple(field.metadata.get("choices") or ())
    example = field.default
    if example is MISSING:
        example = limits["least"] if limits["above"] is None else limits["above"] + 1
    return Key(example=toml(example), words=words, **limits)


def _names(key: str) -> str:
    others = [f"`{alias}`" for alias, target in REGISTRY.aliases.items() if target == key]
    return f", also by the name {' or '.join(others)}" if others else ""
