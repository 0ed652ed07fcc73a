"""Result files with random damage: each is read, and then shown in every format, or refused in one sentence."""

from __future__ import annotations

import contextlib
import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report.fabricate import fabricate
from test_results_schema import SAMPLES

from maskcl import report
from maskcl.errors import ConfigError, DataError
from maskcl.report import page, tables
from maskcl.report.figures import NEEDS, draw
from maskcl.report.studies.cost import cost
from maskcl.report.studies.orders import class_orders
from maskcl.report.studies.predictors import predictors
from maskcl.report.studies.sensitivity import memory_size, sensitivity
from maskcl.report.studies.switches import collapse
from maskcl.results import Results, files, read_result, write_result

FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def documents() -> list[dict[str, Any]]:
    """Two settings of two seeds with everything that a file can hold, as JSON has it."""
    runs = fabricate(methods=("er",), masks=[None, {"value": -math.inf}], num_seeds=2, num_tasks=2, anytime=True,
                     diverge={("er", 1, 1)})  # fmt: skip
    for run in runs:
        if run["status"] == "finished":
            run |= {"confusion": {"by": "class", "counts": np.full((4, 4), 7)}, "samples": SAMPLES}
        run |= {"tasks": [[0, 1], [2, 3]], "origin": {"file": "a.toml", "command": "maskcl run a.toml", "date": None}}
        run["config"]["cfgm"] = {"step": 2.0, "clamp": True}
        del run["method_title"]
    return [json.loads(json.dumps(files._encode(run))) for run in runs]


WHOLE = documents()
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, 10**400, -1]),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(["inf", "-inf", "=1+1", "<script>", "\ud800", "\x1b[31m", "[/b]", "\u00b2", "x" * 2000]),
    st.sampled_from([[], {}, [[]], [[1]], [None], [1, 2], {"a": 1}, {"name": "x"}, {"leak": 0.1}, {"step": 1.0}]),
)


def place(tree: Any, draw: Any) -> tuple[Any, Any]:
    """A table or list of a document, and one of its keys, at any depth."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        key = draw(st.sampled_from(keys))
        inner = tree[key]
        if not isinstance(inner, (dict, list)) or not inner or draw(st.integers(0, 3)) == 0:
            return tree, key
        tree = inner


@st.composite
def damaged(draw: Any) -> dict[str, Any]:
    """A document with one to three places changed."""
    document = json.loads(json.dumps(WHOLE[draw(st.integers(0, 3))]))
    for _ in range(draw(st.integers(1, 3))):
        tree, key = place(document, draw)
        change = draw(st.sampled_from(["odd", "gone", "twice", "scaled", "longer", "another", "more"]))
        if change == "gone":
            del tree[key]
        elif change == "twice" and isinstance(tree, list):
            tree.insert(key, tree[key])
        elif change == "scaled" and isinstance(tree[key], (int, float)) and abs(tree[key]) < 1e300:
            tree[key] *= draw(st.sampled_from([-1, 0, 0.5, 2, 100]))
        elif change == "longer" and isinstance(tree[key], str):
            tree[key] += draw(st.text(max_size=20))
        elif change == "more" and isinstance(tree, dict):
            tree[draw(st.sampled_from(["x", "=x", "size", "name", "leak", "hidden", "\ud800"]))] = copy.deepcopy(
                draw(ODD)
            )
        else:
            tree[key] = copy.deepcopy(draw(ODD))
        if not document:
            break
    return document


def taken(document: Any, path: Path) -> dict[str, Any] | None:
    """The document as it is read; None if it is refused, in one sentence that names the file, and maybe a hint."""
    path.write_text(json.dumps(document))
    try:
        return read_result(path)
    except DataError as error:
        sentence, *hint = str(error).splitlines()
        assert sentence.startswith(f"{path}: ")
        assert len(sentence) < len(str(path)) + 400
        assert len(hint) <= 1
        return None


@settings(FUZZ, max_examples=250)
@given(document=damaged(), others=st.integers(0, 3))
def test_a_damaged_result_is_refused_or_shown_in_every_format(document: Any, others: int, tmp_path: Path) -> None:
    run = taken(document, tmp_path / "seed-0.json")
    if run is None:
        return
    runs = [run, *(taken(whole, tmp_path / "whole.json") for whole in WHOLE[:others])]
    results = Results([each for each in runs if each is not None])
    for format in ("table", "csv", "markdown", "latex"):
        assert report.render(results, format).encode()
    assert page.page(results, [], command=None).encode()
    for find in (sensitivity, memory_size, class_orders, collapse, predictors, cost):
        for study in find(results, asked=True):
            assert tables.titled(study.title, study.table, "markdown").encode()
    assert len(results.rows()) == others + 1


@settings(FUZZ, max_examples=8)
@given(document=damaged().filter(lambda found: found.get("status") == "finished"))
def test_a_damaged_result_is_refused_or_drawn(document: Any, tmp_path: Path) -> None:
    run = taken(document, tmp_path / "seed-0.json")
    if run is not None:
        assert report.render([run, taken(WHOLE[2], tmp_path / "whole.json")], "html").encode()
        for name in NEEDS:
            with contextlib.suppress(ConfigError):
                draw(Results([run, taken(WHOLE[2], tmp_path / "whole.json")]), [name])


@settings(FUZZ, max_examples=150)
@given(place=st.integers(0, 10**9), bit=st.integers(0, 7), cut=st.booleans())
def test_a_flipped_bit_or_a_lost_end_is_found_wherever_it_matters(
    place: int, bit: int, cut: bool, tmp_path: Path
) -> None:
    path = tmp_path / "seed-0.json"
    (run,) = fabricate(methods=("er",), masks=[{"leak": 0.1}], num_seeds=1, num_tasks=2)
    write_result(path, run)
    content = bytearray(path.read_bytes())
    place %= len(content) - 3  # the last two bytes close the table
    if cut:
        del content[place:]
    else:
        content[place] ^= 1 << bit
    path.write_bytes(content)
    try:
        back = read_result(path)
    except DataError:
        return
    assert not cut
    free = {"seconds", "timings", "environment", "executor", "origin"}  # of the run, not of its result
    known = {"experiment": "", "diverged": None, "anytime": None, "config_hash": None}
    for key in set(run) - free:
        same = key in back and json.dumps(files._encode(back[key])) == json.dumps(files._encode(run[key]))
        assert same or (key in known and back.get(key) == known[key])


@settings(FUZZ, max_examples=100)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "seed-0.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_result(path)
    assert str(caught.value).startswith(f"{path}: ")
