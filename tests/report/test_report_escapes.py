"""Text of result files is text wherever it is shown: nothing in it is taken for HTML, a formula or a command."""

from __future__ import annotations

import csv
import html
import html.parser
import io
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from report.fabricate import fabricate

from maskcl import report
from maskcl.report import page as pages
from maskcl.results import LeftOut, Results, config_hash, showable

EVIL = {
    "script": "<script>alert(1)</script>",
    "image": "<img src=x onerror=alert(1)>",
    "attribute": '" onmouseover="alert(1)" x=\'',
    "comment": "--> ]]> <!-- */ </style></title></script>",
    "template": "${alert(1)} {{ 7 * 7 }} {% raw %} `x`",
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+1",
    "at": "@SUM(A1)",
    "minus": "-2+3",
    "lines": "one\ntwo\r\nthree\ttab",
    "direction": "\u202ecilbup\u2066 \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "terminal": "\x1b[31mred\x1b]0;title\x07\x9b2J\x00",
    "rich": "[/b] [red]x[/red] [link=http://x]y[/link]",
    "markdown": "| [click](javascript:x) ![i](http://x) **b** _i_ `c` \\| <b>",
    "latex": "\\input{x} $x$ {a}^b_c~d #1 & 50% <>",
    "bracket": "[2em] \\\\ *",
    "half": "\ud800 \udcff \uffff",
    "entity": "&lt;b&gt; &amp;",
    "digit": "\u00b2",
}


def evil_runs(text: str) -> list[dict[str, Any]]:
    """Runs that have a text wherever a file may hold one."""
    runs = fabricate(masks=[None, {"leak": 0.1}], num_seeds=2, diverge={("er", 1, 0)})
    for run in runs:
        config = run["config"]
        config["memory"] |= {"policy": text if config["mask"] is None else f"x{text}", text: text}
        config["scenario"] |= {"dataset": text}
        config["network"] |= {"name": text, "own": [text, {text: text}]}
        run |= {"experiment": text, "label": text + run["label"], "method_title": text}
        run |= {"environment": {text: text}, "origin": dict.fromkeys(("file", "command", "date"), text)}
        run["executor"] = {"name": text, "reason": text}
        run["config_hash"] = config_hash({"evil": [run["label"]]})
        if run["diverged"]:
            run["diverged"]["reason"] = text
    return runs


@pytest.fixture(params=EVIL)
def text(request: pytest.FixtureRequest) -> str:
    return EVIL[request.param]


