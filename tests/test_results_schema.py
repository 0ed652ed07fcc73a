"""Every key of a result file has a rule: what breaks one is named, with what must hold instead."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from report.fabricate import fabricate

from maskcl.errors import DataError, MaskclWarning, MissingDataError
from maskcl.results import checksum, files, read_result, write_result
from maskcl.results.reading import ForeignFileError
from maskcl.results.schema import REQUIRED, RESULT

DELETE = object()
PICTURES = {"shape": [1, 1, 1], "x": "AAAA", "made": "AAAA"}  # 3 bytes
SAMPLES = [
    {
        "task": 1, "classes": [0, 1, 2], "confidence_before": [0.1, 0.2, None], "confidence_after": [0.5, 0.5, 1.0],
        "distance_before": [1.0, 2.5, "inf"], "distance_after": [0.5, 0, None], "moved": [1, 1, 1],
        "pictures": PICTURES,
    }
]  # fmt: skip


def whole() -> dict[str, Any]:
    """A document with every key, as JSON has it."""
    (run,) = fabricate(methods=("er",), masks=[{"value": -math.inf}], num_seeds=1, anytime=True)
    run["method_title"] = "ER"
    run["origin"] = {"file": "a.toml", "command": None, "date": "2026-01-01T00:00:00+00:00"}
    run["tasks"] = [[2 * t, 2 * t + 1] for t in range(5)]
    run["confusion"] = {"by": "class", "counts": np.full((10, 10), 7)}
    run["samples"] = SAMPLES
    run["config"]["cfgm"] = {"step": 2.0, "clamp": True}
    return json.loads(json.dumps(files._encode(run)))


def changed(path: str, value: Any) -> dict[str, Any]:
    """The document with one value in another's place, by dotted name."""
    document = whole()
    *homes, last = path.split(".")
    table: Any = document
    for home in homes:
        table = table[int(home) if isinstance(table, list) else home]
    place: Any = int(last) if isinstance(table, list) else last
    if value is DELETE:
        del table[place]
    else:
        table[place] = value
    return document


