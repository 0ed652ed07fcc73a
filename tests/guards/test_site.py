"""What makes the site of the pages; it needs what `make docs` installs, and CI runs that first."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("mkdocs", reason="make docs installs it")
pytest.importorskip("griffe", reason="make docs installs it")

from docs_docstrings import fenced
from docs_site import on_page_markdown, on_post_build
from mkdocs.exceptions import PluginError


def made(text: str, uri: str) -> str:
    return on_page_markdown(text, SimpleNamespace(file=SimpleNamespace(src_uri=uri)), None, None)


@pytest.mark.parametrize(
    ("uri", "link", "becomes"),
    [
        ("data.md", "../CONTRIBUTING.md#adding-a-method", "contributing.md#adding-a-method"),
        ("howto/extend.md", "../../CONTRIBUTING.md", "../contributing.md"),
        ("howto/own-data.md", "../../experiments/a.toml", "../experiments/a.toml"),
        ("howto/own-data.md", "../data.md#arrays", "../data.md#arrays"),
        ("contributing.md", "docs/design/layers.md", "design/layers.md"),
        ("changelog.md", "docs/data.md#arrays", "data.md#arrays"),
        ("data.md", "https://arxiv.org/abs/2309.14808", "https://arxiv.org/abs/2309.14808"),
        ("data.md", "#arrays", "#arrays"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(uri: str, link: str, becomes: str) -> None:
    assert made(f"See [it]({link}).", uri) == f"See [it]({becomes})."


def test_links_in_code_stay() -> None:
    text = "```text\n[it](../CONTRIBUTING.md)\n```"
    assert made(text, "data.md") == text


def test_a_list_after_text_gets_its_blank_line_and_nothing_else_does() -> None:
    assert made("**Why.**\n- a\n  more\n- b\nend", "data.md") == "**Why.**\n\n- a\n  more\n- b\nend"
    assert made("1. a\n2. b", "data.md") == "1. a\n2. b"
    assert made("```text\na\n- b\n```", "data.md") == "```text\na\n- b\n```"


def test_names_of_the_python_reference_keep_their_anchor() -> None:
    assert made("## Mask\n\n::: maskcl.mask.Mask", "a.md") == '<a id="mask"></a>\n\n::: maskcl.mask.Mask'
    assert made("## Words\n\ntext", "a.md") == "## Words\n\ntext"


def test_examples_in_docstrings_are_fenced() -> None:
    text = "Sum.\n\n>>> 1 + 1\n2\n\nMore.\n\n>>> 3\n3"
    assert fenced(text) == "Sum.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nMore.\n\n```pycon\n>>> 3\n3\n```"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://example.org/a.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//example.org/a.css">'),
        ("a.html", '<img alt="a" src="http://example.org/a.png">'),
        ("a.css", "body { background: url(https://example.org/a.png) }"),
        ("a.css", '@import "https://example.org/a.css";'),
    ],
)
def test_a_site_that_loads_from_another_host_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PluginError, match="must load nothing from another host"):
        on_post_build(SimpleNamespace(site_dir=str(tmp_path)))


def test_links_to_other_hosts_are_no_loading(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="https://example.org"><img src="a.png"></a><link rel="icon" href="a.png">'
    )
    on_post_build(SimpleNamespace(site_dir=str(tmp_path)))