class Reader(html.parser.HTMLParser):
    """What a browser makes of a page: elements, attributes, text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: dict[str, int] = {}
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.comments: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements[tag] = self.elements.get(tag, 0) + 1
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value[:5] for name, value in attrs if name in ("href", "src")}

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_page_has_no_element_attribute_or_link_that_a_text_brought(text: str) -> None:
    left_out = LeftOut((f"{showable(text)}: must be JSON.",), (showable(text),))
    evil = Results(evil_runs(text), left_out=left_out)
    tame = Results(evil_runs("tame"), left_out=LeftOut(("tame: must be JSON.",), ("tame",)))
    page, plain = pages.page(evil, [], command=text), Reader(pages.page(tame, [], command="tame"))
    found = Reader(page)
    assert (found.attributes, found.links, found.comments) == (plain.attributes, plain.links, [])
    breaks = {"wbr", "p"}  # dotted names break after their dots
    assert {k: v for k, v in found.elements.items() if k not in breaks} == {
        k: v for k, v in plain.elements.items() if k not in breaks
    }
    assert found.elements["script"] == found.elements["style"] == 1
    shown = " ".join("".join(found.text).replace("\u00a0", " ").split())
    words = [word for word in showable(text).split() if not re.search("[-=]", word)]
    assert all(word in shown for word in words)
    assert not re.search("[\0-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page)


def test_files_of_a_report_are_written_and_its_drawings_are_xml_without_scripts(tmp_path: Path) -> None:
    text = " ".join(EVIL[name] for name in ("script", "comment", "lines", "direction", "terminal", "latex", "half"))
    runs = [run for run in evil_runs(text) if run["config"]["method"]["name"] == "er"]
    report.write(tmp_path, Results(runs), command=text)
    drawings = sorted((tmp_path / "figures").glob("*.svg"))
    assert drawings
    for path in drawings:
        names = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
        assert not names & {"script", "foreignObject", "image", "a"}
    rows = list(csv.reader(io.StringIO((tmp_path / "runs.csv").read_text(encoding="utf-8"), newline="")))
    assert len(rows) == 5
    assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize("name", ["table.csv", "runs.csv"])
def test_no_cell_of_a_csv_file_is_a_formula(text: str, name: str) -> None:
    results = Results(evil_runs(text))
    tables = {"table.csv": report.tables.to_csv, "runs.csv": report.tables.runs_to_csv}
    content = tables[name](results)
    for cell in (cell for row in csv.reader(io.StringIO(content, newline="")) for cell in row):
        assert not cell.startswith(("=", "+", "@", "\t", "\r"))
        assert not cell.startswith("-") or float(cell) <= 0
    assert any(showable(text) in cell for row in csv.reader(io.StringIO(content, newline="")) for cell in row)


def test_a_name_like_a_formula_is_quoted_in_heads_too() -> None:
    runs = fabricate(methods=("er",), masks=[None], num_seeds=1) + fabricate(methods=("er",), masks=[None], num_seeds=1)
    for i, run in enumerate(runs):
        run["config"]["=1+1"] = i
        run["config_hash"] = config_hash(run["config"])
    head = report.render(runs, "csv").splitlines()[0].split(",")
    assert "'=1+1" in head


def test_a_terminal_gets_no_command_and_rich_takes_nothing_for_markup(text: str) -> None:
    shown = report.tables.terminal(Results(evil_runs(text)).table(), width=400, colour=False)
    assert not re.search("[\0-\x08\x0e-\x1f\x7f-\x9f]", shown)
    flat = " ".join(shown.split())
    assert all(word in flat for word in showable(text).split())


def test_markdown_keeps_its_cells_and_takes_nothing_for_its_own(text: str) -> None:
    lines = report.render(evil_runs(text), "markdown").splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 2 + 4
    cells = [re.split(r"(?<!\\)(?:\\\\)*\|", row) for row in rows]
    assert {len(row) for row in cells} == {10}
    for line in lines:
        bare = re.sub(r"\\[\\|`*$_(\[:]", "", line)  # what is escaped is text
        assert "<" not in bare
        assert not re.search(r"\]\(|`|\$|(?<!\*)\*(?!\*)", bare)


def test_latex_keeps_its_cells_and_balances_its_braces(text: str) -> None:
    body = report.render(evil_runs(text), "latex")
    rows = [line for line in body.splitlines() if line.endswith(r" \\")]
    assert len(rows) == 1 + 4
    for row in rows:
        bare = re.sub(r"\\[{}$&#_%]", "", row)
        assert bare.count("&") == 7
        assert not re.search(r"[#~^<>]|(?<!\\)%", re.sub(r"\\text[a-z]+\{\}", "", bare))
        assert bare.count("{") == bare.count("}")
        assert not row.startswith(("[", "*"))
        commands = set(re.findall(r"\\([a-z]+)", bare))
        assert commands <= {
            "textbackslash",
            "textasciitilde",
            "textasciicircum",
            "textless",
            "textgreater",
            "pm",
            "textbf",
        }


def test_what_can_be_shown_is_left_as_it_is() -> None:
    text = "ER, m=-inf \u00b1 5 % \u05e9\u05dc\u05d5\u05dd \u4e2d\u6587 \U0001f600 {x} <b> \\ '"
    assert showable(text) == text
    (run,) = fabricate(methods=("er",), masks=[None], num_seeds=1)
    assert Results([run]).runs[0].keys() == run.keys()
    assert Results([run]).runs[0]["config"] == run["config"]
    assert Results([run]).runs[0]["class_incremental"] is run["class_incremental"]