def refusal(document: Any, tmp_path: Any) -> str:
    """What is said of a file that holds this; without its path."""
    path = tmp_path / "seed-0.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError) as caught:
        read_result(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert len(text.splitlines()) <= 2
    return text.removeprefix(f"{path}: ")


def test_a_document_with_every_key_is_read(tmp_path: Any) -> None:
    document = whole()
    assert set(RESULT) | {"schema"} == set(document)
    (tmp_path / "seed-0.json").write_text(json.dumps(document))
    back = read_result(tmp_path / "seed-0.json")
    assert back["samples"][0]["distance_before"] == [1.0, 2.5, math.inf]
    assert math.isnan(back["samples"][0]["confidence_before"][2])
    assert back["config"]["mask"]["value"] == -math.inf


@pytest.mark.parametrize("key", [key for key in RESULT if key not in REQUIRED])
def test_keys_that_came_later_may_be_missing(tmp_path: Any, key: str) -> None:
    (tmp_path / "seed-0.json").write_text(json.dumps(changed(key, DELETE)))
    assert read_result(tmp_path / "seed-0.json")["seed"] == 0


@pytest.mark.parametrize("key", REQUIRED)
def test_a_result_without_a_key_that_all_have_is_refused_by_name(tmp_path: Any, key: str) -> None:
    assert refusal(changed(key, DELETE), tmp_path) == f"{key}: must be there, and is missing."


def test_keys_that_are_not_known_yet_are_left_alone(tmp_path: Any) -> None:
    (tmp_path / "seed-0.json").write_text(json.dumps(whole() | {"energy": {"joule": 3.0}}))
    assert read_result(tmp_path / "seed-0.json")["energy"] == {"joule": 3.0}


WRONG: dict[str, list[tuple[Any, str]]] = {
    "schema": [
        (2, "must be 1, got 2.\nhint: it was written by a newer maskcl 0.1.0"),
        (0, "must be 1, got 0.\nhint: it was written by an older maskcl 0.1.0"),
        ("1", "must be 1, got '1'."),
        (True, "must be 1, got True."),
    ],
    "experiment": [(3, "must be text, of a sane length, got 3."), ("x" * 100_001, "must be text, of a sane length")],
    "label": [(None, "must be text, of one letter or more, got None."), ("", "one letter"), (["er"], "must be text")],
    "seed": [
        ("zero", "must be a whole number, 0 or more, got 'zero'."),
        (True, "got True"),
        (-1, "got -1"),
        (0.5, "got 0.5"),
        (2**128, "must be a whole number"),
    ],
    "method_title": [(1, "must be text")],
    "status": [("crashed", "must be one of finished, diverged, got 'crashed'."), ([], "must be one of")],
    "diverged": [
        ({"task": 1, "reason": "x"}, "must be null in a finished run"),
        ("late", "must be a table, got 'late'."),
        ({"task": -1}, ""),
        ({"reason": 3}, ""),
    ],
    "config": [([], "must be a table, got []."), ({}, ""), ({"method": "er"}, "")],
    "config.method.name": [(None, "must be text"), (DELETE, "must be there, and is missing.")],
    "config.mask": [
        ({"leak": "x"}, ""),
        ({}, "needs exactly one of value, mass and leak"),
        ({"leek": 1}, "must hold keys of [mask] alone, and has 'leek'.\nhint: did you mean 'leak'?"),
        (3, "must be a table, got 3."),
    ],
    "config.mask.value": [
        ("x", "must be a number, got 'x'."),
        ("inf", "must be below +inf, got inf."),
        ([1], "must be a number"),
        (10**400, "must be a number or a word"),
        ("y" * 500, "must be a number or a word"),
    ],
    "config.mask.policy": [("tasks", "must be one of task, batch, recent")],
    "config.cfgm": [({"clamp": True}, ""), ({"step": 1, "steps": 2}, "must hold keys of [cfgm] alone")],
    "config.cfgm.step": [(DELETE, "must be there"), ("x", "must be a finite number"), (-1, "must be a finite number")],
    "config.memory": [(50, "must be a table")],
    "config.memory.size": [("many", "must be a whole number, 0 or more, got 'many'."), (-1, "got -1"), (2.5, "2.5")],
    "config.memory.policy": [("x" * 100_001, "must be text")],
    "config.scenario.dataset": [(3, "must be text")],
    "config.scenario.validation_fraction": [("x", "must be a number, 0 to 1, got 'x'."), (2, "got 2")],
    "config.scenario.subset": [(0, "must be a number above 0, to 1, got 0."), ("all", "got 'all'")],
    "config.training.epochs": [(0, "must be a whole number, 1 or more, got 0."), ("3", "got '3'")],
    "config.seeds.stream": [("x", "must be a whole number")],
    "config.network": [("mlp", "must be a table")],
    "config_hash": [("xyz", "must be 8 hex digits, got 'xyz'."), (3, "8 hex digits"), ("0123456é", "8 hex digits")],
    "environment": [([], "must be a table")],
    "origin.file": [(3, "must be text")],
    "tasks": [([], "must be a list of tasks"), ([[0, 1]] * 4, "must be of 5 tasks"), ([0, 1, 2, 3, 4], "")],
    "executor": [("stack", "must be a table")],
    "executor.reason": [(3, "must be text")],
    "seconds": [("long", "must be a number, 0 or more, got 'long'."), (-0.1, "got -0.1"), (None, "got None")],
    "timings.training": [(-1, "must be a number, 0 or more")],
    "metrics": [([], "must be a table"), ({"seed": 0.5}, "must be fractions by the names of metrics, got 'seed'.")],
    "metrics.final_accuracy": [
        (5.0, "must be a fraction, 0 to 1, or null, got 5.0."),
        (-0.1, "got -0.1"),
        ("high", "got 'high'"),
        (True, "got True"),
        ("inf", "got 'inf'"),
    ],
    "metrics.forgetting": [("low", "must be a fraction, -1 to 1, or null, got 'low'."), (-1.5, "got -1.5")],
    "metrics.anything_else": [(100, "must be a fraction, -1 to 1")],
    "metrics.=cmd": [(0.5, "")],
    "class_incremental": [
        ([], "must be a matrix of fractions, a list of rows, got []."),
        ([[1, 2]], ""),
        ({"a": 1}, "must be a matrix"),
    ],
    "class_incremental.1": [([0.5] * 4, ""), ("x", ""), ([], "")],
    "task_incremental": [([[0.5]], "must be a matrix of 5 rows, got '1 rows'."), (None, "must be a matrix")],
    "confidence": [([["a"]], ""), ([[0.5] * 5] * 4, "must be a matrix of 5 rows")],
    "newest_share": [([0.5] * 4, "must be of 5 tasks"), ([2.0] * 5, ""), (0.5, "must be a list of numbers")],
    "level": [([["a"]], ""), ([[0.5] * 5] * 4, "must be a matrix of 5 rows"), ([[10**400] * 5] * 5, ""), (3, "")],
    "weight_shift": [([0.5] * 4, "must be of 5 tasks"), ([-0.1] * 5, ""), ("far", "must be a list of numbers")],
    "untrained": [([0.1], "must be a table")],
    "untrained.class_incremental": [([0.1] * 6, "must be of 5 tasks")],
    "anytime": [([1], "must be a table, got [1]."), ({}, "")],
    "anytime.step": [(DELETE, "must be there"), ([3, 2] + [5] * 18, "must be numbers that do not fall")],
    "anytime.task": [([0], "must be of 20 evaluations"), ([9] * 20, "must be tasks below 5, got 9.")],
    "anytime.level": [([[0.5] * 5] * 3, "must be a matrix of 20 rows"), ([[0.5] * 4] * 20, "")],
    "anytime.weight_shift": [([0.5] * 19, "must be of 20 evaluations"), ([-1.0] * 20, "")],
    "anytime.confidence": [([[0.5] * 5] * 3, "must be a matrix of 20 rows")],
    "confusion": [([[1]], "must be a table"), ({}, "")],
    "confusion.by": [("row", "must be class or task, got 'row'."), (["class"], "must be class or task")],
    "confusion.counts": [
        ([[1, 2]], "must be a matrix of 1 by 1"),
        ([[1]], "must be counts of every class, got '1 rows'."),
        ([[-1]], ""),
    ],
    "samples": [([], "must be a list of records, one or more, got []."), ([{}], ""), ({}, "must be a list")],
    "samples.0.classes": [([], ""), ([0, 1], "")],
    "samples.0.confidence_after": [([0.5] * 2, ""), ([2.0] * 3, ""), (DELETE, "")],
    "samples.0.distance_after": [(["x"] * 3, ""), ([-1] * 3, ""), ([10**400] * 3, "")],
    "samples.0.pictures.x": [("AAA", ""), ("AAAAAAAA", ""), ("!!!!", ""), (3, ""), ("é", "")],
    "samples.0.pictures.shape": [([2**62] * 3, ""), ([-1, 1, 1], ""), (None, "")],
    "num_parameters": [("many", "must be a whole number"), (-1, "got -1")],
    "memory_bytes": [(0.5, "must be a whole number")],
}


@pytest.mark.parametrize(("path", "value", "said"), [(path, *case) for path, cases in WRONG.items() for case in cases])
def test_a_wrong_value_is_refused_by_its_name(tmp_path: Any, path: str, value: Any, said: str) -> None:
    found = refusal(changed(path, value), tmp_path)
    assert found.startswith(path.split(".")[0])
    assert said in found
    if said:
        assert found.startswith(f"{path.replace('samples.0', 'samples[0]')}: ")
    assert len(found) < 400


def test_every_key_of_a_result_has_wrong_values_here() -> None:
    assert {path.split(".")[0] for path in WRONG} == {*RESULT, "schema"}


def test_settings_within_settings_without_end_are_refused(tmp_path: Any) -> None:
    deep: Any = 1
    for _ in range(40):
        deep = {"a": [deep]}
    assert "must hold 32 tables and lists within each other, or fewer" in refusal(changed("config.own", deep), tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"schema": 1, "schema": 2}', "must be JSON (the key 'schema' stands there twice)"),
        (b'{"schema": NaN}', "must be JSON (NaN is no number of JSON)"),
        (b'{"schema": -Infinity}', "-Infinity is no number of JSON"),
        (b'{"schema": ' + b"[" * 100_000, "must be JSON (lists or tables too deep)"),
        (b'{"schema": ' + b'{"a":' * 100_000, "must be JSON (lists or tables too deep)"),
        (b'{"schema": ' + b"1" * 5000 + b"}", "must be JSON"),
        (b'{"schema": "\xff"}', "must be JSON"),
        (b'{\n "schema": 1, "lab', "must be JSON"),
    ],
)
def test_what_is_no_json_is_one_sentence_with_what_to_do(tmp_path: Any, text: bytes, said: str) -> None:
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(DataError) as caught:
        read_result(tmp_path / "a.json")
    assert not isinstance(caught.value, ForeignFileError)
    sentence, hint = str(caught.value).splitlines()
    assert said in sentence
    assert hint == "hint: the file is broken; delete it and run again"


