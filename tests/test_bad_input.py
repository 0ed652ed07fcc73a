"""What is passed wrongly from Python: one sentence, and nothing runs."""

# ruff: noqa: E501  (one case a line reads better than thirty columns less)

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskcl.errors import ConfigError, MaskclError
from maskcl.experiment import plan, run
from maskcl.experiment.planning import MOST_RUNS
from maskcl.methods import ErAce

X, LABELS = np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1])
ER: dict[str, Any] = {"method": "er"}
LARGE: dict[str, Any] = {f"optimizer.{name}": [0.001 * i for i in range(1, 101)] for name in ("lr", "momentum")}
LARGE |= {f"method.{name}": list(range(1, 101)) for name in ("replay_batch", "replay_from_task")}
LARGE |= {"memory.size": list(range(1, 101))}

REFUSED: dict[str, tuple[Any, str]] = {
    "no experiment": (lambda: run(None), "experiment: must be a file, by its path, or a dict of its sections, got None."),
    "a number": (lambda: run(3), "experiment: must be a file, by its path, or a dict of its sections, got 3."),
    "a list": (lambda: run([ER]), "experiment: must be a file, by its path, or a dict of its sections, got [{"),
    "bytes": (lambda: run(b"a.toml"), "experiment: must be a file, by its path, or a dict of its sections, got b'a.toml'."),
    "a key that is no name": (lambda: run(ER | {3: 4}), "experiment: must have names as keys, got 3."),
    "a key inside that is no name": (lambda: run(ER | {"memory": {3: 4}}), "experiment: must have names as keys, got 3."),
    "arrays as a data set": (lambda: run(ER, dataset=(X, LABELS)), "dataset: must be a data set, got 'tuple'.\nhint: maskcl.from"),
    "the name of a data set": (lambda: run(ER, dataset="mnist"), "dataset: must be a data set, got 'str'."),
    "tasks as a scenario": (lambda: run(ER, scenario=[[0, 1]]), "scenario: must be a scenario, got 'list'.\nhint: maskcl.class"),
    "a method instead of its name": (lambda: run({"method": ErAce()}), "experiment: method: must be a name, or a table of settings with a name, got ErAce("),
    "a class instead of its name": (lambda: run({"method": ErAce}), "experiment: method: must be a name, or a table of settings with a name, got <class"),
    "a method as its own name": (lambda: run({"method": {"name": ErAce()}}), "method.name: must be"),
    "no method": (lambda: run({}), "experiment: method.name: must be given, and is missing."),
    "a number as a folder": (lambda: run(ER, out=3), "out: must be a folder, by its path, got 3."),
    "nothing as a folder": (lambda: run(ER, out=""), "out: must be a folder, by its path, got ''."),
    "a number as the data's folder": (lambda: run(ER, data_root=3), "data root: must be a folder, by its path, got 3."),
    "overrides as on the command line": (lambda: run(ER, overrides=["a=1"]), "overrides: must be a dict of dotted keys and their"),
    "overrides without names": (lambda: run(ER, overrides={1: 2}), "overrides: must have names as keys, got 1."),
    "progress that is no function": (lambda: run(ER, on_progress=True), "on_progress: must be a function of one number, got True."),
    "seeds as a word": (lambda: run(ER, seeds="five"), "seeds: must be a whole number or a list, got 'five'."),
    "a fraction of a seed": (lambda: run(ER, seeds=2.5), "seeds: must be a whole number or a list, got 2.5."),
    "seeds as a set": (lambda: run(ER, seeds={1, 2}), "seeds: must be a whole number or a list, got {1, 2}."),
    "no seeds": (lambda: run(ER, seeds=range(0)), "seeds: must be 1 or more, or a list of seeds, got []."),
    "too many seeds": (lambda: run(ER, seeds=10**9), "experiment: must come to 100,000 runs or fewer, settings times seeds, got 1000000000."),
    "far too many seeds": (lambda: run(ER, seeds=2**70), "experiment: must come to 100,000 runs or fewer, settings times seeds, got 1180591620717411303424."),
    "seeds beyond words": (lambda: run(ER, seeds=10**5000), "settings times seeds, got 'more than 10**24'."),
    "a range without end": (lambda: run(ER, seeds=range(10**30)), "experiment: must come to 100,000 runs or fewer"),
    "a seed beyond files' names": (lambda: run(ER, seeds=[10**5000]), "experiment: seeds: must be below 2**128 each."),
    "too many settings": (lambda: run(ER | {"grid": LARGE, "seeds": 1}), "experiment: must come to 100,000 runs or fewer, settings times seeds, got 10000000000."),
    "settings times seeds": (lambda: run(ER | {"grid": {"optimizer.lr": [0.1] * (MOST_RUNS // 5 + 1)}}), "settings times seeds, got 100005."),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_arguments_are_refused_in_one_sentence(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call, text = REFUSED[case]
    with pytest.raises(MaskclError, match=re.escape(text)) as caught:
        call()
    assert len(str(caught.value).splitlines()) <= 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "seeds",
    [range(2), (0, 1), np.arange(2), np.int64(2), [np.int64(0), np.int32(1)], np.uint8(2)],
    ids=["range", "tuple", "array", "int64", "list of int64", "uint8"],
)
def test_seeds_of_python_and_numpy_are_numbers(seeds: Any) -> None:
    for planned in (plan(ER, seeds=seeds), plan(ER | {"seeds": seeds})):
        assert [run.seed for run in planned.runs] == [0, 1]
        assert {type(run.seed) for run in planned.runs} == {int}


def test_a_seed_of_any_size_is_kept_exactly(tmp_path: Path) -> None:
    small: dict[str, Any] = {"scenario": {"tasks": [[0, 1], [2, 3]]}, "training": {"batch_size": 64}, **ER}
    small["randomness"] = {"class_order": "fixed", "initialisation": 2**70 + 1}
    seeds = [2**70, 2**70 + 1]
    first = run(small, seeds=seeds, out=tmp_path)
    assert [row["seed"] for row in first.rows()] == seeds
    assert first.rows()[0]["final_accuracy"] != first.rows()[1]["final_accuracy"]
    names = sorted(path.name for path in tmp_path.rglob("*.json"))
    assert names == [f"seed-{seed}.json" for seed in seeds]
    stored = json.loads(next(tmp_path.rglob(names[0])).read_text())
    assert stored["seed"] == stored["config"]["seeds"]["stream"] == 2**70
    assert plan(small, seeds=seeds, out=tmp_path).pending == ()


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b'\xef\xbb\xbfseeds = 1\r\n[method]\r\nname = "er"\r\n')
    assert plan(path).labels == ["er no mask"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("seeds = " + "9" * 5000, "must be TOML ("), ("seeds = " + "[" * 100_000, "must be TOML (")],
    ids=["a number too long", "lists too deep"],
)
def test_toml_that_python_cannot_hold_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        plan(path)
