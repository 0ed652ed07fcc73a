"""Hooks of mkdocs: what the forge shows of docs/*.md, the site shows as well, and it loads nothing from elsewhere.

The pages are read on the forge and on the site. Their links are those of the repository, also where they leave docs/
(`../CONTRIBUTING.md`, `../experiments/digits_masks.toml`); here such a link becomes one within the site, and the file
it names becomes a page or a file of the site. A list that follows a line of text is a list on the forge, and to
Python's Markdown it is more of that line: it gets its blank line.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]

PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/README.md": "examples/index.md",
    "src/maskcl/data/mnist_small/NOTICE.md": "mnist_small.md",
}
"""Pages that lie outside of docs/, and where the site has them."""

FILES = (
    "experiments/*.toml",
    "experiments/*.py",
    "experiments/schema.json",
    "experiments/results/*.csv",
    "examples/*.py",
    "examples/*.ipynb",
)
"""What pages link to that is no page."""

LINK = re.compile(r"(\]\()(?!\w+:|#|/)([^)\s#]+)(#[^)\s]*)?(\))")
ITEM = re.compile(r"(?:[-*+]|\d+\.) ")
FOREIGN = re.compile(
    r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>", re.IGNORECASE
)
FILLED_IN = re.compile(r"^## (\w+)$(?=\n\n::: )", re.MULTILINE)
NO_LOADING = re.compile(r"rel=[\"']?(?:canonical|next|prev|alternate)")


def on_config(config: Any) -> Any:
    """Replace a pattern in the navigation by the pages that it names and nothing else does, by their titles."""
    config.nav = _expanded(config.nav, Path(config.docs_dir), str(config.nav))
    return config


def _expanded(nav: Any, docs: Path, named: str) -> Any:
    if isinstance(nav, dict):
        return {title: _expanded(part, docs, named) for title, part in nav.items()}
    if not isinstance(nav, list):
        return nav
    found = []
    for part in nav:
        if isinstance(part, str) and "*" in part:
            pages = [path.relative_to(docs).as_posix() for path in sorted(docs.glob(part))]
            found += [page for page in pages if f"'{page}'" not in named]
        else:
            found.append(_expanded(part, docs, named))
    return found


def on_files(files: Any, config: Any) -> Any:
    """Add what lies outside of docs/."""
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    for pattern in FILES:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Make links of the repository links of the site, give lists their blank line, names their signature's heading."""
    uri = page.file.src_uri
    home = next((path for path, at in PAGES.items() if at == uri), f"docs/{uri}")

    def on_site(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(home), link[2]))
        there = PAGES.get(target, target.removeprefix("docs/"))
        return link[1] + posixpath.relpath(there, posixpath.dirname(uri) or ".") + (link[3] or "") + link[4]

    lines = [line if code else LINK.sub(on_site, line) for code, line in _lines(markdown)]
    return FILLED_IN.sub(lambda heading: f'<a id="{heading[1].lower()}"></a>', "\n".join(_apart(lines)))


def on_post_build(config: Any) -> None:
    """Refuse a site whose pages would load anything from another host: it is read offline too."""
    for path in sorted(Path(config.site_dir).rglob("*")):
        if path.suffix == ".html":
            found = [tag for tag in FOREIGN.findall(path.read_text("utf-8")) if not NO_LOADING.search(tag)]
        elif path.suffix == ".css":
            found = re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']+", path.read_text("utf-8"))
        else:
            continue
        if found:
            raise PluginError(f"{path}: must load nothing from another host, and has {found[0]}")


def _lines(markdown: str) -> Iterator[tuple[bool, str]]:
    """Each line, and whether it is of a fenced block."""
    code = False
    for line in markdown.split("\n"):
        fence = line.lstrip().startswith("```")
        yield code or fence, line
        code = code != fence


def _apart(lines: list[str]) -> Iterator[str]:
    """The lines, with a blank one before each list that begins right after a line of text."""
    before, listed = "", False
    for code, line in _lines("\n".join(lines)):
        item = not code and ITEM.match(line) is not None
        if item and before.strip() and not listed:
            yield ""
        listed = item or (listed and line.startswith(" ") and bool(line.strip()))
        before = line
        yield line