def test_a_file_that_is_not_there_is_missing_data(tmp_path: Any) -> None:
    with pytest.raises(MissingDataError, match=r"a\.json: must be a result file, and is not there"):
        read_result(tmp_path / "a.json")


# -- checksum and size ------------------------------------------------------------------------------------------------


def test_one_flipped_digit_is_found(tmp_path: Any) -> None:
    path = tmp_path / "seed-0.json"
    (run,) = fabricate(methods=("er",), masks=[None], num_seeds=1)
    write_result(path, run)
    assert "checksum" not in read_result(path)
    text = path.read_text()
    place = text.index("0.9", text.index('"class_incremental"'))
    path.write_text(text[:place] + "0.8" + text[place + 3 :])
    with pytest.raises(DataError, match="must be what was written, and its checksum is another") as caught:
        read_result(path)
    assert "if it was changed on purpose, delete its key 'checksum'" in str(caught.value)
    raw = json.loads(path.read_text())
    del raw["checksum"]
    path.write_text(json.dumps(raw))
    assert read_result(path)["seed"] == 0


def test_a_file_in_other_spacing_and_order_is_the_same_file(tmp_path: Any) -> None:
    path = tmp_path / "seed-0.json"
    (run,) = fabricate(methods=("er",), masks=[{"value": -math.inf}], num_seeds=1, diverge={("er", 0, 0)})
    write_result(path, run)
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert read_result(path)["status"] == "diverged"


