"""The pages that people read, taken apart: README and its like, and docs/."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


class Block(NamedTuple):
    """A fenced block: line of the first line of code, the code, and why it is not run ("" where it is)."""

    line: int
    code: str
    not_run: str


class MarkdownTable(NamedTuple):
    """A table of a page: the words of its header, and the cells of its rows."""

    header: list[str]
    rows: list[list[str]]


def name(page: Path) -> str:
    """A page as failures call it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of one or more languages; `<!-- not run: REASON -->` above one takes it out of the tests."""
    text = page.read_text(encoding="utf-8")
    mark = r"(?:^<!-- not run: (.+?) -->\n\n?)?"
    found = re.finditer(rf"{mark}^```(?:{'|'.join(languages)})\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [Block(text.count("\n", 0, match.start(2)) + 1, match[2], match[1] or "") for match in found]


def commands(page: Path) -> list[list[str]]:
    """What the reader is to type, in words: lines after "$ ", or all lines of a block that has none."""
    found = []
    for block in blocks(page, "console"):
        lines = [line.strip() for line in block.code.replace("\\\n", " ").splitlines() if line.strip()]
        typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")] or lines
        found += [command for line in typed for command in re.split(r"\s(?:&&|;|\|)\s", line)]
    return [words for command in found if (words := shlex.split(command, comments=True))]


def tables(text: str) -> list[MarkdownTable]:
    """The tables of a page, or of a part of one, outside of code."""
    found = []
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for lines in re.findall(r"(?:^\|.*\| *\n){3,}", f"{text}\n", re.MULTILINE):
        header, _, *rows = [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in lines.splitlines()]
        found.append(MarkdownTable(header, rows))
    return found


def run_block(page: Path, block: Block, names: dict[str, Any]) -> None:
    """Run code as it stands, or hold an interpreter's session against what it prints."""
    if not block.code.lstrip().startswith(">>>"):
        exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(block.code, names, name(page), str(page), block.line - 1)
    runner = doctest.DebugRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    try:
        runner.run(test, clear_globs=False)
    except doctest.DocTestFailure as error:
        line = block.line + error.example.lineno
        raise AssertionError(f"{name(page)}:{line}: expected {error.example.want!r}, got {error.got!r}") from None
    names |= test.globs  # what one block defines the next one knows


def without_code(text: str) -> str:
    """A page without fenced blocks, inline code and comments."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`|<!--.*?-->", "", text, flags=re.DOTALL)


def links(page: Path) -> list[tuple[str, str]]:
    """The links within the repository: path ("" for the page itself) and anchor."""
    found = re.findall(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]*))?\)", without_code(page.read_text(encoding="utf-8")))
    return [(path, anchor) for path, anchor in found]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the forge makes them (and the site, by its settings)."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading).lower()).replace(" ", "-") for heading in headings
    }
