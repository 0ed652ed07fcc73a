"""An extension of griffe, which reads the docstrings for the site: examples in them are code there too."""

from __future__ import annotations

from typing import Any

import griffe


class Doctests(griffe.Extension):
    """Puts each run of doctest lines between fences; Markdown would take ">>>" for quotes of quotes."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring before it is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """Return a docstring whose examples, each up to the next blank line, are fenced."""
    found: list[str] = []
    inside = False
    for line in [*text.split("\n"), ""]:
        if line.startswith(">>> ") and not inside:
            found.append("```pycon")
            inside = True
        elif inside and not line.strip():
            found.append("```")
            inside = False
        found.append(line)
    return "\n".join(found[:-1])