def test_runs_of_equal_numbers_have_one_checksum_whatever_ran_them_when() -> None:
    (run,) = fabricate(methods=("er",), masks=[None], num_seeds=1)
    other = run | {"seconds": 7.0, "timings": {}, "origin": {"date": "now"}, "executor": {}, "environment": {}}
    assert checksum(run) == checksum(other)
    other["class_incremental"] = run["class_incremental"] + 1e-16 + np.eye(5) * 1e-15
    assert checksum(run) != checksum(other)


def test_what_would_be_too_large_to_read_is_written_without_pictures_then_without_steps(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = fabricate(methods=("er",), masks=[None], num_seeds=1, anytime=True)
    run["samples"] = [SAMPLES[0] | {"pictures": {"shape": [1, 1, 5000], "x": "A" * 20_000, "made": "A" * 20_000}}]
    path = tmp_path / "seed-0.json"
    write_result(path, run | {"samples": None})
    limit = path.stat().st_size + 1000
    for module in ("files", "reading"):
        monkeypatch.setattr(f"maskcl.results.{module}.MOST_BYTES", limit)
    write_result(path, run)
    back = read_result(path)
    assert (set(SAMPLES[0]) - set(back["samples"][0]), back["anytime"] is None) == ({"pictures"}, False)
    for module in ("files", "reading"):
        monkeypatch.setattr(f"maskcl.results.{module}.MOST_BYTES", limit - 3000)
    with pytest.warns(MaskclWarning, match=r"seed-0\.json: what was evaluated within tasks is left out"):
        write_result(path, run)
    back = read_result(path)
    assert back["anytime"] is None
    assert back["metrics"] == run["metrics"]
